"""What every plot does at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def finish(ax: Axes, *, show: bool, save: str | Path | None) -> None:
    """Write the figure of `ax` to a file and show it, as asked."""
    import matplotlib.pyplot as plt

    if save:
        cast("Figure", ax.figure).savefig(save, bbox_inches="tight", dpi=150)
    if show:
        plt.show()


def finish_scanpy(made: Any, *, show: bool, save: str | Path | None) -> Any:
    """Do so with what a function of scanpy drew, and give back what that would: None where it is shown."""
    if hasattr(made, "savefig"):  # asked for by return_fig=True
        if save:
            made.savefig(save, bbox_inches="tight", dpi=150)
        return made
    several = list(made.values()) if isinstance(made, dict) else made if isinstance(made, list) else [made]
    finish(several[0], show=show, save=save)
    return None if show else made
