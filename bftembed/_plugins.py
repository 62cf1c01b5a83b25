"""Engines, encoders, sources, tasks and objectives of other packages, found by their entry points."""

from __future__ import annotations

import hashlib
import importlib.util
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, get_args

from bftembed.errors import PluginError

Group = Literal["engines", "encoders", "sources", "tasks", "objectives"]
GROUPS: tuple[Group, ...] = get_args(Group)


def plugin_names(group: Group) -> list[str]:
    """Names that installed packages register under the entry-point group ``bftembed.<group>``, sorted."""
    return sorted({point.name for point in entry_points(group=f"bftembed.{group}")})


def load_plugin(group: Group, name: str) -> Any:
    """What a package registered as `name`, or None where nobody did.

    Raises
    ------
    PluginError
        If two packages register the name, or the registered object cannot be imported.
    """
    found = {point.value: point for point in entry_points(group=f"bftembed.{group}", name=name)}
    if not found:
        return None
    if len(found) > 1:
        makers = ", ".join(sorted(f"`{value}`" for value in found))
        msg = f"`{name}` is registered more than once in `bftembed.{group}` ({makers}); uninstall one of the packages."
        raise PluginError(msg)
    (point,) = found.values()
    try:
        return point.load()
    except Exception as error:  # code of another package, which may fail in any way
        package = point.dist.name if point.dist else "an installed package"
        msg = f"`{name}` of `{package}` cannot be loaded ({point.value}): {type(error).__name__}: {error}"
        raise PluginError(msg) from error


def plugin_source(group: Group, name: str) -> str | None:
    """What a registered object does, as far as a digest can tell, or None where nobody registered the name.

    Returns
    -------
    ``sha256:`` of the entry point and of the Python files of the package that it is in.
    """
    point = next(iter(entry_points(group=f"bftembed.{group}", name=name)), None)
    if point is None:
        return None
    digest = hashlib.sha256(point.value.encode())
    for path in _files_of(point.module.partition(".")[0]):
        digest.update(path.read_bytes())
    return f"sha256:{digest.hexdigest()}"


def _files_of(package: str) -> list[Path]:
    """Python files of a package, or the one of a module; none of what is built in or compiled."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return [path for place in spec.submodule_search_locations for path in sorted(Path(place).rglob("*.py"))]
    return [Path(spec.origin)] if spec.origin and spec.origin.endswith(".py") else []
