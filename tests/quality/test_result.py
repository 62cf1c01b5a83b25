import json

import pandas as pd
import pytest

from bftembed.errors import InputError, StoreError
from bftembed.quality import check_profiles


@pytest.fixture(scope="module")
def checked(known):
    first = {"CTSL": "A protease | on chromosome 1.", "TP53": "A transcription factor."}
    return check_profiles({"one": first, "two": {**first, "CTSL": "On 9q21."}}, controls=False, progress=False)


def test_tables_are_the_same_in_every_form(checked, tmp_path):
    for suffix in (".tsv", ".csv", ".json", ".md"):
        checked.save(tmp_path / f"report{suffix}")
    tables = [pd.read_csv(tmp_path / f"report{suffix}", sep=sep) for suffix, sep in ((".tsv", "\t"), (".csv", ","))]
    pd.testing.assert_frame_equal(*tables)
    assert len(tables[0]) == len(checked.summary) + len(checked.differences)
    assert set(tables[0]["profiles"]) == {"one", "two", "one minus two"}
    told = json.loads((tmp_path / "report.json").read_text())
    assert pd.DataFrame(told["summary"])["value"].tolist() == pytest.approx(checked.summary["value"].tolist())
    text = (tmp_path / "report.md").read_text()
    assert "| chromosome wrong | 0.500 [" in text
    assert "## Paired differences" in text
    for shown in ("chromosome wrong", "paired differences"):
        assert shown in checked._repr_html_()


def test_table_of_texts(checked, tmp_path):
    checked.save_genes(tmp_path / "genes.tsv")
    found = pd.read_csv(tmp_path / "genes.tsv", sep="\t", keep_default_na=False)
    assert found.columns[:3].tolist() == ["profiles", "gene", "flags"]
    assert found["flags"].tolist() == ["wrong chromosome", "", "", ""]


def test_one_store_has_no_differences(known):
    alone = check_profiles({"CTSL": "A protease."}, controls=False, progress=False)
    assert "aired" not in alone.markdown() + alone._repr_html_()
    assert alone.table().columns.tolist() == ["profiles"]


def test_places_that_cannot_be(checked, tmp_path):
    with pytest.raises(InputError, match=r"a report is written to \.md, \.json, \.tsv, \.csv"):
        checked.save(tmp_path / "report.xlsx")
    with pytest.raises(InputError, match=r"a table of texts is written to \.tsv, \.csv"):
        checked.save_genes(tmp_path / "genes.json")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        checked.save(tmp_path / "file" / "report.md")
