"""RNA and proteins in one space: against numpy, and what the names of genes are worth."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn.covariance import LedoitWolf

from bftembed.bench import NotApplicableError, Source, get_source
from bftembed.bench.problems.integration import standardised
from bftembed.bench.problems.modalities import JointModalities, ModalityMatching, nearness

GENES = [f"G{i:02d}" for i in range(60)]
TYPES = ["B", "NK", "T"]


class Planted(Source):
    """Vectors in which genes of one type of cell are alike; `lacking` genes have none."""

    label = spec = "planted"

    def __init__(self, *, lacking=(), order=None):
        self.lacking, self.order = set(lacking), order

    def genes(self, names):
        rng = np.random.default_rng(0)
        vectors = rng.normal(scale=0.3, size=(60, 8)).astype(np.float32)
        vectors[np.arange(60), np.arange(60) % 3] += 3
        if self.order is not None:
            vectors = vectors[self.order]
        table = dict(zip(GENES, vectors, strict=True))
        return np.array([np.full(8, np.nan) if name in self.lacking else table[name] for name in names], np.float32)

    def all_genes(self):
        return np.random.default_rng(1).normal(3.0, [3, 2, 1, 1, 1, 1, 1, 1], size=(500, 8)).astype(np.float32)


def cells(n=150):
    """Cells whose type shows in every third gene, and in six proteins, whose own genes are silent."""
    rng = np.random.default_rng(0)
    kind = np.arange(n) % 3
    x = rng.gamma(1.0, 0.5, size=(n, 60))
    x[np.arange(60) % 3 == kind[:, None]] += 1
    x[:, :6] = rng.gamma(1.0, 0.5, size=(n, 6))
    names = [f"cell{i:03d}" for i in range(n)]
    obs = pd.DataFrame({"cell_type": pd.Categorical(np.array(TYPES)[kind])}, index=names)
    adata = anndata.AnnData(sp.csr_matrix(x.astype(np.float32)), obs=obs, var=pd.DataFrame(index=GENES))
    protein = rng.normal(scale=0.4, size=(n, 6)) + 2.0 * (np.arange(6) % 3 == kind[:, None]) - 1
    adata.obsm["protein"] = pd.DataFrame(protein, index=names, columns=GENES[:6])
    adata.uns["removed"] = {}
    return adata


def direction(x):
    return np.asarray(x) / np.linalg.norm(x)


def test_both_sides_are_sums_of_whitened_vectors_by_contrast():
    adata, source = cells(), Planted(lacking=GENES[50:])
    found = ModalityMatching(adata).embed(source)
    fitted = LedoitWolf().fit(source.all_genes().astype(float))
    variances, axes = np.linalg.eigh(fitted.covariance_)
    genes = (source.genes(GENES[:50]) - fitted.location_) @ (axes / np.sqrt(variances)) @ axes.T
    unit = genes / np.linalg.norm(genes, axis=1, keepdims=True)
    near = np.maximum((unit @ unit[:6].T).max(axis=1), 0)
    values = adata.X.toarray()[:, :50].astype(float)
    departure = values - values.mean(axis=0)
    protein = adata.obsm["protein"].to_numpy()
    rna, proteins = np.split(found.matrix, 2, axis=1)
    np.testing.assert_allclose(direction(rna), direction((departure * near) @ genes), atol=1e-6)
    y = (protein - protein.mean(axis=0)) / protein.std(axis=0)
    np.testing.assert_allclose(direction(proteins), direction(y @ genes[:6]), atol=1e-6)
    np.testing.assert_array_equal(found.genes_used, np.arange(60) < 50)


def test_vectors_of_other_genes_tell_what_the_own_genes_do_not():
    """The names of the genes carry it: with vectors dealt to other genes than the proteins' little is left."""
    problem = ModalityMatching(cells())
    dealt = np.r_[np.arange(6), 6 + np.random.default_rng(0).permutation(54)]
    value = [problem.evaluate(problem.embed(Planted(order=order))).scores[0].mean for order in (None, dealt)]
    assert value[0] > 0.7 > value[1] + 0.1
    beside = {score.method: score.mean for score in problem.evaluate(problem.embed(Planted())).baselines}
    assert beside["own genes of the proteins"] < 0.6


@pytest.mark.parametrize("kind", [JointModalities, ModalityMatching])
def test_types_and_which_cells_belong_together_are_not_used(kind):
    adata = cells()
    rna, proteins = np.split(kind(adata).embed(Planted()).matrix, 2, axis=1)
    order = np.random.default_rng(0).permutation(150)
    other = adata.copy()
    other.obs["cell_type"] = adata.obs["cell_type"].to_numpy()[order]
    other.obsm["protein"] = adata.obsm["protein"].iloc[order].set_axis(adata.obs_names)
    again_rna, again_proteins = np.split(kind(other).embed(Planted()).matrix, 2, axis=1)
    np.testing.assert_array_equal(again_rna, rna)
    np.testing.assert_allclose(again_proteins, proteins[order], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("recipe", ["mean", "batchwise"])
def test_other_ways_to_make_cells_are_not_asked(recipe):
    with pytest.raises(NotApplicableError, match="brought together by contrast only"):
        ModalityMatching(cells()).embed(get_source(f"{recipe}:random"))


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 5))
def test_nearness_is_the_largest_cosine(seed, n, m):
    rng = np.random.default_rng(seed)
    vectors, targets = rng.normal(size=(n, 3)), rng.normal(size=(m, 3))
    found = nearness(vectors, targets)
    for i in range(n):
        cosines = [v @ vectors[i] / np.linalg.norm(v) / np.linalg.norm(vectors[i]) for v in targets]
        assert found[i] == pytest.approx(max(0, *cosines))
    np.testing.assert_allclose(nearness(targets, targets), 1)
    assert nearness(vectors[:0], targets).shape == (0,)


def test_a_column_that_does_not_vary_is_zero():
    found = standardised(np.array([[1, 5], [3, 5]]))
    np.testing.assert_array_equal(found, [[-1, 0], [1, 0]])
