import collections
import datetime as dt
import importlib
import os
import pickle
import subprocess
import warnings

import numpy as np
import pandas as pd
import pytest

from bftembed.data._pickles import _ADMITTED_NAMES, read_pickle
from bftembed.errors import DataError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


@pytest.fixture
def dump(tmp_path):
    def write(value, protocol=pickle.DEFAULT_PROTOCOL):
        path = tmp_path / "x.pkl"
        path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value, protocol))
        return path

    return write


PLAIN = {
    "a": [
        1,
        2.5,
        True,
        None,
        "é",
        b"\xff\x00",
        (1, 2),
        {3},
        frozenset({4}),
        1 + 2j,
        bytearray(b"x"),
        slice(1, 2),
        range(3),
    ],
    "b": collections.OrderedDict(x=1),
    "c": collections.defaultdict(list, y=[1]),
    "d": collections.Counter("abca"),
    "e": collections.deque([1, 2]),
    "f": dt.datetime(2020, 1, 2, tzinfo=dt.UTC) - dt.timedelta(days=1),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_containers(dump, protocol):
    assert read_pickle(dump(PLAIN, protocol)) == PLAIN


ARRAYS = [
    np.arange(6, dtype=np.int16).reshape(2, 3),
    np.asfortranarray(np.random.default_rng(0).normal(size=(3, 2))),
    np.array(["TP53", "NA"]),
    np.array([{"a": 1}, None], dtype=object),
    np.array(["2020-01-01"], dtype="datetime64[D]"),
    np.zeros(2, dtype=[("x", "f4"), ("y", "i8")]),
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: str(array.dtype))
def test_numpy_arrays(dump, array, protocol):
    read = read_pickle(dump({"x": array}, protocol))["x"]
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_numpy_scalars_and_dtypes(dump, protocol):
    values = [np.float32(1.5), np.int64(-3), np.str_("x"), np.bool_(True), np.dtype("<f8")]
    read = read_pickle(dump(values, protocol))
    assert read == values
    assert [type(value) for value in read] == [type(value) for value in values]


FRAME = pd.DataFrame(
    {
        "i": [1, 2, 3],
        "f": [0.5, np.nan, 2.0],
        "s": ["TP53", "NA", None],
        "n": pd.array([1, None, 3], dtype="Int32"),
        "b": pd.array([True, None, False], dtype="boolean"),
        "g": pd.array([1.5, None, 0.0], dtype="Float64"),
        "t": pd.array(["a", None, "b"], dtype=pd.StringDtype("python")),
        "c": pd.Categorical(["x", "y", "x"], categories=["y", "x"], ordered=True),
        "d": pd.to_datetime(["2020-01-01", "2020-01-02", None]),
        "z": pd.to_timedelta([1, 2, None], unit="D"),
    },
    index=pd.Index(["a", "b", "c"], name="key"),
)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pandas_frames_and_series(dump, protocol):
    read = read_pickle(dump({"frame": FRAME, "series": FRAME["c"]}, protocol))
    pd.testing.assert_frame_equal(read["frame"], FRAME)
    pd.testing.assert_series_equal(read["series"], FRAME["c"])


INDICES = [
    pd.RangeIndex(2, 9, 3),
    pd.Index([1.5, 2.5]),
    pd.Index(["a", "b"], dtype=object),
    pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", "y"]),
    pd.CategoricalIndex(["x", "y", "x"]),
    pd.DatetimeIndex(["2020-01-01", "2020-01-03"]),
]


@pytest.mark.parametrize("index", INDICES, ids=lambda index: type(index).__name__)
def test_pandas_indices(dump, index):
    pd.testing.assert_index_equal(read_pickle(dump(index)), index)


def test_pandas_scalars(dump):
    values = [pd.NA, pd.NaT, pd.Timestamp("2020-01-01"), pd.Timedelta("1D")]
    read = read_pickle(dump(values))
    assert read[0] is pd.NA
    assert read[1] is pd.NaT
    assert read[2:] == values[2:]


class _Call:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


MALICIOUS = {
    "system": (os.system, "touch"),
    "eval": (eval, "1"),
    "popen": (subprocess.Popen, "touch"),
    "getattr": (getattr, "x", "upper"),
    "frame_method": (pd.DataFrame.to_csv, "x"),
    "read_pickle": (pd.read_pickle, "x"),
    "numpy_load": (np.load, "x"),
}


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_program_is_not_run(dump, tmp_path, protocol):
    trace = tmp_path / "trace"
    path = dump([1, _Call(os.system, f"touch {trace}")], protocol)
    with pytest.raises(DataError, match=rf"{path} is refused\. The pickle asks for `posix\.system`"):
        read_pickle(path)
    assert not trace.exists()


@pytest.mark.parametrize("what", MALICIOUS)
def test_whatever_is_not_listed_is_refused_by_name(dump, what):
    function, *arguments = MALICIOUS[what]
    with pytest.raises(DataError, match=rf"asks for `[\w.]*{function.__name__}`"):
        read_pickle(dump(_Call(function, *arguments)))


def test_a_method_of_an_admitted_class_cannot_be_reached_by_a_dotted_name(dump):
    program = b"\x80\x04\x8c\x06pandas\x8c\x10DataFrame.to_csv\x93."
    with pytest.raises(DataError, match=r"`pandas\.DataFrame\.to_csv`"):
        read_pickle(dump(program))


@pytest.mark.parametrize(("module", "name"), sorted(_ADMITTED_NAMES))
def test_what_is_admitted_exists(module, name):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"numpy\.core", category=DeprecationWarning)
        assert hasattr(importlib.import_module(module), name)


def test_real_pickles(mirror):
    folds = read_pickle(mirror / "gene_property" / "ylab_go_holdout_dict_all.pkl")
    assert len(folds) == 56
    pairs = read_pickle(mirror / "gene_gene" / "ylab_ng_nested_cv_splits.pkl")
    assert set(pairs) == {"pairs", "labels", "cv_splits"}
    subgroups = read_pickle(mirror / "perturbation" / "scgenept_norman_pert_data_subgroups.pkl")
    assert set(subgroups) == {"test_subgroup", "val_subgroup"}
