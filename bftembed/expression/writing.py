"""An AnnData into a file: element by element, and what anndata cannot write found before any work."""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bftembed._files import replacing
from bftembed.errors import DataError
from bftembed.expression.hdf5 import Hdf5Output

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    import pandas as pd

TABLES = ("obs", "var", "obsm", "varm", "uns")
BULK = ("X", "layers", "raw", "obsp", "varp")


def write_anndata(adata: Any, target: Path) -> None:
    """Write an AnnData, in memory, backed or lazy, as .h5ad or .zarr; an older file is replaced at the end.

    Raises
    ------
    DataError
        If an element is of a kind that anndata cannot write, or the disk is full or cannot be written.
    """
    import zarr

    try:
        with replacing(target) as made, _quiet():
            if target.suffix == ".zarr":
                root: Any = zarr.open_group(made, mode="w", zarr_format=_zarr_format())
                _write_root(root, adata)
                zarr.consolidate_metadata(root.store)
            else:
                with Hdf5Output(made) as root:
                    _write_root(root, adata)
    except (OSError, RuntimeError) as error:
        reason = next(iter(str(error).splitlines()), "")[:200]
        msg = f"`{target}` cannot be written ({reason}). Free space, or choose another output."
        raise DataError(msg) from error


def write_elements(root: Any, adata: Any, names: tuple[str, ...], *, but: Collection[str] = ()) -> None:
    """Write the elements `names` of an AnnData into an h5py or zarr group.

    Parameters
    ----------
    root
        Where to.
    adata
        In memory, backed or lazy; `X` and `raw` of a backed one are copied from its file.
    names
        Of `TABLES` and `BULK`; those that are None are passed over.
    but
        Paths such as ``"obsm/X_bft"`` that are written by the caller.
    """
    for name in names:
        if name in {"X", "raw"} and adata.isbacked and not hasattr(root, "store"):
            if name in adata.file:
                root.copy(adata.file[name], root, name)
            continue
        element = None if name == "X" and adata.isbacked and "X" not in adata.file else getattr(adata, name)
        if element is None:
            continue
        if name in {"X", "obs", "var"}:
            write_element(root, name, element, name=name)
        elif name == "raw":
            group = root.create_group("raw")
            group.attrs.update({"encoding-type": "raw", "encoding-version": "0.1.0"})
            write_element(group, "X", element.X, name="raw.X")
            write_element(group, "var", element.var, name="raw.var")
            write_element(group, "varm", dict(element.varm or {}), name="raw.varm")
        else:
            mapping_group(root, name)
            for key, value in element.items():
                if f"{name}/{key}" not in but:
                    write_element(root[name], key, value, name=f"{name}[{key!r}]")


def write_element(group: Any, key: str, element: Any, *, name: str) -> None:
    """Write `element` as ``group[key]``.

    Lazy tables and texts are read first; a column of texts of which some are missing becomes categorical, as
    `anndata.AnnData.write_h5ad` has it; numbers in Dask arrays anndata writes block by block.

    Raises
    ------
    DataError
        If anndata cannot write such a thing; `name` is what the message calls it.
    OSError
        If the disk is full or cannot be written.
    """
    from anndata.io import write_elem

    with _quiet():
        try:
            write_elem(group, key, _in_memory(element))
        except OSError:
            raise
        except Exception as error:  # whatever anndata, h5py and zarr raise: their errors have no common base
            raise DataError(_cannot(name, error)) from error


def mapping_group(root: Any, name: str) -> Any:
    """The group `name`, made as anndata makes one for a dictionary if it is not there."""
    group = root.require_group(name)
    group.attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
    return group


def check_writable(adata: Any, target: Path) -> None:
    """Find out whether anndata can write all of `adata`, by writing what is no matrix of numbers into memory.

    Raises
    ------
    DataError
        If it cannot; the message names the element.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they come again when the file is written
        for name, element in _pieces(adata):
            try:
                write_element(_scratch(target), "element", element, name=name)
            except OSError as error:  # HDF5 says so of attributes that are too large
                raise DataError(_cannot(name, error)) from error


def _pieces(adata: Any) -> Iterator[tuple[str, Any]]:
    """What may be unwritable, in pieces as small as a message can name them."""
    for name in ("obs", "var"):
        yield from _of_frame(name, getattr(adata, name))
    for name in ("obsm", "varm", "obsp", "varp", "layers", "uns"):
        yield from _of_mapping(name, getattr(adata, name))
    if adata.raw is not None:
        yield from _of_frame("raw.var", adata.raw.var)
        yield from _of_mapping("raw.varm", adata.raw.varm or {})


def _of_frame(name: str, frame: Any) -> Iterator[tuple[str, Any]]:
    import pandas as pd

    frame = _in_memory(frame)
    yield f"{name}.index", pd.DataFrame(index=frame.index.rename(None))
    if frame.index.name in frame.columns:
        yield f"{name}.index.name", frame[[frame.index.name]]
    for i, column in enumerate(frame.columns):
        _refuse_nameless(f"{name}[{column!r}]", column)
        if not _is_numbers(values := frame.iloc[:, i]._values):
            yield f"{name}[{column!r}]", {str(column): values}
    yield name, frame.iloc[:0]


def _of_mapping(name: str, mapping: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in mapping.items():
        here = f"{name}[{key!r}]"
        _refuse_nameless(here, key)
        if hasattr(value, "columns"):
            yield here, {key: 0}
            yield from _of_frame(here, value)
        elif isinstance(value, Mapping):
            yield here, {key: {}}
            yield from _of_mapping(here, value)
        else:
            yield here, {key: 0 if _is_numbers(value) else value}


def _refuse_nameless(name: str, key: Any) -> None:
    """HDF5 and zarr take such a name for the group itself, in whose place the element would be written."""
    if key in {"", "."}:
        raise DataError(_cannot(name, ValueError("its name stands for the group that it is in")))


def _is_numbers(value: Any) -> bool:
    """Whether it is an array of numbers, which are not written twice; a Series cannot be written whatever it holds."""
    kind = getattr(getattr(value, "dtype", None), "kind", "O")
    return kind in "buifc" and type(value).__module__.partition(".")[0] != "pandas"


def _scratch(target: Path) -> Any:
    if target.suffix == ".zarr":
        import zarr

        return zarr.group(store=zarr.storage.MemoryStore(), zarr_format=_zarr_format())
    import h5py

    return h5py.File(uuid.uuid4().hex, "w", driver="core", backing_store=False)


def _write_root(root: Any, adata: Any) -> None:
    root.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
    write_elements(root, adata, TABLES + BULK)


def _zarr_format() -> Any:
    import anndata

    return anndata.settings.zarr_write_format


@contextmanager
def _quiet() -> Iterator[None]:
    """Nullable texts, as pandas 3 has them, are written: anndata before 0.13 refuses them unless asked."""
    import anndata

    with warnings.catch_warnings(), anndata.settings.override(allow_write_nullable_strings=True):
        # Announcements of anndata and zarr about their next versions; nothing that a user could act on here.
        warnings.filterwarnings("ignore", "Writing zarr v2 data|zarr v3 autosharding")
        warnings.filterwarnings("ignore", "Consolidated metadata is currently not part")
        yield


def _cannot(name: str, error: Exception) -> str:
    reason = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')[:200]}"
    remedy = "Change it first"
    if name.endswith(".index.name"):
        remedy = f"Call `adata.{name} = None` first"
    elif name.startswith(("obs[", "var[")):
        characters = isinstance(error, UnicodeError) or "NULL" in str(error)
        replaced = ".str.replace(r'[\\x00\\ud800-\\udfff]', '?', regex=True)" if characters else ""
        remedy = f"Call `adata.{name} = adata.{name}.astype(str){replaced}`, or `del adata.{name}`, first"
    elif name.endswith("]"):
        remedy = f"Change it, or `del adata.{name}`, first"
    return f"`{name}` is of a kind that anndata cannot write ({reason}). {remedy}."


def _in_memory(element: Any) -> Any:
    if type(element).__name__ == "Dataset2D":
        element = element.to_memory()
    if hasattr(element, "columns"):
        return _with_categories(element)
    if isinstance(element, Mapping):
        return {key: _in_memory(value) for key, value in element.items()}
    return element.compute() if hasattr(element, "dask") and not _is_numbers(element) else element


def _with_categories(frame: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    if not frame.columns.is_unique:
        return frame
    texts = [
        name
        for name, column in frame.items()
        if column.dtype == object and column.isna().any() and pd.api.types.infer_dtype(column, skipna=True) == "string"
    ]
    return frame.assign(**{str(name): pd.Categorical(frame[name]) for name in texts}) if texts else frame
