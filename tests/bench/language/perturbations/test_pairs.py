"""Pairs that cannot be asked are refused by name; those that are asked, and balanced, are what they should be."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from bftembed.bench.language.perturbations.pairs import asked_pairs, balanced, checked_pairs, ids_of
from bftembed.errors import DataError

GOOD = [("A", "G", 0, "train"), ("B", "G", 1, "test"), ("C", "G", 0, "test")]


def table(rows, columns=("pert", "gene", "label", "split")):
    return pd.DataFrame(rows, columns=list(columns))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("A", "G", 2, "train"), r"row 2 \(A, G, label 2\) has a label other than 0 and 1"),
        (("A", "G", None, "train"), "has a label other than 0 and 1"),
        (("A", float("nan"), 1, "train"), r"has no name in `gene`; read the file with `keep_default_na=False`"),
        (("", "G", 1, "train"), "has no name in `pert`"),
        (("A", "G", 1, "validation"), "has a split other than `train` and `test`"),
        (("B", "G", 1, "test"), r"row 2 \(B, G, label True\) is there twice"),
        (("B", "H", 1, "train"), r"row 2 \(B, H, label True\) is of train, but its perturbation is tested too"),
    ],
)
def test_a_bad_row_is_named(row, message):
    with pytest.raises(DataError, match=message):
        checked_pairs(table([GOOD[1], row, GOOD[2]]))


def test_bad_rows_are_counted():
    rows = [("A", "G", 3, "train"), ("A", "H", 4, "train")]
    with pytest.raises(DataError, match=r"row 4 .* \(2 rows like this\)"):
        checked_pairs(table([*GOOD, *rows]))


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match="The pairs have no column label, split"):
        checked_pairs(pd.DataFrame({"pert": ["A"], "gene": ["G"]}))


def test_a_gene_called_na_is_a_gene_and_labels_may_be_texts(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("pert,gene,label,split\nNA,None,1,train\nB,NA,0,test\n")
    pairs = checked_pairs(pd.read_csv(path, keep_default_na=False, dtype=str))
    assert pairs[["pert", "gene"]].to_numpy().tolist() == [["B", "NA"], ["NA", "None"]]
    assert pairs["label"].tolist() == [False, True]
    with pytest.raises(DataError, match="keep_default_na=False"):
        checked_pairs(pd.read_csv(path, dtype=str))


def test_a_gene_in_another_cell_line_is_another_read_out():
    rows = [("A", "G", 1, "test", "K562"), ("A", "G", 0, "test", "RPE1"), ("B", "G", 0, "test", "K562")]
    pairs = checked_pairs(table(rows, ("pert", "gene", "label", "split", "cell")))
    assert ids_of(pairs) == ["A|G|K562", "A|G|RPE1", "B|G|K562"]
    assert ids_of(asked_pairs(pairs)) == ["A|G|K562", "B|G|K562"]  # in RPE1 there is one answer
    assert ids_of(checked_pairs(table(GOOD))) == ["A|G", "B|G", "C|G"]


def test_only_genes_with_both_answers_in_the_test_are_asked():
    rows = [*GOOD, ("B", "H", 1, "test"), ("A", "H", 0, "train")]
    assert ids_of(asked_pairs(checked_pairs(table(rows)))) == ["B|G", "C|G"]
    with pytest.raises(DataError, match="No gene has both answers in the test"):
        asked_pairs(checked_pairs(table(GOOD[:2])))


def many(seed=0):
    rng = np.random.default_rng(seed)
    rows = [(f"P{p}", f"G{g}", int(rng.random() < g / 20), "test") for g in range(20) for p in range(30)]
    return checked_pairs(table(rows))


@pytest.mark.parametrize("most", [None, 2])
def test_balanced_pairs_are_the_first_by_their_digest(most):
    pairs = many()
    expected = []
    for _, rows in pairs.groupby("readout"):
        each = [rows[rows["label"]], rows[~rows["label"]]]
        n = min(len(each[0]), len(each[1]), most or len(rows))
        for part in each:
            names = sorted(
                (part["pert"] + "|" + part["gene"]), key=lambda name: hashlib.sha256(name.encode()).hexdigest()
            )
            expected += names[:n]
    taken = pairs[balanced(pairs, most=most)]
    assert sorted(taken["pert"] + "|" + taken["gene"]) == sorted(expected)
    assert (taken.groupby("readout")["label"].mean() == 0.5).all()


def test_a_fast_run_asks_twelve_genes_eight_times():
    pairs = asked_pairs(many(), fast=True)
    assert len(pairs) == 96
    assert (pairs.groupby("readout")["label"].agg(["size", "sum"]) == [8, 4]).all(axis=None)
    assert pairs.equals(
        asked_pairs(many().sample(frac=1, random_state=1), fast=True).sort_values(["pert", "gene"], ignore_index=True)
    )


def test_a_fast_run_takes_what_there_is():
    assert ids_of(asked_pairs(checked_pairs(table(GOOD)), fast=True)) == ["B|G", "C|G"]
