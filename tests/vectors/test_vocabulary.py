import json
import logging

import numpy as np
import pandas as pd
import pytest

from bftembed import data
from bftembed.errors import DataError, InputError
from bftembed.vectors.vocabulary import in_order, read_vocabulary


@pytest.mark.parametrize("content", [{"B": 1, "A": 0}, ["A", "B"], ("A", "B")])
def test_names_are_in_the_order_of_their_indices(content):
    assert read_vocabulary(content) == ["A", "B"]


def test_files_hold_a_mapping_or_names(tmp_path):
    (tmp_path / "v.json").write_text(json.dumps({"B": 1, "A": 0}))
    (tmp_path / "l.json").write_text('["A", "B"]')
    (tmp_path / "v.txt").write_text("A\n\nB\n")
    assert [read_vocabulary(tmp_path / name) for name in ("v.json", "l.json", "v.txt")] == [["A", "B"]] * 3


@pytest.mark.parametrize("content", [{"A": 0, "B": 2}, {"A": 0, "B": 0}, {"A": 1, "B": 2}])
def test_indices_that_leave_rows_open_are_refused(content):
    with pytest.raises(InputError, match="indices are not 0 to 1"):
        read_vocabulary(content)


@pytest.mark.parametrize("content", [["A", "A"], [], [1, 2], {}])
def test_no_names_are_refused(content):
    with pytest.raises(InputError, match="must be names, each once"):
        read_vocabulary(content)


@pytest.mark.parametrize(
    ("content", "message"), [(5, "names with their indices, or a file of one; got 5"), ({"A": "0", "B": 1}, "0 to 1")]
)
def test_values_of_another_kind_are_named(content, message):
    with pytest.raises(InputError, match=message):
        read_vocabulary(content)


def test_files_that_hold_none_are_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_vocabulary(tmp_path / "none.json")
    (tmp_path / "v.json").write_text("{half")
    with pytest.raises(DataError, match="cannot be read"):
        read_vocabulary(tmp_path / "v.json")


def test_names_are_matched_exactly_without_tables(monkeypatch, caplog):
    monkeypatch.setattr("bftembed.datasets.gene_table", lambda: None)
    monkeypatch.setattr("bftembed.datasets._symbols.gene_table", lambda: None)
    frame = pd.DataFrame(np.eye(3, dtype=np.float32), index=["A", "B", "C"])
    with caplog.at_level(logging.INFO, logger="bftembed"):
        found = in_order(frame, ["C", "<pad>", "A"])
    np.testing.assert_array_equal(found, np.array([[0, 0, 1], [np.nan] * 3, [1, 0, 0]]))
    assert "2 of 3 names have a vector, 0 of them under another name; 1 have none and get NaN: <pad>." in caplog.text


def test_former_symbols_and_ids_find_their_gene(mirror):
    frame = pd.DataFrame(np.eye(3, dtype=np.float32), index=["TP53", "SEPTIN2", "ENSG00000163631"])
    found = in_order(frame, ["SEPT2", "ENSG00000141510", "p53", "ALB", "TP53", "no gene"])
    assert found.fillna(0).to_numpy().argmax(axis=1).tolist()[:5] == [1, 0, 0, 2, 0]
    assert found.isna().all(axis=1).tolist() == [False] * 5 + [True]


def test_the_vocabulary_of_scgpt(mirror):
    path = mirror / "gene_text" / "scgpt_default_gene_vocab.json"
    names = read_vocabulary(path)
    indices = data.load("scgpt_vocab")
    assert [indices[name] for name in names] == list(range(len(indices)))
    found = in_order(pd.DataFrame(np.ones((2, 1)), index=["TP53", "ALB"]), names)
    assert {"TP53", "ALB"} <= set(found.dropna().index)
