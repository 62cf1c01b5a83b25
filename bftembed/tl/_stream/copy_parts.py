"""Everything of an AnnData beside the new embedding, into a file that is being written."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from bftembed.expression import mapping_group, write_element

if TYPE_CHECKING:
    from pathlib import Path

    from bftembed.tl._stream.output import EmbeddingFile


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
            mapping_group(root, name)
            for child in (f"{name}/{child}" for child in source[name]):
                if child not in replaced:
                    _copy(file, root, source, path, child)


def _copy(file: EmbeddingFile, root: Any, source: Any, path: Path, name: str) -> None:
    from anndata.io import read_elem

    if path.is_dir() and file.is_zarr:
        shutil.copytree(path / name, file.path / name)
    elif not path.is_dir() and not file.is_zarr:
        source.copy(source[name], root, name)
    else:
        parent, _, child = name.rpartition("/")
        write_element(root[parent] if parent else root, child, read_elem(source[name]), name=name)
