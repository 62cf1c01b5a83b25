import gzip

import pandas as pd
import pytest

from bftembed.data._tables import read_csv, read_tsv, read_xlsx
from bftembed.errors import MissingExtraError


def test_gene_called_na_stays_a_gene_where_asked(tmp_path):
    path = tmp_path / "genes.tsv"
    path.write_text("gene\talias\nNA\t\nTP53\tNaN\n")
    frame = read_tsv(path, keep_default_na=False, na_values=[""])
    assert frame["gene"].tolist() == ["NA", "TP53"]
    assert frame["alias"].isna().tolist() == [True, False]
    assert read_tsv(path)["gene"].isna().tolist() == [True, False]


def test_gzipped_csv(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n1,x\n"))
    pd.testing.assert_frame_equal(read_csv(path), pd.DataFrame({"a": [1], "b": ["x"]}))


def test_type_of_a_column_does_not_depend_on_the_length_of_the_file(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text("id\n" + "1\n" * 600_000 + "1|2\n")
    assert {type(value) for value in read_csv(path)["id"]} == {str}


def test_spreadsheet(tmp_path):
    path = tmp_path / "t.xlsx"
    frames = {"one": pd.DataFrame({"a": [1, 2]}), "two": pd.DataFrame({"b": ["x"]})}
    with pd.ExcelWriter(path, engine="openpyxl") as writer:
        for sheet, frame in frames.items():
            frame.to_excel(writer, sheet_name=sheet, index=False)
    read = read_xlsx(path, sheet_name=None)
    assert list(read) == ["one", "two"]
    pd.testing.assert_frame_equal(read["two"], frames["two"])
    pd.testing.assert_frame_equal(read_xlsx(path), frames["one"])


def test_spreadsheet_without_openpyxl(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(MissingExtraError, match=r"openpyxl.*bftembed\[bench\]"):
        read_xlsx(tmp_path / "t.xlsx")
