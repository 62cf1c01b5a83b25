import numpy as np
import pandas as pd

from bftembed.bench.problems.labels import canonical, few_genes, few_names, gene_labels


def test_names_become_symbols(mirror):
    found = canonical(["ENSG00000141510", "SEPT1", "TP53", "no such gene"])
    assert found.tolist() == ["TP53", "SEPTIN1", "TP53", None]


def test_rows_that_are_left_out_are_counted(mirror):
    names = ["ENSG00000141510", "TP53", "BRCA1", "BRCA1", "KRAS", "no such gene", "EGFR"]
    labels, removed = gene_labels(names, [1, 1, 0, 1, 0, 1, None])
    assert labels.to_dict() == {"KRAS": 0, "TP53": 1}
    assert removed == {
        "rows without a canonical name or a label": 2,
        "repeated rows": 1,
        "genes with two labels": 1,
    }


def test_nothing_removed_is_not_mentioned(mirror):
    labels, removed = gene_labels(["TP53", "BRCA1"], np.array([True, False]))
    assert removed == {}
    assert labels.index.tolist() == ["BRCA1", "TP53"]


def test_few_genes_are_those_with_both_labels():
    rows = [("A", "B", 1), ("A", "B", 0), ("A", "C", 1), ("C", "B", 0), ("D", "A", 1), ("D", "B", 1), ("D", "D", 1)]
    frame = pd.DataFrame(rows, columns=["first", "second", "label"])
    few = few_genes(frame, ["first", "second"], 2)  # rows of the rarer label: A 1, B 2, C 1, D 0; A comes before C
    assert few.to_numpy().tolist() == [["A", "B", 1], ["A", "B", 0]]
    assert len(few_genes(frame, ["first", "second"], 3)) == 4
    assert few_genes(frame, ["second"], 1).equals(frame[frame["second"] == "B"].reset_index(drop=True))


def test_few_names_are_the_same_wherever_they_occur():
    names = [f"G{i}" for i in range(200)]
    few = few_names(names, 50)
    assert len(set(few)) == 50
    assert few_names(reversed(names), 50) == few
    assert few_names(names[:120], 200) == few_names(names[:120], 120)
    assert set(few) & set(names[:120]) <= set(few_names(names[:120], 50))
