"""Pickles, through an unpickler that makes only plain containers and numpy and pandas objects.

A pickle is a program: it may call whatever it can name. This one may name the objects listed here and nothing else, by
exact module and name, so neither functions nor methods (``DataFrame.to_csv``) can be reached.
"""

from __future__ import annotations

import pickle
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from typing import TYPE_CHECKING

from bftembed.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

_NUMPY_CORE = "_reconstruct scalar"
_ADMITTED = {
    "builtins": "bool bytearray bytes complex dict float frozenset int list range set slice str tuple",
    "collections": "Counter OrderedDict defaultdict deque",
    "datetime": "date datetime time timedelta timezone",
    "_codecs": "encode",  # how old protocols write bytes
    "numpy": "dtype ndarray",
    "numpy.core.multiarray": _NUMPY_CORE,
    "numpy._core.multiarray": _NUMPY_CORE,
    "numpy.core.numeric": "_frombuffer",
    "numpy._core.numeric": "_frombuffer",
    "pandas": "NA Series DataFrame Index",
    "pandas._libs.arrays": "__pyx_unpickle_NDArrayBacked",
    "pandas._libs.internals": "_unpickle_block",
    "pandas._libs.missing": "NA",
    "pandas._libs.tslibs.nattype": "__nat_unpickle",
    "pandas._libs.tslibs.timedeltas": "_timedelta_unpickle",
    "pandas._libs.tslibs.timestamps": "_unpickle_timestamp",
    "pandas.core.arrays.boolean": "BooleanArray BooleanDtype",
    "pandas.core.arrays.categorical": "Categorical",
    "pandas.core.arrays.datetimes": "DatetimeArray",
    "pandas.core.arrays.floating": "FloatingArray Float32Dtype Float64Dtype",
    "pandas.core.arrays.integer": "IntegerArray Int8Dtype Int16Dtype Int32Dtype Int64Dtype UInt8Dtype UInt16Dtype "
    "UInt32Dtype UInt64Dtype",
    "pandas.core.arrays.string_": "StringArray StringDtype",
    "pandas.core.arrays.timedeltas": "TimedeltaArray",
    "pandas.core.dtypes.dtypes": "CategoricalDtype",
    "pandas.core.frame": "DataFrame",
    "pandas.core.indexes.base": "Index _new_Index",
    "pandas.core.indexes.category": "CategoricalIndex",
    "pandas.core.indexes.datetimes": "DatetimeIndex _new_DatetimeIndex",
    "pandas.core.indexes.multi": "MultiIndex",
    "pandas.core.indexes.range": "RangeIndex",
    "pandas.core.internals.blocks": "new_block",
    "pandas.core.internals.managers": "BlockManager SingleBlockManager",
    "pandas.core.series": "Series",
}
_ADMITTED_NAMES = {(module, name) for module, names in _ADMITTED.items() for name in names.split()}
_PYTHON_2: dict[tuple[str, str], tuple[str, str]] = NAME_MAPPING


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        # Protocols 0 to 2 write the names of Python 2.
        module, name = _PYTHON_2.get((module, name), (IMPORT_MAPPING.get(module, module), name))
        if (module, name) not in _ADMITTED_NAMES:
            msg = (
                f"The pickle asks for `{module}.{name}`, which is not among the plain containers, numpy and pandas "
                "objects that are read; a pickle can run any program, so it is refused. Ask its author for a table."
            )
            raise DataError(msg)
        return super().find_class(module, name)


def read_pickle(path: Path) -> object:
    """Read a pickle of plain containers, numpy arrays, scalars and dtypes, and pandas frames, series and indices.

    Raises
    ------
    DataError
        If it asks for anything else; the class or function is named and not imported.

    Examples
    --------
    >>> import pickle
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from bftembed.data import read_pickle
    >>> with TemporaryDirectory() as directory:
    ...     path = Path(directory) / "vectors.pickle"
    ...     _ = path.write_bytes(pickle.dumps({"TP53": [0.5, 1.0]}))
    ...     read_pickle(path)
    {'TP53': [0.5, 1.0]}
    """
    with path.open("rb") as file:
        try:
            content: object = _Unpickler(file).load()
        except DataError as error:
            msg = f"{path} is refused. {error}"
            raise DataError(msg) from error
    return content
