"""How near genes or cells are to a text, on a map."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from bftembed import get, tl
from bftembed._keys import held_sides, made_of_genes, side_of
from bftembed.errors import InputError
from bftembed.expression import checked_anndata
from bftembed.pl._finish import check_save, finish
from bftembed.pl._map import drawn, placed_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes

    from bftembed.encoders import Encoder

log = logging.getLogger("bftembed")
_KEY = "bft_query"


def query(  # noqa: PLR0913 -- those of a map, and those of a score
    adata: AnnData,
    texts: str | Sequence[str] | Mapping[str, str],
    *,
    among: Literal["genes", "cells"] | None = None,
    use_rep: str = "X_bft",
    layout: str | None = None,
    n: int = 5,
    layer: str | None = None,
    use_raw: bool = False,
    encoder: str | Encoder | None = None,
    seed: int = 0,
    ax: Axes | None = None,
    show: bool = True,
    save: str | Path | None = None,
    **kwargs: Any,
) -> Axes | list[Axes]:
    """Plot how near genes or cells are to a text, on a map of them.

    Genes, and whatever else has a text of its own, are coloured by the cosine of their vectors to that of the text; the
    nearest are named below. Cells that are made of the vectors of their genes do not answer so (the cells nearest to
    "monocyte" may hold no monocyte): they are coloured by their scores of :func:`bftembed.tl.score_text`, with its
    defaults, for which 0 is what random genes give. To keep such scores, or to choose how they are made, call that and
    :func:`text_scores`.

    Parameters
    ----------
    adata
        With an embedding of genes or cells, or the result of :func:`bftembed.embed`. Nothing is written into it.
    texts
        A text, several, or names and texts: a panel for each.
    among
        ``"genes"`` or ``"cells"`` (the rows of `embed` too); by default cells where they have vectors.
    use_rep
        Key of the embedding.
    layout
        Of the map, as in :func:`gene_map`.
    n
        How many of the nearest genes (drugs, ...) are named below a panel.
    layer, use_raw
        Of cells that are made of genes: which matrix holds their expression, as in :func:`bftembed.tl.score_text`, e.g.
        ``use_raw=True`` where ``.X`` is scaled.
    encoder
        For an embedding that was made with an encoder object.
    seed
        Of the UMAP.
    ax
        Where to draw, for one text.
    show
        Show the figure.
    save
        File to write.
    kwargs
        Handed to ``scanpy.pl.embedding``: ``cmap``, ``size``, ``ncols``, ``vmax`` ...

    Returns
    -------
    Axes, for several texts a list of them.

    Raises
    ------
    InputError
        If there is no such embedding, layout or matrix, texts are empty, several are to be drawn on one `ax`, the file
        cannot be written, or a matrix is named for what is not scored by expression.

    Examples
    --------
    >>> import bftembed as bft
    >>> texts = {"CD3E": "T cell receptor.", "CD3D": "The T cell receptor.", "ALB": "Blood plasma."}
    >>> genes = bft.embed(list(texts), facts="none", profiles=texts)
    >>> ax = bft.pl.query(genes, "the liquid of blood", n=1, show=False)
    >>> ax.get_xlabel()
    'ALB'
    """
    check_save(save)
    asked = _named(texts)
    if ax is not None and len(asked) > 1:
        msg = f"`ax` has room for one text, and there are {len(asked)}: leave it out, or call once for each."
        raise InputError(msg)
    checked_anndata(adata)
    side = side_of(adata, use_rep, among or ("cells" if use_rep in adata.obsm else None))
    sides = held_sides(adata.uns, use_rep)
    of_genes = side == "cells" and made_of_genes(sides)
    if not of_genes and (use_raw or layer is not None):
        named = "use_raw=True" if use_raw else f"layer={layer!r}"
        msg = f"{named} has no place here: only cells that are made of genes are scored by their expression."
        raise InputError(msg)
    placed, words = placed_of(adata, side, use_rep=use_rep, layout=layout, seed=seed)
    how: dict[str, Any] = {"title": list(asked), "ax": ax, **kwargs}
    if of_genes:
        values = _scores(adata, asked, use_rep=use_rep, layer=layer, use_raw=use_raw, encoder=encoder)
        panels = drawn(placed, values, {}, words, **{"cmap": "RdBu_r", "vcenter": 0, **how})
    else:
        found = get.similarity(
            adata, list(asked.values()), among=side, use_rep=use_rep, query_type="text", encoder=encoder
        )
        panels = drawn(placed, found.set_axis(list(asked), axis=1), {}, words, **how)
        if side == "genes" or "entities" in sides:
            for panel, text in zip(panels, found, strict=True):
                panel.set_xlabel(", ".join(found[text].nlargest(n).index.astype(str)), fontsize="small")
    finish(panels[0], show=show, save=save)
    return panels if len(panels) > 1 else panels[0]


def _named(texts: str | Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    several = [texts] if isinstance(texts, str) else texts
    asked = dict(several) if isinstance(several, Mapping) else {text: text for text in several}
    if not asked or not all(isinstance(text, str) and text.strip() for text in asked.values()):
        msg = f"`texts` are free texts, got {texts!r}."
        raise InputError(msg)
    return asked


def _scores(adata: AnnData, asked: Mapping[str, str], **how: Any) -> pd.DataFrame:
    """Scores of `score_text`, which writes them; what it wrote is taken away again."""
    scored = (adata.to_memory() if adata.isbacked else adata.copy()) if adata.is_view else adata
    known, columns = scored.uns["bft"], list(scored.obs)
    numbered = {str(i): text for i, text in enumerate(asked.values())}
    log.addFilter(_is_kept)
    try:
        tl.score_text(scored, numbered, key_added=_KEY, **how)
        return pd.DataFrame({name: scored.obs[f"{_KEY}_{i}"] for i, name in zip(numbered, asked, strict=True)})
    finally:
        log.removeFilter(_is_kept)
        scored.uns["bft"] = known
        for column in scored.obs.columns.difference(columns):
            del scored.obs[column]


def _is_kept(record: logging.LogRecord) -> bool:
    """Whether a line of the log is not one about columns that are taken away again."""
    return f"'{_KEY}_" not in record.getMessage()
