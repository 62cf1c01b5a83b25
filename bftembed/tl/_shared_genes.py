"""Cells of two data sets by the genes that both have."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from bftembed._warn import warn
from bftembed.entities import canonical
from bftembed.errors import InputError
from bftembed.expression import chosen_matrix, normalised_chunks, parts_of
from bftembed.tl._embed_cells import embed_cells

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anndata import AnnData
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

Usual = Literal["own", "ref"]


class SharedGenes:
    """Cells of both data sets by the genes that both have, of `ref` those in `rows`."""

    def __init__(
        self,
        ref: AnnData,
        query: AnnData,
        *,
        rows: NDArray[np.bool_],
        use_rep: str,
        layer: str | None,
        usual: Usual,
        batch_key: str | None,
    ) -> None:
        self._usual, self._batch_key = usual, batch_key
        vectors = np.asarray(ref.varm[use_rep], dtype=np.float32)
        known = np.asarray(np.isfinite(vectors).all(axis=1))
        self._table = vectors[known]
        with _named("ref"):
            first = _first_rows(_genes(ref), known)
        with _named("query"):
            second = _first_rows(_genes(query), np.ones(query.n_vars, dtype=bool))
        shared = [gene for gene in first if gene in second]
        if len(shared) < 2:
            shown = ", ".join([*list(first)[:3], "..."]), ", ".join([*list(second)[:3], "..."])
            msg = (
                f"`ref` (genes with a vector: {shown[0]}) and `query` ({shown[1]}) have {len(shared)} genes in common: "
                "name both alike, e.g. by bft.pp.map_genes."
            )
            raise InputError(msg)
        if 2 * len(shared) < len(first):
            lacking = ", ".join([*[gene for gene in first if gene not in second][:5], "..."])
            warn(
                f"Only {len(shared)} of the {len(first)} genes of `ref` with a vector are in `query` (not {lacking}): "
                "labels rest on these. Name both alike, e.g. by bft.pp.map_genes, and give `query` with all its genes."
            )
        self.n_genes = len(shared)
        columns = [first[gene] for gene in shared]
        self._vectors = vectors[columns]
        with _named("ref"):
            self._ref = _bare(ref, rows, columns, names=shared, layer=layer)
        with _named("query"):
            every = np.ones(query.n_obs, dtype=bool)
            self._query = _bare(query, every, [second[gene] for gene in shared], names=shared, layer=layer)
        if batch_key is not None:
            self._ref.obs[batch_key] = ref.obs[batch_key].astype(object).to_numpy()[rows]

    def cells(self, rng: np.random.Generator | None) -> tuple[Floats, Floats]:
        """Vectors of the cells of `ref` and of `query`; with `rng` by random vectors of the genes."""
        vectors, table = self._vectors, self._table
        if rng is not None:
            vectors = table = rng.standard_normal(vectors.shape).astype(np.float32)
        for adata in (self._ref, self._query):
            adata.varm["v"] = vectors
        given = pd.DataFrame(table, index=[f"g{i}" for i in range(len(table))])
        how: dict[str, Any] = {"use_rep": "v", "key_added": "cells", "empty": "nan", "table": given}
        how |= {"values": "lognorm", "progress": False}
        usual = None
        with _named("ref"), _quiet():
            embed_cells(self._ref, batch_key=self._batch_key, **how)
            if self._usual == "ref":
                from bftembed import pp

                usual = pp.reference(self._ref, values="lognorm", progress=False)
        with _named("query"), _quiet():
            embed_cells(self._query, reference=usual, **how)
        return np.asarray(self._ref.obsm["cells"]), np.asarray(self._query.obsm["cells"])


def _genes(adata: AnnData) -> list[str]:
    if "bft_gene" in adata.var:
        return [name if isinstance(name, str) else "" for name in adata.var["bft_gene"].astype(object)]
    found = canonical(adata.var_names, human=True)
    return [symbol or name for symbol, name in zip(found, adata.var_names, strict=True)]


def _first_rows(names: list[str], usable: NDArray[np.bool_]) -> dict[str, int]:
    rows: dict[str, int] = {}
    for row, name in enumerate(names):
        if name and usable[row]:
            rows.setdefault(name, row)
    return rows


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Say of which data an error is."""
    try:
        yield
    except InputError as error:
        msg = f"`{what}`: {error}"
        raise type(error)(msg) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Warnings alone: the same is done for every control."""
    log = logging.getLogger("bftembed")
    level = log.level
    log.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        log.setLevel(level)


def _bare(
    adata: AnnData, rows: NDArray[np.bool_], columns: list[int], *, names: list[str], layer: str | None
) -> AnnData:
    """Log-normalised expression of some cells and genes, and nothing else; counts are scaled by those of all genes."""
    from anndata import AnnData
    from scipy.sparse import vstack

    chunks = normalised_chunks(chosen_matrix(parts_of(adata), layer=layer, use_raw=False))
    kept = [chunk[rows[start : start + chunk.shape[0]]][:, columns].astype(np.float32) for start, chunk, _ in chunks]
    obs = pd.DataFrame(index=adata.obs_names[rows])
    return AnnData(vstack(kept, format="csr"), obs=obs, var=pd.DataFrame(index=names))
