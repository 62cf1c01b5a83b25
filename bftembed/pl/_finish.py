"""What every plot does with its file, before the work and at the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bftembed._near import did_you_mean
from bftembed.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def check_save(save: str | Path | None) -> None:
    """Refuse a file that a figure cannot be written to, before any work is done for it.

    Raises
    ------
    InputError
        If its directory does not exist, or matplotlib writes no such format.
    """
    if not save:
        return
    from matplotlib.backend_bases import FigureCanvasBase

    path = Path(save)
    if not path.parent.is_dir():
        msg = f"There is no directory {str(path.parent)!r} for save={str(save)!r}; make it first."
        raise InputError(msg)
    known = FigureCanvasBase.get_supported_filetypes()
    ending = path.suffix.removeprefix(".").lower()
    if ending and ending not in known:
        endings = ", ".join(f".{each}" for each in known)
        msg = f"save={str(save)!r} has no ending of a figure: {endings}.{did_you_mean(ending, known)}"
        raise InputError(msg)


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
