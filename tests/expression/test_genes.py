import anndata
import numpy as np
import pandas as pd
import pytest

from bftembed.errors import InputError
from bftembed.expression import gene_names, parts_of


def with_genes(names, canonical=None):
    adata = anndata.AnnData(np.ones((2, len(names))), var=pd.DataFrame(index=names))
    if canonical is not None:
        adata.var["bft_gene"] = canonical
    return adata


def test_a_canonical_name_goes_before_that_of_the_index():
    adata = with_genes(["p53", "AC1", "x"], ["TP53", None, ""])
    assert gene_names(parts_of(adata)).tolist() == ["TP53", "AC1", "x"]
    assert gene_names(parts_of(with_genes(["a", "b"]))).tolist() == ["a", "b"]


def test_a_name_that_belongs_to_another_column_is_not_taken_twice():
    adata = with_genes(["p53", "TP53", "y"], ["TP53", None, "Y"])
    assert gene_names(parts_of(adata)).tolist() == ["TP53", "", "Y"]


def test_genes_of_raw_go_by_the_names_of_the_same_genes():
    adata = with_genes(["p53", "b", "c"])
    adata.raw = adata.copy()
    adata.var["bft_gene"] = ["TP53", "B", None]
    small = adata[:, :2].copy()
    assert gene_names(parts_of(small), use_raw=True).tolist() == ["TP53", "B", "c"]


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_names_that_stand_twice_are_refused():
    with pytest.raises(InputError, match=r"1 genes have the same name as another one \('a'\)"):
        gene_names(parts_of(with_genes(["a", "a", "b"])))
