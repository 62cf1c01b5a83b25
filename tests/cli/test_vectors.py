import numpy as np
import pandas as pd
import pytest

from bftembed.bench.sources.files import read_vectors
from bftembed.cli._vectors import checked_output, write_vectors
from bftembed.errors import DataError, InputError

NAMES = ["TP53", 'drug, with "quotes"', "nan", "WITHOUT"]
VECTORS = np.array([[0.1, -2], [3e-8, 1], [1, 2], [np.nan, np.nan]], dtype=np.float32)
TEXTS = ["a text", "", "another", "a third"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_benchmark_reads_the_same_names_and_numbers(suffix, tmp_path):
    write_vectors(NAMES, VECTORS, TEXTS, tmp_path / f"v{suffix}")
    found = read_vectors(tmp_path / f"v{suffix}")
    assert found.names == NAMES[:3]
    np.testing.assert_array_equal(found.matrix, VECTORS[:3])
    frame = (pd.read_csv if suffix == ".csv" else pd.read_parquet)(tmp_path / f"v{suffix}")
    assert frame.columns.tolist() == ["name", "d0", "d1"]


def test_texts_stand_where_there_are_no_vectors(tmp_path):
    write_vectors(NAMES, np.empty((4, 0), dtype=np.float32), TEXTS, tmp_path / "v.csv")
    frame = pd.read_csv(tmp_path / "v.csv", keep_default_na=False)
    assert frame.columns.tolist() == ["name", "text"]
    assert frame["text"].tolist() == ["a text", "another", "a third"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_hold_one_kind_of_vectors(suffix, tmp_path):
    checked_output(tmp_path / f"x{suffix}", one_table=True)
    with pytest.raises(InputError, match="pass --no-cells"):
        checked_output(tmp_path / f"x{suffix}", one_table=False)
    with pytest.raises(InputError, match="no directory"):
        checked_output(tmp_path / "none" / f"x{suffix}", one_table=True)


def test_other_suffixes_are_refused_with_those_there_are(tmp_path):
    with pytest.raises(InputError, match=r"must end in \.h5ad or \.zarr, \.csv, \.parquet"):
        checked_output(tmp_path / "x.xlsx", one_table=True)
    checked_output(tmp_path / "x.zarr", one_table=False)


def test_what_cannot_be_written_is_said(tmp_path):
    (tmp_path / "x.csv").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        write_vectors(NAMES, VECTORS, TEXTS, tmp_path / "file" / "x.csv")
