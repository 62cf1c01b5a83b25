import numpy as np

from bftembed.bench.labels import canonical, gene_labels


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
