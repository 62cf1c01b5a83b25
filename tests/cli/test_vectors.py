import numpy as np
import pandas as pd
import pytest

from bftembed.cli._vectors import checked_output, usable, write_texts
from bftembed.errors import DataError, InputError

NAMES = ["TP53", 'drug, with "quotes"', "nan", "WITHOUT"]
TEXTS = ["a text", "", "another", "a third"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_texts_stand_where_there_are_no_vectors(suffix, tmp_path):
    write_texts(NAMES, TEXTS, tmp_path / f"v{suffix}")
    path = tmp_path / f"v{suffix}"
    frame = pd.read_csv(path, keep_default_na=False) if suffix == ".csv" else pd.read_parquet(path)
    assert frame.to_dict("list") == {"name": ["TP53", "nan", "WITHOUT"], "text": ["a text", "another", "a third"]}


def test_a_row_counts_with_a_vector_or_without_any_with_a_text():
    vectors = np.array([[1, 2], [np.nan, np.nan]], dtype=np.float32)
    assert usable(vectors, ["", "x"]).tolist() == [True, False]
    assert usable(vectors[:, :0], ["", "x"]).tolist() == [False, True]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".vec", ".npz", ".safetensors"])
def test_tables_hold_one_kind_of_vectors(suffix, tmp_path):
    checked_output(tmp_path / f"x{suffix}", one_table=True)
    with pytest.raises(InputError, match="pass --no-cells"):
        checked_output(tmp_path / f"x{suffix}", one_table=False)
    with pytest.raises(InputError, match="no directory"):
        checked_output(tmp_path / "none" / f"x{suffix}", one_table=True)


def test_texts_alone_are_tables(tmp_path):
    checked_output(tmp_path / "x.csv", one_table=True, vectors=False)
    with pytest.raises(InputError, match=r"leaves texts only: write \.csv or \.parquet"):
        checked_output(tmp_path / "x.vec", one_table=True, vectors=False)


def test_other_suffixes_are_refused_with_those_there_are(tmp_path):
    with pytest.raises(InputError, match=r"must end in \.h5ad or \.zarr, \.csv, \.parquet, \.vec"):
        checked_output(tmp_path / "x.xlsx", one_table=True)
    checked_output(tmp_path / "x.zarr", one_table=False)


def test_what_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        write_texts(NAMES, TEXTS, tmp_path / "file" / "x.csv")
