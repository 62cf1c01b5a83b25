import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy import sparse

import bftembed as bft
from bftembed.tl._markers import marker_genes, welch

GENES = ["CD3E", "CD3D", "MS4A1", "CD79A", "LYZ", "ACTB"]
LABELS = ["a", "b", "c"]


@pytest.fixture
def cells():
    """Counts of three clusters, each with genes of its own."""
    draw = np.random.default_rng(0)
    level = np.array([[9, 7, 1, 1, 1, 9], [1, 1, 9, 6, 1, 9], [1, 1, 1, 1, 9, 9]]).repeat(20, axis=0)
    obs = pd.DataFrame({"label": np.repeat(LABELS, 20)}, index=[f"c{i}" for i in range(60)])
    return anndata.AnnData(sparse.csr_matrix(draw.poisson(level).astype(np.float32)), obs, pd.DataFrame(index=GENES))


def test_genes_are_ranked_as_scanpy_ranks_them(cells):
    t = welch(bft.pp.reference(cells, batch_key="label"))
    logged = cells.copy()
    sc.pp.normalize_total(logged, target_sum=1e4)
    sc.pp.log1p(logged)
    sc.tl.rank_genes_groups(logged, "label", method="t-test")
    for row, label in zip(t, LABELS, strict=True):
        oracle = sc.get.rank_genes_groups_df(logged, group=label).set_index("names")["scores"]
        np.testing.assert_allclose(row, oracle[GENES], rtol=2e-3, atol=1e-3)  # scanpy sums in float32


def test_the_genes_of_each_group_the_most_distinctive_first(cells):
    found = marker_genes(cells, "label", n_top=2)
    assert {label: set(genes) for label, genes in found.items()} == {
        "a": {"CD3E", "CD3D"},
        "b": {"MS4A1", "CD79A"},
        "c": {"LYZ", "ACTB"},
    }
    assert list(found) == LABELS
    assert marker_genes(cells, "label", n_top=1)["c"] == ["LYZ"]
