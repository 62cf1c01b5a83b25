import anndata
import numpy as np
import pytest
import scipy.sparse as sp

from bftembed.bench.problems import cell_data
from bftembed.bench.problems.cell_data import load_cells


@pytest.fixture
def columns(mirror, monkeypatch):
    """Cells whose columns have these names and totals, as one of the data sets."""

    def make(**totals):
        adata = anndata.AnnData(sp.csr_matrix(np.array([list(totals.values())], dtype=np.float32)))
        adata.var_names = list(totals)
        adata.obs["cell_type"] = ["a"]
        monkeypatch.setitem(cell_data._LOADERS, "pbmc68k_reduced", lambda: adata)
        return load_cells("pbmc68k_reduced")

    return make


def test_a_weak_match_never_displaces_a_strong_one(columns):
    adata = columns(CASC7=86, AGO2=58, TP53=1)  # CASC7 is a former symbol of AGO2
    assert adata.var_names.tolist() == ["AGO2", "TP53"]
    assert adata.X.toarray().tolist() == [[58, 1]]
    assert adata.uns["removed"] == {"columns of a gene that another column means better": 1}


def test_among_equal_matches_the_larger_column_stays(columns):
    adata = columns(MARCH1=1, tp53=3, TP53=2, unknown_1=4)
    assert adata.var_names.tolist() == ["MARCHF1", "TP53", "unknown_1"]
    assert adata.X.toarray().tolist() == [[1, 2, 4]]
