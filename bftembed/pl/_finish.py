"""What every plot does at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

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
