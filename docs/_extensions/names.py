"""References to public names: types are documented where users import them, not where they are defined."""

from __future__ import annotations

import importlib
import inspect
from functools import cache
from typing import TYPE_CHECKING, Any

import bftembed

if TYPE_CHECKING:
    from docutils.nodes import Element
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

#: Packages of the reference: those of `bftembed.__all__`, and two that have a chapter of their own.
PACKAGES = (
    *(name for name in bftembed.__all__ if name != "errors" and inspect.ismodule(getattr(bftembed, name))),
    *("naming", "studies"),
)


@cache
def homes() -> dict[str, str]:
    """Where each class or function is documented, by where it is defined and by its bare name."""
    found: dict[str, set[str]] = {}
    for package in PACKAGES:
        module = importlib.import_module(f"bftembed.{package}")
        for name in module.__all__:
            public = f"bftembed.{package}.{name}"
            one = getattr(module, name)
            defined = f"{getattr(one, '__module__', '')}.{getattr(one, '__qualname__', '')}"
            for key in (defined, name):
                found.setdefault(key, set()).add(public)
    return {key: publics.pop() for key, publics in found.items() if len(publics) == 1}


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: Element) -> Any:
    """Lead a name to its page; a name of another package, or a private one, is text."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    if public := homes().get(target):
        domain = env.domains.python_domain
        return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", public, node, content)
    return None if target.startswith("bftembed.") and target in bftembed_names() else content


@cache
def bftembed_names() -> frozenset[str]:
    """Public names in full; one of these without a page is an error."""
    return frozenset(homes().values())


def without_docs_of_type(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:  # noqa: PLR0917 (of Sphinx)
    """A value without a docstring of its own has that of its type, which says nothing about it."""
    if what == "data" and not isinstance(value, type) and lines:
        own = (type(value).__doc__ or "").strip()
        if own.startswith(lines[0].strip()):
            lines[:] = [f"``{type(value).__name__}``: a value that tasks and plug-ins import."]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-docstring", without_docs_of_type)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
