"""Engines, encoders, sources, tasks and objectives of other packages, found by their entry points."""

from __future__ import annotations

from importlib.metadata import entry_points
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
