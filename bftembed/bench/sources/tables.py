"""Embeddings from tables: random, measured, or published."""

from __future__ import annotations

import hashlib
import logging
import re
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed import data, datasets
from bftembed._near import near_file
from bftembed.bench.scoring.scores import seed_of
from bftembed.bench.sources.base import CellVectors, NotApplicableError, Source
from bftembed.datasets import one_per_gene
from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from anndata import AnnData
    from numpy.typing import NDArray

    from bftembed.vectors import Vectors

logger = logging.getLogger("bftembed")
_RANDOM_DIMENSIONS = 384
# A file's name may hold a # too.
_ARRAY = re.compile(r"(.+)#(varm|obsm)/(.+)", re.DOTALL)


class Random(Source):
    """Standard normal vectors, each drawn from its name: the same in every run, and of every name."""

    def genes(self, names: Sequence[str]) -> NDArray[np.float32]:
        draws = [np.random.default_rng(seed_of(name)).standard_normal(_RANDOM_DIMENSIONS) for name in names]
        return np.array(draws, dtype=np.float32).reshape(len(names), _RANDOM_DIMENSIONS)

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.genes([f"text {text}" for text in texts])

    def drugs(self, names: Sequence[str]) -> NDArray[np.float32]:
        return self.genes([f"drug {name.casefold()}" for name in names])


def rows_by_gene(names: Sequence[str], label: str, *, usable: NDArray[np.bool_] | None = None) -> dict[str, int]:
    """Row of each gene by canonical symbol: of several the one that means it by the better rule, else the first.

    Parameters
    ----------
    names
        (n,) gene names or Ensembl ids.
    label
        Of the embedding, for the log, which has the number of rows that are left out for another of their gene.
    usable
        (n,): rows to choose from, by default all.
    """
    rows = np.arange(len(names)) if usable is None else np.flatnonzero(usable)
    symbols, stands = one_per_gene([names[int(row)] for row in rows])
    if lost := sum(symbol is not None for symbol in symbols) - int(stands.sum()):
        logger.info("`%s`: %d rows are left out, since another row is of the same gene.", label, lost)
    return {str(symbol): int(row) for symbol, row in zip(symbols[stands], rows[stands], strict=True)}


class _Table(Source):
    """Vectors by name; names are mapped to canonical symbols, see `rows_by_gene`."""

    @property
    def path(self) -> Path:
        """File or directory of the vectors."""
        return Path(self.argument).expanduser()

    def _read(self) -> Vectors:
        raise NotImplementedError

    @cached_property
    def _table(self) -> tuple[dict[str, int], NDArray[np.float32]]:
        names, matrix = self._read()
        rows = rows_by_gene(names, self.label, usable=~np.all(np.isnan(matrix), axis=1))
        if not rows:
            msg = f"None of the {len(names)} names of `{self.label}` (e.g. {', '.join(names[:3])}) is a known gene."
            raise InputError(msg)
        return rows, matrix

    def genes(self, names: Sequence[str]) -> NDArray[np.float32]:
        rows, matrix = self._table
        found = np.full((len(names), matrix.shape[1]), np.nan, dtype=np.float32)
        known = [i for i, name in enumerate(names) if name in rows]
        found[known] = matrix[[rows[names[i]] for i in known]]
        return found

    def all_genes(self) -> NDArray[np.float32]:
        rows, matrix = self._table
        return matrix[list(rows.values())]

    def describe(self) -> dict[str, Any]:
        return {"spec": self.spec, "sha256": _file_digest(self.path)}

    def check(self) -> None:
        super().check()
        _ = self._table


class InFile(_Table):
    """A file of vectors of genes; see `bftembed.vectors.read_file` for the formats."""

    def _read(self) -> Vectors:
        from bftembed.vectors import read_file

        return read_file(self.path)


class Geneformer(_Table):
    """Token embeddings of a Geneformer checkpoint for genes, its mean-pooled hidden states for cells."""

    def _read(self) -> Vectors:
        from bftembed.bench.sources.checkpoints import read_geneformer_tokens

        return read_geneformer_tokens(self.path)

    def cells(self, adata: AnnData) -> CellVectors:
        from bftembed.bench.sources.cells import counts_of
        from bftembed.bench.sources.checkpoints import geneformer_cells

        table = datasets.gene_table()
        ids = {} if table is None else table.ensembl_ids
        symbols = adata.var.get("bft_gene", adata.var_names)
        known = adata.copy()
        known.X = counts_of(adata, self.label)
        known.var["ensembl_id"] = [ids.get(str(symbol), str(symbol)) for symbol in symbols]
        return CellVectors(geneformer_cells(self.path, known))

    def describe(self) -> dict[str, Any]:
        return {"spec": self.spec, "sha256": _directory_digest(self.path)}


class ScGPT(_Table):
    """Gene token embeddings of an scGPT checkpoint."""

    def _read(self) -> Vectors:
        from bftembed.bench.sources.checkpoints import read_scgpt_tokens

        return read_scgpt_tokens(self.path)

    def describe(self) -> dict[str, Any]:
        return {"spec": self.spec, "sha256": _directory_digest(self.path)}


class Expression(_Table):
    """Principal components of log2(TPM + 1) in the tissues of the Human Protein Atlas, gene by gene."""

    def describe(self) -> dict[str, Any]:
        return {"spec": self.spec, "sha256": data.get_manifest("hpa_rna_tissue").files[0].sha256}

    def _read(self) -> Vectors:
        from sklearn.decomposition import PCA

        from bftembed.vectors import Vectors

        table = tissue_expression()
        components = PCA(svd_solver="full").fit_transform(np.log2(table.to_numpy() + 1))
        return Vectors([str(name) for name in table.index], components.astype(np.float32))


def tissue_expression() -> pd.DataFrame:
    """TPM of the Human Protein Atlas, genes (Ensembl ids) x tissues."""
    long = data.load("hpa_rna_tissue")
    table: pd.DataFrame = long.pivot_table(index="Gene", columns="Sample", values="Value", aggfunc="mean")
    return table.dropna()


class InAnnData(_Table):
    """An array of an AnnData file: ``varm/KEY`` for genes, ``obsm/KEY`` for cells, matched by name."""

    def __init__(self, argument: str, *, label: str | None = None, spec: str | None = None) -> None:
        match = _ARRAY.fullmatch(argument)
        if match is None:
            msg = f"`h5ad:{argument}` names no array; write `h5ad:FILE#varm/KEY` (genes) or `#obsm/KEY` (cells)."
            raise InputError(msg)
        path, self.place, self.key = match.groups()
        super().__init__(path, label=label, spec=spec)

    def _read(self) -> Vectors:
        from bftembed.vectors import Vectors

        if self.place != "varm":
            raise NotApplicableError(self._cannot("genes"))
        adata = self._open()
        names = adata.var.get("bft_gene", adata.var_names)
        return Vectors([str(name) for name in names], np.asarray(adata.varm[self.key], dtype=np.float32))

    def check(self) -> None:
        self._open()
        super().check()

    def _open(self) -> Any:
        import anndata

        try:
            adata = anndata.read_h5ad(self.path, backed="r")
        except (OSError, KeyError) as error:
            msg = f"`{self.path}` is no h5ad file that can be read: {error}."
            raise InputError(msg) from error
        there = list(getattr(adata, self.place))
        if self.key not in there:
            msg = f"`{self.path}` has no {self.place}[{self.key!r}]; it has {', '.join(there) or 'none'}."
            raise InputError(msg)
        return adata

    def cells(self, adata: AnnData) -> CellVectors:
        if self.place == "varm":
            return super().cells(adata)
        stored = self._open()
        rows = stored.obs_names.get_indexer(adata.obs_names)
        if (rows < 0).all():
            msg = (
                f"None of the {adata.n_obs} cells (e.g. {adata.obs_names[0]}) is in `{self.path}` "
                f"(e.g. {stored.obs_names[0]})."
            )
            raise NotApplicableError(msg)
        found: NDArray[np.float32] = np.asarray(stored.obsm[self.key], dtype=np.float32)[rows]
        found[rows < 0] = np.nan
        return CellVectors(found)


def _file_digest(path: Path) -> str:
    if not path.is_file():
        msg = f"There is no file `{path}`.{near_file(path)}"
        raise InputError(msg)
    stat = path.stat()
    return _digest_of(path, stat.st_mtime_ns, stat.st_size)


@cache
def _digest_of(path: Path, modified: int, size: int) -> str:
    """Of a file's content, read again only once its time or size is another: a run asks for every result."""
    del modified, size
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _directory_digest(directory: Path) -> str:
    if not directory.is_dir():
        msg = f"There is no directory `{directory}`."
        raise InputError(msg)
    files = sorted(path for path in directory.iterdir() if path.is_file())
    return hashlib.sha256("\n".join(f"{path.name} {_file_digest(path)}" for path in files).encode()).hexdigest()
