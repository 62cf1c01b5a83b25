"""Files that hold an AnnData."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NOT_ANNDATA = (
    "Give an .h5ad file or a .zarr directory that anndata wrote; other formats can be read with scanpy "
    "(`sc.read_10x_h5`, `sc.read_csv`, ...) and written with `adata.write_h5ad`."
)


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


def checked_target(target: Path, *, also: Sequence[str] = ()) -> bool:
    """Whether `target` names a .zarr (rather than an .h5ad) that may be written.

    Parameters
    ----------
    target
        Where a result goes.
    also
        Other suffixes that the caller takes, for the message.

    Raises
    ------
    InputError
        If it ends in neither, its directory does not exist, or something else is in its place.
    """
    if target.suffix not in {".h5ad", ".zarr"}:
        others = "".join(f", {suffix}" for suffix in also)
        msg = f"output={str(target)!r} must end in .h5ad or .zarr{others}."
        raise InputError(msg)
    if not target.parent.is_dir():
        msg = f"There is no directory {str(target.parent)!r} for output={str(target)!r}; make it first."
        raise InputError(msg)
    is_zarr = target.suffix == ".zarr"
    is_store = any((target / name).exists() for name in ("zarr.json", ".zgroup"))
    if target.exists() and (not is_store if is_zarr else target.is_dir()):
        msg = f"output={str(target)!r} exists and is not a {target.suffix} store; choose another name."
        raise InputError(msg)
    return is_zarr
