"""What the cell stage needs from an AnnData or from the file of one, without loading the matrix."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pandas as pd
    from numpy.typing import NDArray

NOT_ANNDATA = (
    "Give an .h5ad file or a .zarr directory that anndata wrote; other formats can be read with scanpy "
    "(`sc.read_10x_h5`, `sc.read_csv`, ...) and written with `adata.write_h5ad`."
)


@dataclass(frozen=True)
class Parts:
    """The parts of an AnnData, in memory, lazy or on disk, that a cell embedding may need."""

    x: Any
    layers: Mapping[str, Any]
    varm: Mapping[str, Any]
    uns: Mapping[str, Any]
    obs_names: Callable[[], pd.Index]
    var_names: Callable[[], pd.Index]
    raw: Parts | None


@dataclass(frozen=True)
class CellInput:
    """One expression matrix, `x` (n_obs, n_vars), with the vectors of its columns, float32 (n_vars, d)."""

    x: Any
    name: str
    vectors: NDArray[np.float32]
    parts: Parts

    def cells(self, numbers: NDArray[np.int64]) -> str:
        """Names of a few cells, for a message."""
        return ", ".join(repr(str(name)) for name in self.parts.obs_names()[numbers])


@contextmanager
def opened(adata: Any) -> Iterator[Parts]:
    """The parts of an AnnData, or of the file at a path, which is closed at the end.

    Raises
    ------
    InputError
        If there is no such file or it holds no AnnData.
    """
    if not isinstance(adata, str | os.PathLike):
        yield _of_anndata(adata)
        return
    path = Path(adata).expanduser()
    if not path.exists():
        msg = f"There is no file {str(path)!r}. {NOT_ANNDATA}"
        raise InputError(msg)
    group = open_group(path)
    try:
        if not {"obs", "var"} <= set(group):
            msg = f"{str(path)!r} holds {sorted(group)[:10]}, not the `obs` and `var` of an AnnData. {NOT_ANNDATA}"
            raise InputError(msg)
        yield _of_group(group)
    finally:
        if hasattr(group, "close"):
            group.close()


def open_group(path: Path) -> Any:
    """The h5py file or zarr group at `path`, for reading."""
    try:
        if path.is_dir():
            import zarr

            return zarr.open_group(path, mode="r")
        import h5py

        return h5py.File(path, "r")
    except (OSError, ValueError, KeyError) as error:
        msg = f"{str(path)!r} cannot be read as an AnnData ({error}). {NOT_ANNDATA}"
        raise InputError(msg) from error


def choose(parts: Parts, *, gene_key: str, layer: str | None, use_raw: bool) -> CellInput:
    """The matrix to embed and the vectors of its columns.

    Raises
    ------
    InputError
        If the matrix, the gene vectors or every row or column of the matrix is missing.
    """
    if use_raw and layer is not None:
        msg = f"Both use_raw=True and layer={layer!r} were given; choose one."
        raise InputError(msg)
    if use_raw and parts.raw is None:
        msg = "use_raw=True was given, but this AnnData has no `.raw`."
        raise InputError(msg)
    if layer is not None and layer not in parts.layers:
        msg = f"There is no layer {layer!r}; this AnnData has the layers {sorted(parts.layers)}."
        raise InputError(msg)
    vectors = _vectors(parts, gene_key, use_raw=use_raw)
    if use_raw and parts.raw is not None:
        x, name = parts.raw.x, "`.raw.X`"
    elif layer is not None:
        x, name = parts.layers[layer], f"layer {layer!r}"
    else:
        x, name = parts.x, "`.X`"
    if x is None:
        msg = f"{name} of this AnnData is empty (None); pass layer=, one of {sorted(parts.layers)}, or use_raw=True."
        raise InputError(msg)
    if 0 in x.shape:
        msg = f"{name} holds {x.shape[0]} cells x {x.shape[1]} genes: there is nothing to embed. Check the filtering."
        raise InputError(msg)
    return CellInput(x, name, vectors, parts)


def _of_anndata(adata: Any) -> Parts:
    if not (hasattr(adata, "obs_names") and hasattr(adata, "varm")):
        msg = f"`adata` is a {type(adata).__name__}; give an AnnData or the path of an .h5ad or .zarr file."
        raise InputError(msg)
    raw = None
    if (own := adata.raw) is not None:
        raw = Parts(own.X, {}, own.varm or {}, {}, lambda: adata.obs_names, lambda: own.var_names, None)
    return Parts(adata.X, adata.layers, adata.varm, adata.uns, lambda: adata.obs_names, lambda: adata.var_names, raw)


def _of_group(group: Any) -> Parts:
    raw = _of_group(group["raw"]) if "raw" in group and "X" in group["raw"] else None
    return Parts(
        x=_matrix(group["X"]) if "X" in group else None,
        layers={name: _matrix(group["layers"][name]) for name in group.get("layers", ())},
        varm={name: _array(group["varm"][name]) for name in group.get("varm", ())},
        uns=group.get("uns", {}),
        obs_names=lambda: _index(group["obs"]),
        var_names=lambda: _index(group["var"]),
        raw=raw,
    )


@dataclass(frozen=True)
class DiskMatrix:
    """A sparse matrix in a file, as anndata's own backed class, which takes seconds to import."""

    group: Any
    format: str
    shape: tuple[int, int]
    dtype: np.dtype[Any]

    def to_memory(self) -> Any:
        """All of it, as a scipy matrix."""
        from anndata.io import read_elem

        return read_elem(self.group)


def _matrix(element: Any) -> Any:
    if hasattr(element, "dtype"):
        return element
    encoding = str(element.attrs.get("encoding-type", ""))
    if encoding not in {"csr_matrix", "csc_matrix"}:
        msg = f"{element.name} is stored as {encoding!r}; read the file with anndata and write it again."
        raise InputError(msg)
    rows, columns = (int(n) for n in element.attrs["shape"])
    return DiskMatrix(element, encoding[:3], (rows, columns), element["data"].dtype)


def _array(element: Any) -> Any:
    from anndata.io import read_elem

    return element if hasattr(element, "dtype") else read_elem(element)


def _index(frame: Any) -> pd.Index:
    import pandas as pd
    from anndata.io import read_elem

    if "_index" not in frame.attrs:
        msg = f"{frame.name} was written by anndata before 0.7; read the file and write it again with anndata."
        raise InputError(msg)
    names: pd.Index = pd.Index(read_elem(frame[frame.attrs["_index"]]))
    return names


def _vectors(parts: Parts, gene_key: str, *, use_raw: bool) -> NDArray[np.float32]:
    if use_raw and parts.raw is not None and gene_key in parts.raw.varm:
        return _checked(parts.raw.varm[gene_key], gene_key)
    if gene_key not in parts.varm:
        msg = (
            f"There are no gene vectors in `.varm[{gene_key!r}]` (it has {sorted(parts.varm)}); "
            "call bft.tl.embed_genes(adata) first, or pass gene_key=."
        )
        raise InputError(msg)
    vectors = _checked(parts.varm[gene_key], gene_key)
    return _matched(vectors, parts, parts.raw) if use_raw and parts.raw is not None else vectors


def _checked(element: Any, gene_key: str) -> NDArray[np.float32]:
    vectors = np.asarray(element)
    if vectors.ndim != 2 or vectors.dtype.kind not in "fiu" or vectors.shape[1] == 0:
        msg = f"`.varm[{gene_key!r}]` must be numbers (n_vars, d); it is {vectors.dtype} {vectors.shape}."
        raise InputError(msg)
    vectors = np.array(vectors, dtype=np.float32)
    missing, broken = np.isnan(vectors).all(axis=1), ~np.isfinite(vectors).all(axis=1)
    if missing.all():
        msg = f"No gene has a vector: every row of `.varm[{gene_key!r}]` is NaN. Run bft.tl.embed_genes again."
        raise InputError(msg)
    if (broken & ~missing).any():
        msg = (
            f"{int((broken & ~missing).sum())} rows of `.varm[{gene_key!r}]` hold NaN or infinity beside numbers "
            f"(first: row {int(np.flatnonzero(broken & ~missing)[0])}); a gene without a vector is a row of NaN alone."
        )
        raise InputError(msg)
    return vectors


def _matched(vectors: NDArray[np.float32], parts: Parts, raw: Parts) -> NDArray[np.float32]:
    """Vectors for the genes of `.raw`, which are more than those of the AnnData: the others get NaN."""
    names, wanted = parts.var_names(), raw.var_names()
    if not names.is_unique:
        twice = sorted(set(names[names.duplicated()]))
        msg = f"{len(twice)} `var_names` occur more than once ({twice[:3]}): call adata.var_names_make_unique()."
        raise InputError(msg)
    rows = names.get_indexer(wanted)
    matched = np.where((rows >= 0)[:, None], vectors[rows], np.float32(np.nan))
    if np.isnan(matched).all():
        msg = (
            f"None of the genes of `.raw` ({list(wanted[:3])}, ...) is among those with a vector ({list(names[:3])}, "
            "...); embed the genes of `.raw` with bft.tl.embed_genes(adata.raw.to_adata())."
        )
        raise InputError(msg)
    return matched
