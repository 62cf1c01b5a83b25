from types import SimpleNamespace

import pandas as pd
import pytest

import bftembed as bft
from bftembed.browse.about import columns_told, facts_of, flags_of, notes_of, origin, provenance_lines, symbols
from bftembed.browse.rows import rows_of
from bftembed.errors import InputError

CHECKED = pd.DataFrame({"gene": ["CD3E", "ALB"], "flags": ["wrong chromosome; loop", ""]})


@pytest.fixture
def rows(genes):
    return rows_of(genes, use_rep="X_bft")


def test_flags_from_a_table_a_result_and_a_file(rows, tmp_path):
    CHECKED.to_csv(tmp_path / "g.tsv", sep="\t", index=False)
    CHECKED.to_csv(tmp_path / "g.csv", index=False)
    for checks in (CHECKED, SimpleNamespace(genes=CHECKED), tmp_path / "g.tsv", str(tmp_path / "g.csv")):
        assert flags_of(rows, checks) == [["wrong chromosome", "loop"], ["?"], ["?"], [], ["?"], ["?"]]
    assert flags_of(rows, None) is None


def test_flags_of_several_stores_have_their_names(rows):
    both = pd.concat([CHECKED.assign(profiles="a"), CHECKED.assign(profiles="b", flags="refusal")])
    assert flags_of(rows, both)[0] == ["a: wrong chromosome", "a: loop", "b: refusal"]


def test_checks_that_are_none(rows, tricky, tmp_path):
    for checks in (3, pd.DataFrame({"gene": ["CD3E"]})):
        with pytest.raises(InputError, match="columns gene and flags"):
            flags_of(rows, checks)
    with pytest.raises(InputError, match="cannot be read"):
        flags_of(rows, tmp_path / "none.tsv")
    with pytest.raises(InputError, match="none of the 6 genes"):
        flags_of(rows, CHECKED.assign(gene="OTHER"))
    with pytest.raises(InputError, match="this page has drugs"):
        flags_of(rows_of(tricky, use_rep="X_bft"), CHECKED)


def test_facts_are_those_that_the_text_lacks(rows, mirror):
    told, used = facts_of(rows, "auto")
    assert dict(told[0])["full name"].startswith("CD3")
    assert used.startswith("sha256:")
    rows.texts["text"] = [dict(pairs).get("locus", "") for pairs in told]
    again, _ = facts_of(rows, "auto")
    assert "locus" in dict(told[0])
    assert "locus" not in dict(again[0])
    assert facts_of(rows, "none") == ([[]] * 6, "")


def test_names_columns_and_notes(rows):
    assert symbols(rows) == rows.names
    assert columns_told(rows, ["level", "bft_gene"])[0] == [("lineage", "T cell")]
    assert columns_told(rows, ["level", "bft_gene"])[-1] == []
    rows.texts["issues"] = ["cut", "", None, "", "", ""]
    rows.texts["status"] = ["ok", None, None, None, None, "empty"]
    rows.texts["text"] = [*rows.text[:5], None]
    notes = notes_of(rows)
    assert notes[0].startswith("cut at the token limit")
    assert notes[1:] == ["", "", "", "", "no usable text (empty)"]


def test_no_path_of_the_machine_is_told():
    info = {
        "store": "/home/me/profiles.sqlite",
        "engine": {"engine": "transformers", "model": "/home/me/models/tuned", "directory": "/home/me/models/tuned"},
        "encoder": {"model": "all-MiniLM", "dim": 384},
        "recipe": "0123456789abcdef",
    }
    lines = provenance_lines(info)
    assert ("engine.model", "tuned") in lines
    assert ("encoder.dim", "384") in lines
    assert "/home" not in str(lines) + str(origin(info))
    assert dict(origin(info)) == {"written by": "tuned", "recipe": "0123456789ab", "encoder": "all-MiniLM"}


def test_origin_of_given_texts(genes):
    assert dict(origin(bft.get.provenance(genes)["entities"]))["written by"] == "texts that were given"
