"""R files (rda, RData, rds), through the package rdata: data frames and sparse matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from bftembed.data._matrices import cells_by_genes
from bftembed.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import SimpleNamespace

    from rdata.conversion import SimpleConverter
    from rdata.parser import RData
    from scipy.sparse import csc_matrix


class RMatrix(NamedTuple):
    """A sparse matrix of R as it is stored: `matrix` is ``rows x columns``; names are None where R has none."""

    matrix: csc_matrix
    row_names: list[str] | None
    column_names: list[str] | None


def read_rda(path: Path, *, object: str | None = None, anndata: bool = False) -> object:
    """Read the objects of an R workspace.

    Parameters
    ----------
    path
        The file.
    object
        Name of the one to return; by default the only one, or all of them as name to object.
    anndata
        Whether sparse matrices, which R keeps as genes x cells, become AnnData of cells x genes; else `RMatrix`.

    Raises
    ------
    DataError
        If the file has no object of that name.
    """
    objects = {name: _finish(value, anndata=anndata) for name, value in _read(path, ".rda").items()}
    if object is None:
        return next(iter(objects.values())) if len(objects) == 1 else objects
    if object not in objects:
        msg = f"{path} has no object {object!r}; it has {', '.join(objects)}."
        raise DataError(msg)
    return objects[object]


def read_rds(path: Path, *, anndata: bool = False) -> object:
    """Read the one object of an rds file; `anndata` as in `read_rda`."""
    return _finish(_read(path, ".rds"), anndata=anndata)


def _read(path: Path, extension: str) -> Any:
    import rdata

    parsed = rdata.parser.parse_file(path, extension=extension)
    # Only files of R 3.5 or later say how text is encoded where a string does not say so itself.
    encoding = None if parsed.extra.encoding else "utf-8"
    return _converter_class()(_constructors(), default_encoding=encoding).convert(parsed)


def _converter_class() -> type[SimpleConverter]:
    import numpy as np
    from rdata.conversion import SimpleConverter, convert_char
    from rdata.parser import RObject, RObjectType

    class Converter(SimpleConverter):
        """Keeps strings as Python objects: the fixed-width array of rdata takes 1.4 GB for the RefSeq summaries."""

        def _convert_next(self, data: RData | RObject) -> object:
            if not isinstance(data, RObject) or data.info.type is not RObjectType.STR or data.info.attributes:
                return super()._convert_next(data)
            strings = [convert_char(each, default_encoding=self.default_encoding_used) for each in data.value]
            return np.array(strings, dtype=object)

    return Converter


def _finish(value: object, *, anndata: bool) -> object:
    import pandas as pd

    if anndata and isinstance(value, RMatrix):
        return cells_by_genes(value.matrix.T.tocsr(), obs=value.column_names, var=value.row_names)
    if isinstance(value, pd.DataFrame) and isinstance(value.index, pd.RangeIndex):
        return value.reset_index(drop=True)  # R counts rows from 1
    return value


def _constructors() -> dict[str | bytes, Callable[[Any, Mapping[str, Any]], Any]]:
    """Return how to make the classes of R: those of rdata, sparse matrices and the tidyverse's frames."""
    from rdata.conversion import DEFAULT_CLASS_MAP, dataframe_constructor

    return {
        **DEFAULT_CLASS_MAP,
        "dgCMatrix": _compressed_columns,
        "dgTMatrix": _triplets,
        "tbl_df": dataframe_constructor,
        "tbl": dataframe_constructor,
    }


def _compressed_columns(value: SimpleNamespace, _attributes: Mapping[str, Any]) -> RMatrix:
    from scipy.sparse import csc_matrix

    matrix = csc_matrix((value.x, value.i, value.p), shape=(int(value.Dim[0]), int(value.Dim[1])))
    return RMatrix(matrix, *_dimnames(value))


def _triplets(value: SimpleNamespace, _attributes: Mapping[str, Any]) -> RMatrix:
    from scipy.sparse import coo_matrix

    # Repeated triplets mean their sum in R as in scipy.
    matrix = coo_matrix((value.x, (value.i, value.j)), shape=(int(value.Dim[0]), int(value.Dim[1]))).tocsc()
    return RMatrix(matrix, *_dimnames(value))


def _dimnames(value: SimpleNamespace) -> tuple[list[str] | None, list[str] | None]:
    rows, columns = (None if names is None else [str(name) for name in names] for names in value.Dimnames)
    return rows, columns
