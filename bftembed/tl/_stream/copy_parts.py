"""Everything of an AnnData beside the new embedding, into a file that is being written."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from bftembed.tl._stream.output import EmbeddingFile

TABLES = ("obs", "var", "obsm", "varm", "uns")
BULK = ("X", "layers", "raw", "obsp", "varp")


def copy_from_file(file: EmbeddingFile, source: Any, path: Path, names: tuple[str, ...], *, replaced: set[str]) -> None:
    """Copy the elements `names` of an h5py or zarr group, as they are stored where the format is the same.

    Parameters
    ----------
    file
        Where to.
    source
        Root group of the file at `path`.
    path
        For a zarr store, its directory.
    names
        Top-level elements; those that the source does not have are passed over.
    replaced
        Paths such as ``"obsm/X_bft"`` that are written anew.
    """
    with file.filling() as root:
        for name in (name for name in names if name in source):
            if name not in {"obsm", "uns"}:
                _copy(file, root, source, path, name)
                continue
            mapping(root, name)
            for child in (f"{name}/{child}" for child in source[name]):
                if child not in replaced:
                    _copy(file, root, source, path, child)


def write_from_anndata(file: EmbeddingFile, adata: Any, names: tuple[str, ...], *, replaced: set[str]) -> None:
    """Write the elements `names` of an AnnData; a backed one's `X` and `raw` are copied from its file."""
    from anndata.io import write_elem

    with file.filling() as root:
        for name in names:
            if name in {"X", "raw"} and adata.isbacked and hasattr(adata.file._file, "keys") and not file.is_zarr:
                if name in adata.file._file:
                    root.copy(adata.file._file[name], root, name)
                continue
            element = getattr(adata, name)
            if element is None:
                continue
            if name in {"X", "obs", "var"}:
                write_elem(root, name, _in_memory(element))
            elif name == "raw":
                group = root.create_group("raw")
                group.attrs.update({"encoding-type": "raw", "encoding-version": "0.1.0"})
                write_elem(group, "X", element.X)
                write_elem(group, "var", _in_memory(element.var))
                write_elem(group, "varm", dict(element.varm or {}))
            else:
                mapping(root, name)
                for key, value in element.items():
                    if f"{name}/{key}" not in replaced:
                        write_elem(root[name], key, _in_memory(value))


def mapping(root: Any, name: str) -> Any:
    """The group `name`, made as anndata makes one for a dictionary if it is not there."""
    group = root.require_group(name)
    group.attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
    return group


def _copy(file: EmbeddingFile, root: Any, source: Any, path: Path, name: str) -> None:
    from anndata.io import read_elem, write_elem

    if path.is_dir() and file.is_zarr:
        shutil.copytree(path / name, file.path / name)
    elif not path.is_dir() and not file.is_zarr:
        source.copy(source[name], root, name)
    else:
        parent, _, child = name.rpartition("/")
        write_elem(root[parent] if parent else root, child, read_elem(source[name]))


def _in_memory(element: Any) -> Any:
    """Lazy tables and texts in memory; numbers in Dask arrays anndata writes block by block."""
    if isinstance(element, dict):
        return {key: _in_memory(value) for key, value in element.items()}
    if hasattr(element, "dask") and element.dtype.kind not in "buifc":
        return element.compute()
    return element.to_memory() if type(element).__name__ == "Dataset2D" else element
