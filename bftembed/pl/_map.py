"""Points of genes or cells on a map, with names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed._keys import side_of
from bftembed._optional import needs
from bftembed.errors import InputError
from bftembed.expression import checked_anndata
from bftembed.vectors import has_direction, layout_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from numpy.typing import NDArray

_BASIS = "map"
_LARGEST = 60.0  # points of scanpy have the size 120,000 / n, however few there are
#: Where a name may stand beside its point (points to the right, points up, and how it is aligned).
_PLACES = ((4, 0, "left", "center"), (-4, 0, "right", "center"), (0, 4, "center", "bottom"), (0, -4, "center", "top"))


def placed_of(
    adata: AnnData, among: str, *, use_rep: str, layout: str | None, seed: int
) -> tuple[NDArray[np.float32], str]:
    """Coordinates (n, 2) of genes or cells, NaN without a vector, and what they are in words."""
    checked_anndata(adata)
    held = adata.varm if side_of(adata, use_rep, among) == "genes" else adata.obsm
    vectors = np.asarray(held[use_rep], dtype=np.float32)
    known = has_direction(vectors)
    if not known.any():
        msg = f"Not one of {len(known):,} {among} has a vector in `{use_rep}`: there is nothing to draw."
        raise InputError(msg)
    return layout_of(vectors, known, held, layout=layout, use_rep=use_rep, seed=seed)


def drawn(placed: NDArray[np.float32], columns: pd.DataFrame, uns: Any, words: str, **kwargs: Any) -> list[Axes]:
    """A panel for each column, or one without colours, by ``scanpy.pl.embedding``."""
    needs("scanpy")
    import scanpy as sc
    from anndata import AnnData

    colors = {f"{name}_colors": uns[f"{name}_colors"] for name in columns if f"{name}_colors" in uns}
    obs = columns.set_axis([str(i) for i in range(len(columns))])
    scratch = AnnData(obs=obs, obsm={_BASIS: placed}, uns=colors)
    color = list(columns) if len(columns.columns) > 1 else next(iter(columns), None)
    how = {"size": min(_LARGEST, 120_000 / len(obs)), **kwargs}
    made = sc.pl.embedding(scratch, basis=_BASIS, color=color, show=False, **how)
    panels = made if isinstance(made, list) else [made]
    for panel in panels:
        panel.set(ylabel="")
        panel.set_xlabel(words.partition(" (")[0], fontsize="small")
    return panels


def write_names(
    ax: Axes, placed: NDArray[np.float32], names: Sequence[str], rows: Iterable[int], *, every: bool
) -> None:
    """Names beside their points, each where it hides the fewest; those without room are left out but for `every`."""
    inside, taken = ax.get_window_extent(), list[Any]()
    for row in rows:
        texts = [_beside(ax, placed[row], names[row], place) for place in _PLACES]
        boxes = [text.get_window_extent() for text in texts]
        amiss = [box.count_overlaps(taken) + (inside.count_contains(box.corners()) < 4) for box in boxes]
        best = int(np.argmin(amiss))
        for i, text in enumerate(texts):
            if i != best or (amiss[best] and not every):
                text.remove()
            else:
                taken.append(boxes[best])


def _beside(ax: Axes, point: NDArray[np.float32], name: str, place: tuple[int, int, str, str]) -> Annotation:
    from matplotlib.patheffects import withStroke

    right, up, horizontal, vertical = place
    return ax.annotate(
        name.replace("$", r"\$"),
        (point[0], point[1]),
        (right, up),
        textcoords="offset points",
        ha=horizontal,
        va=vertical,
        fontsize=8,
        path_effects=[withStroke(linewidth=2.5, foreground=ax.get_facecolor())],
    )
