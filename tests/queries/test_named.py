import pytest

import bftembed.queries.named as module
from bftembed.genes import GeneTable
from bftembed.queries import genes_named


@pytest.fixture
def table(monkeypatch, mirror):
    from bftembed import datasets

    assert isinstance(datasets.gene_table(), GeneTable), mirror


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("text", "genes"),
    [
        ("A CD4+ T cell with FOXP3", ("CD4", "FOXP3")),
        ("L-selectin (CD62L) and CCR7", ("SELL", "CCR7")),
        ("the receptor CD16", ("FCGR3A", "FCGR3B")),  # both genes of an ambiguous name
        ("CD4+/CD45RA+/CD25- cells, CD19-negative, CD20 negative", ("CD4",)),
        ("CD8-positive", ("CD8A",)),
        ("PTPRC and HLA-DRA", ("PTPRC", "HLA-DRA")),
        ("DNA, RNA, NK, B and T cells of MHC", ()),  # words, or names of fewer than four capitals
        ("interleukin 2, and CD4 and CD4 again", ("CD4",)),
        ("a monocyte", ()),
    ],
)
def test_names_of_genes_in_a_text(text, genes):
    assert genes_named([text]) == [genes]


def test_without_gene_tables_no_name_is_known(monkeypatch):
    monkeypatch.setattr(module, "gene_table", lambda: None)
    assert genes_named(["CD4 and FOXP3", ""]) == [(), ()]
