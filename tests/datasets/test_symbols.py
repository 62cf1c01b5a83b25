import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from bftembed import datasets
from bftembed.datasets import _symbols


@pytest.fixture
def table(mirror):
    """The gene table, also where no environment variable names a mirror."""
    assert datasets.gene_table() is not None


@pytest.mark.usefixtures("table")
def test_one_name_stands_for_each_gene_and_the_better_match_wins():
    names = ["P53", "TP53", "my_gene", "CD20", "MS4A1", "MS4A1"]
    symbols, stands = datasets.one_per_gene(names, totals=np.array([9, 1, 1, 9, 1, 2]))
    assert symbols.tolist() == ["TP53", "TP53", None, "MS4A1", "MS4A1", "MS4A1"]
    assert stands.tolist() == [False, True, False, False, False, True]


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_columns_follow_their_names(form):
    var = pd.DataFrame({"id": list("abcd")}, index=["P53", "my_gene", "TP53", "CD20"])
    adata = anndata.AnnData(form(np.array([[1, 2, 3, 4]], dtype=np.float64)), var=var)
    made = datasets.by_symbol(adata)
    assert made.var_names.tolist() == ["my_gene", "TP53", "MS4A1"]
    assert made.var.to_dict("list") == {"id": list("bcd"), "source_name": ["my_gene", "TP53", "CD20"]}
    assert made.X.toarray().tolist() == [[2, 3, 4]]
    assert list(made.uns["removed"].values()) == [1]
    assert adata.var_names.tolist() == var.index.tolist(), "what was given is as it was"


def test_without_gene_tables_names_stay_and_of_two_the_larger(monkeypatch):
    monkeypatch.setattr(_symbols, "gene_table", lambda: None)
    with pytest.warns(UserWarning, match="not unique"):
        adata = anndata.AnnData(np.array([[1, 3, 2]], dtype=np.float32), var=pd.DataFrame(index=["a", "a", "P53"]))
    made = datasets.by_symbol(adata)
    assert made.var_names.tolist() == ["a", "P53"]
    assert made.X.toarray().tolist() == [[3, 2]]
