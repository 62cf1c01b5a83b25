"""Public names of a package that are imported on first use."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from bftembed._optional import needs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def attach(
    package: str, homes: Mapping[str, str], *, packages: tuple[str, ...] = (), extra: str = ""
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make ``__getattr__`` and ``__dir__`` of a package; the latter lists its ``__all__``.

    Parameters
    ----------
    package
        ``__name__`` of the package.
    homes
        The module below the package that each public name is defined in.

    packages
        Optional packages that these names need; a missing one is a line of advice.
    extra
        The extra that brings them.

    Examples
    --------
    >>> find, _ = attach("importlib", {"entry_points": "metadata"})
    >>> find("entry_points").__name__
    'entry_points'
    """

    def __getattr__(name: str) -> Any:  # noqa: N807
        if name not in homes:
            msg = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(msg)
        needs(*packages, extra=extra)
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    def __dir__() -> list[str]:  # noqa: N807
        return sorted(sys.modules[package].__all__)

    return __getattr__, __dir__
