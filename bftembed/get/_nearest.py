"""Which genes or cells are near a gene, a cell or a free text."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from bftembed._keys import NO_ANSWER, held_sides, made_of_genes, side_of
from bftembed._near import check_choice, did_you_mean
from bftembed._warn import warn
from bftembed.encoders import encode_cached, restore_encoder
from bftembed.entities import absent_gene, canonical
from bftembed.errors import InputError
from bftembed.expression import check_columns, checked_anndata

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from anndata import AnnData
    from numpy.typing import NDArray

    from bftembed.encoders import Encoder

log = logging.getLogger("bftembed")
QueryType = Literal["gene", "cell", "text"]
#: Capitals and digits, as symbols of genes are written; ``C1orf112`` too.
_SYMBOL = re.compile(r"(?=.*[A-Z0-9]{2})[A-Z0-9][A-Z0-9.-]*|C\d+orf\d+")
#: What may be another name of a gene: a word with a digit, or of capitals.
_OTHER_NAME = re.compile(r"(?=.*(\d|[A-Z]{3}))[A-Za-z0-9.-]+")
_CLOSE, _VERY_CLOSE = 0.75, 0.9


def nearest(
    adata: AnnData,
    query: str | Sequence[str],
    *,
    among: Literal["genes", "cells"] | None = None,
    n: int = 10,
    use_rep: str = "X_bft",
    query_type: QueryType | None = None,
    gene_symbols: str | None = None,
    encoder: str | Encoder | None = None,
    with_text: bool = False,
) -> pd.DataFrame:
    """Rank genes or cells by cosine similarity to a gene, a cell or a free text.

    A gene or a cell that was embedded stands for its own vector; the encoder of the embedding turns a free text into
    one. Cells that are made of the vectors of their genes (`tl.embed_cells`) are not described by these as a text would
    describe them: the cells nearest to "monocyte" may hold no monocyte. A text about cells goes to `tl.score_text` (how
    much each cell is what the text says) or `tl.annotate` (which of several types it is); ask for genes here.

    Parameters
    ----------
    adata
        With embeddings in ``varm[use_rep]`` or ``obsm[use_rep]``.
    query
        Name of a gene (``var_names``, ``var["bft_gene"]``, or `gene_symbols`) or of an observation, or a free text; or
        a list of these. Another name of a gene (``"HER2"``) stands for its symbol, where the gene tables are.
    among
        ``"genes"`` (``varm``) or ``"cells"`` (``obsm``: cells, or the rows of `bft.embed`); by default genes where
        there are any.
    n
        How many for each query.
    use_rep
        Key of the embedding.
    query_type
        How to read the query: ``"gene"``, ``"cell"`` or ``"text"``. By default a name that is known is a gene or a
        cell, and all else is a free text; a word that is close to a known name is refused.
    gene_symbols
        Column of ``var`` with names of the genes, which the result uses in place of ``var_names``.
    encoder
        For a free text where the embedding was made with an encoder object.
    with_text
        Add a column ``text``: the texts behind the vectors, as far as they are kept in `adata` (see :func:`profiles`).

    Returns
    -------
    pandas.DataFrame
        ``name`` and ``similarity`` (cosine), best first; the gene or cell that was asked for is left out. For a list,
        the rows of one query after those of another, with a first column ``query``.

    Raises
    ------
    InputError
        If there is no such embedding, the gene or cell has no vector or is not there, a name is misspelt, or the
        encoder is not the one that made the embedding.

    Warns
    -----
    BftembedWarning
        If what is read as free text may have been meant as a name, or ranks cells that are made of their genes.

    Examples
    --------
    >>> import bftembed as bft
    >>> texts = {"CD3E": "T cell receptor.", "CD3D": "The T cell receptor.", "ALB": "Blood plasma."}
    >>> genes = bft.embed(list(texts), facts="none", profiles=texts)
    >>> bft.get.nearest(genes, "CD3E", n=1)["name"].tolist()
    ['CD3D']
    """
    import pandas as pd

    if n < 1:
        msg = f"n={n} must be at least 1."
        raise InputError(msg)
    names, found = compared(
        adata,
        query,
        among=among,
        use_rep=use_rep,
        query_type=query_type,
        gene_symbols=gene_symbols,
        encoder=encoder,
    )
    columns = {"text": _texts(adata, among, use_rep)} if with_text else {}
    frames = []
    for one, (cosine, own) in found.items():
        cosine[own] = np.nan
        frame = pd.DataFrame({"query": one, "name": names, "similarity": cosine, **columns}).dropna(subset="similarity")
        frames.append(frame.sort_values("similarity", ascending=False, kind="stable").head(n))
    ranked = pd.concat(frames, ignore_index=True)
    return ranked.drop(columns="query") if isinstance(query, str) else ranked


def compared(
    adata: AnnData,
    query: str | Sequence[str],
    *,
    among: Literal["genes", "cells"] | None,
    use_rep: str,
    query_type: QueryType | None,
    gene_symbols: str | None,
    encoder: str | Encoder | None,
) -> tuple[NDArray[np.object_], dict[str, tuple[NDArray[np.float32], NDArray[np.intp]]]]:
    """Names of the genes or cells, and for each query their cosines (NaN without a vector) and the rows that it names.

    Parameters are those of `nearest`.
    """
    checked_anndata(adata)
    side = side_of(adata, use_rep, among)
    if query_type is not None:
        check_choice("query_type", query_type, get_args(QueryType))
    check_columns(adata.var, "adata.var", [gene_symbols] if gene_symbols is not None else [])
    queries = [query] if isinstance(query, str) else list(query)
    if not queries or not all(isinstance(one, str) and one.strip() for one in queries):
        msg = f"`query` is a name, a text, or a list of these, got {query!r}."
        raise InputError(msg)
    sides = _sides(adata, use_rep, gene_symbols)
    found = [_find(one, sides, use_rep, query_type) for one in queries]
    texts = [one for one, (vector, _, _) in zip(queries, found, strict=True) if vector is None]
    if texts and side == "cells" and made_of_genes(held_sides(adata.uns, use_rep)):
        warn(f"`{texts[0]}` is a free text. {NO_ANSWER}")
    encoded = iter(_encoded(adata, texts, use_rep, encoder) if texts else ())
    matrix = np.asarray((adata.varm if side == "genes" else adata.obsm)[use_rep], dtype=np.float32)
    lengths = np.linalg.norm(matrix, axis=1)
    made = []
    for known, of, rows in found:
        vector = next(encoded) if known is None else known
        norms = lengths * np.linalg.norm(vector)
        cosine = np.divide(matrix @ vector, norms, out=np.full(len(matrix), np.nan, dtype=np.float32), where=norms > 0)
        made.append((cosine, rows if of == side else np.empty(0, dtype=np.intp)))
    names = np.asarray(_labels(adata, side, gene_symbols), dtype=object)
    return names, dict(zip(queries, made, strict=True))


def _texts(adata: AnnData, among: str | None, use_rep: str) -> Any:
    frame, place = (adata.var, "adata.var") if side_of(adata, use_rep, among) == "genes" else (adata.obs, "adata.obs")
    check_columns(frame, place, [f"{use_rep}_text"])
    return frame[f"{use_rep}_text"].to_numpy()


def _labels(adata: AnnData, among: str, gene_symbols: str | None) -> Any:
    if among == "cells":
        return adata.obs_names
    return adata.var_names if gene_symbols is None else adata.var[gene_symbols]


@dataclass(frozen=True)
class _Side:
    """The genes or the cells: their vectors, if there are any, the names that each goes by, and whether it is genes."""

    held: Any
    columns: list[NDArray[np.object_]]
    of_genes: bool

    def rows(self, name: str) -> NDArray[np.intp]:
        """Those that go by this name."""
        return np.flatnonzero(np.any([column == name for column in self.columns], axis=0))

    @cached_property
    def names(self) -> list[str]:
        """All names, each once; made where a query is none of them."""
        return list(dict.fromkeys(str(name) for column in self.columns for name in column))


def _sides(adata: AnnData, use_rep: str, gene_symbols: str | None) -> dict[str, _Side]:
    of_genes = [adata.var_names, *(adata.var[name] for name in (gene_symbols, "bft_gene") if name in adata.var)]
    return {
        "genes": _Side(adata.varm.get(use_rep), [np.asarray(names, dtype=object) for names in of_genes], True),
        "cells": _Side(adata.obsm.get(use_rep), [np.asarray(adata.obs_names, dtype=object)], "bft_gene" in adata.obs),
    }


def _find(
    query: str, sides: dict[str, _Side], use_rep: str, query_type: str | None
) -> tuple[NDArray[np.float32] | None, str, NDArray[np.intp]]:
    """Vector, side and rows of the gene or cell that a query names; no vector where it is a free text."""
    none = np.empty(0, dtype=np.intp)
    if query_type == "text":
        return None, "", none
    asked = {f"{query_type}s": sides[f"{query_type}s"]} if query_type else sides
    without = ""
    found = {name: side.rows(query) for name, side in asked.items()}
    if not any(map(len, found.values())) and (symbol := _symbol_of(query)):
        found = {name: side.rows(symbol) for name, side in asked.items()}
        if any(map(len, found.values())):
            log.info("`%s` is read as %s, of which it is another name.", query, symbol)
    for name, side in asked.items():
        rows = found[name]
        for row in rows if side.held is not None else ():
            if np.isfinite(vector := np.asarray(side.held)[row]).all():
                return np.asarray(vector, dtype=np.float32), name, rows
        without = without or (name[:-1] if len(rows) else "")
    if without:
        why = "not in `mask_var`, or no usable text" if without == "gene" else "no vector was made of it"
        msg = f'`{query}` is a {without} here, and has no vector in `{use_rep}` ({why}). As a text: query_type="text".'
        raise InputError(msg)
    _misspelt(query, asked, query_type)
    return None, "", none


def _symbol_of(query: str) -> str | None:
    """The symbol that a query is another name of (HER2, CD20), if it looks like the name of a gene."""
    return canonical([query])[0] if _OTHER_NAME.fullmatch(query) else None


def _misspelt(query: str, asked: Mapping[str, _Side], query_type: str | None) -> None:
    """Refuse a gene that is not there and what is close to a name, and warn of what may be one."""
    names = [name for side in asked.values() for name in side.names]
    absent = bool(_OTHER_NAME.fullmatch(query) and absent_gene(query))
    if absent and (query_type == "gene" or any(side.of_genes and side.held is not None for side in asked.values())):
        msg = f"`{query}` is a gene, but not one of this AnnData (query_type='text' asks its letters)."
        raise InputError(msg)
    alike = [name for name in names if abs(len(name) - len(query)) <= 2]
    looks_like_name = " " not in query.strip() and query != query.lower()
    cutoff = _CLOSE if looks_like_name or query_type else _VERY_CLOSE
    near = "" if absent else did_you_mean(query, alike, cutoff=cutoff)
    if query_type:
        msg = f"`{query}` is no {query_type} here.{near}"
        raise InputError(msg)
    if near and " " not in query.strip():
        msg = f'`{query}` is no name of a gene or a cell here.{near} To have it read as free text: query_type="text".'
        raise InputError(msg)
    if near or _SYMBOL.fullmatch(query):
        msg = f'`{query}` is no name here and is read as free text (query_type="text" says that it is one).{near}'
        warn(msg)


def _encoded(adata: AnnData, texts: Sequence[str], use_rep: str, encoder: str | Encoder | None) -> NDArray[np.float32]:
    sides = adata.uns.get("bft", {}).get(use_rep, {})
    made_with = next((dict(side["encoder"]) for side in sides.values() if "encoder" in side), {})
    if not (encoder or made_with.get("spec")):
        msg = (
            f"`{texts[0]}` is no gene or cell with a vector; for a free text pass the `encoder` that made `{use_rep}`."
        )
        raise InputError(msg)
    vectors, _ = encode_cached(list(texts), restore_encoder(made_with, encoder), query=True)
    return np.asarray(vectors, dtype=np.float32)
