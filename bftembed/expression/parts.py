"""The parts of an AnnData in memory, lazy or backed, or of the file of one, without loading a matrix."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed._near import did_you_mean, near_file
from bftembed.errors import InputError
from bftembed.expression.files import NOT_ANNDATA, open_group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True)
class AnnDataParts:
    """The parts of an AnnData, in memory, lazy or on disk, that expression is read from."""

    x: Any
    layers: Mapping[str, Any]
    varm: Mapping[str, Any]
    uns: Mapping[str, Any]
    obs: Any  # tables, or what looks like one: has `columns`, and gives a column by its name
    var: Any
    obs_names: Callable[[], pd.Index]
    var_names: Callable[[], pd.Index]
    raw: AnnDataParts | None
    group: Any = None  # of a file


@dataclass(frozen=True)
class Matrix:
    """One expression matrix `x` (n_obs, n_vars), what messages call it, and the AnnData that it is of."""

    x: Any
    name: str
    parts: AnnDataParts

    def cells(self, numbers: Sequence[int] | NDArray[np.int64]) -> str:
        """Names of a few cells, for a message."""
        return ", ".join(repr(str(name)) for name in self.parts.obs_names()[np.asarray(numbers)])


@contextmanager
def opened(adata: Any) -> Iterator[AnnDataParts]:
    """The parts of an AnnData, or of the file at a path, which is closed at the end.

    Raises
    ------
    InputError
        If there is no such file or it holds no AnnData.
    """
    if not isinstance(adata, str | os.PathLike):
        yield parts_of(adata)
        return
    path = Path(adata).expanduser()
    if not path.exists():
        msg = f"There is no file {str(path)!r}.{near_file(path) or f' {NOT_ANNDATA}'}"
        raise InputError(msg)
    group = open_group(path)
    try:
        if "mod" in group:
            how = f"mudata.read_h5ad({str(path)!r}, mod={{!r}})" if path.is_file() else "mudata.read_zarr(...)[{!r}]"
            raise InputError(_one_modality(sorted(group["mod"]), f"{str(path)!r} holds MuData", how))
        if not {"obs", "var"} <= set(group):
            msg = f"{str(path)!r} holds {sorted(group)[:10]}, not the `obs` and `var` of an AnnData. {NOT_ANNDATA}"
            raise InputError(msg)
        if not all(hasattr(group[name], "keys") for name in ("obs", "var")):
            raise InputError(_too_old(str(path)))
        yield _of_group(group)
    finally:
        if hasattr(group, "close"):
            group.close()


def chosen_matrix(parts: AnnDataParts, *, layer: str | None, use_raw: bool) -> Matrix:
    """The expression matrix: ``X``, a layer or that of ``raw``.

    Raises
    ------
    InputError
        If it is missing, or has no rows or no columns.
    """
    if use_raw and layer is not None:
        msg = f"Both use_raw=True and layer={layer!r} were given; choose one."
        raise InputError(msg)
    if use_raw and parts.raw is None:
        msg = "use_raw=True was given, but this AnnData has no `.raw`."
        raise InputError(msg)
    if layer is not None and layer not in parts.layers:
        msg = f"There is no layer {layer!r}; {_layers(parts)}.{did_you_mean(layer, parts.layers)}"
        raise InputError(msg)
    if use_raw and parts.raw is not None:
        x, name = parts.raw.x, "`.raw.X`"
    elif layer is not None:
        x, name = parts.layers[layer], f"layer {layer!r}"
    else:
        x, name = parts.x, "`.X`"
    if x is None:
        ways = [f"layer=, one of {sorted(parts.layers)}"] if parts.layers else []
        ways += ["use_raw=True"] if parts.raw is not None and not use_raw else []
        other = f"pass {', or '.join(ways)}" if ways else "it has no layers and no `.raw` either"
        msg = f"{name} of this AnnData is empty (None); {other}."
        raise InputError(msg)
    if 0 in x.shape:
        msg = f"{name} holds {x.shape[0]} cells x {x.shape[1]} genes: there is nothing to embed. Check the filtering."
        raise InputError(msg)
    return Matrix(x, name, parts)


def _layers(parts: AnnDataParts) -> str:
    return f"this AnnData has {f'the layers {sorted(parts.layers)}' if parts.layers else 'no layers'}"


def checked_anndata(adata: Any, name: str = "adata") -> None:
    """Refuse what is no AnnData; `name` is that of the argument.

    Raises
    ------
    InputError
        If it is a path, MuData, whose modalities are one AnnData each, or something else.
    """
    if isinstance(adata, str | os.PathLike):
        path = str(adata)
        read = f"read_zarr({path!r})" if Path(path).suffix == ".zarr" else f"read_h5ad({path!r}, backed='r')"
        msg = f"`{name}` is a path: read it first, e.g. `anndata.{read}`."
        raise InputError(msg)
    if isinstance(modalities := getattr(adata, "mod", None), Mapping):
        raise InputError(_one_modality(list(modalities), "this is MuData", "mdata[{!r}]", name))
    if not (hasattr(adata, "obs_names") and hasattr(adata, "varm")):
        msg = f"`{name}` is a {type(adata).__name__}; give an AnnData."
        raise InputError(msg)


def column_of(frame: Any, name: str) -> pd.Series[Any]:
    """The values of a column of ``obs`` or ``var``, which may be lazy, as an object Series without the index."""
    import pandas as pd

    column = frame[name]
    return pd.Series(np.asarray(getattr(column, "values", column), dtype=object))


def check_columns(frame: Any, where: str, names: Iterable[str], *, remedy: str = "") -> None:
    """Refuse names that are no column of a table.

    Parameters
    ----------
    frame
        ``obs``, ``var`` or another table.
    where
        What the message calls it, e.g. ``"adata.obs"``.
    names
        The columns.
    remedy
        What to do, at the end of the message.

    Raises
    ------
    InputError
        With the columns that there are, and the nearest of them.
    """
    for name in names:
        if name not in list(frame.columns):  # a list of names is no name, and has no hash
            known = list(map(str, frame.columns))
            hint = f"{did_you_mean(str(name), known)}{remedy}"
            msg = f"`{where}` has no column `{name}`; it has {', '.join(known) or 'none'}.{hint}"
            raise InputError(msg)


def _one_modality(modalities: list[str], what: str, how: str, name: str = "adata") -> str:
    first = how.format("rna" if "rna" in modalities else modalities[0] if modalities else "rna")
    return f"`{name}`: {what}, of the modalities {modalities}; pass the AnnData of one of them: {first}."


@contextmanager
def made_actual() -> Iterator[None]:
    """For results that are put into an AnnData: anndata makes a copy of a view then, and warns of it each time."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*of view, initializing view as actual")
        yield


def parts_of(adata: Any) -> AnnDataParts:
    """The parts of an AnnData in memory, lazy or backed.

    Raises
    ------
    InputError
        If it is no AnnData.
    """
    checked_anndata(adata)
    raw = None
    if (own := adata.raw) is not None:
        names = {"obs_names": lambda: adata.obs_names, "var_names": lambda: own.var_names}
        raw = AnnDataParts(own.X, {}, own.varm or {}, {}, adata.obs, own.var, **names, raw=None)
    # A backed one raises a KeyError for `.X` where its file holds none.
    x = None if adata.isbacked and "X" not in adata.file else adata.X
    names = {"obs_names": lambda: adata.obs_names, "var_names": lambda: adata.var_names}
    return AnnDataParts(x, adata.layers, adata.varm, adata.uns, adata.obs, adata.var, **names, raw=raw)


def _of_group(group: Any) -> AnnDataParts:
    raw = _of_group(group["raw"]) if "raw" in group and "X" in group["raw"] else None
    return AnnDataParts(
        x=_matrix(group["X"]) if "X" in group else None,
        layers={name: _matrix(group["layers"][name]) for name in group.get("layers", ())},
        varm={name: _array(group["varm"][name]) for name in group.get("varm", ())},
        uns=group.get("uns", {}),
        obs=DiskTable(group.get("obs")),
        var=DiskTable(group["var"]),
        obs_names=lambda: _index(group["obs"]),
        var_names=lambda: _index(group["var"]),
        raw=raw,
        group=group,
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


@dataclass(frozen=True)
class DiskTable:
    """``obs`` or ``var`` of a file, of which single columns are read."""

    group: Any

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return [] if self.group is None else [str(name) for name in self.group.attrs.get("column-order", ())]

    def __getitem__(self, name: str) -> Any:
        from anndata.io import read_elem

        # Before anndata 0.8 a categorical column was numbers, with its categories elsewhere in the group.
        return read_elem(self.group)[name] if "__categories" in self.group else read_elem(self.group[name])


def _matrix(element: Any) -> Any:
    if hasattr(element, "dtype"):
        return element
    encoding = str(element.attrs.get("encoding-type", ""))
    if encoding not in {"csr_matrix", "csc_matrix"}:
        msg = f"{element.name} is stored as {encoding!r}; read the file with anndata and write it again."
        raise InputError(msg)
    rows, columns = (int(n) for n in element.attrs["shape"])
    return DiskMatrix(element, encoding[:3], (rows, columns), element["data"].dtype)


def _too_old(name: str) -> str:
    return f"{name} was written by anndata before 0.7; read the file and write it again with anndata."


def _array(element: Any) -> Any:
    from anndata.io import read_elem

    return element if hasattr(element, "dtype") else read_elem(element)


def _index(frame: Any) -> pd.Index:
    import pandas as pd
    from anndata.io import read_elem

    if "_index" not in frame.attrs:
        raise InputError(_too_old(frame.name))
    names: pd.Index = pd.Index(read_elem(frame[frame.attrs["_index"]]))
    return names
