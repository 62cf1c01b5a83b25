import importlib.util

import numpy as np
import pytest
from sklearn.decomposition import PCA

from bftembed.errors import InputError
from bftembed.vectors import layout as module
from bftembed.vectors import layout_of

VECTORS = np.random.default_rng(1).normal(size=(12, 5)).astype(np.float32)
VECTORS[3] = np.nan
KNOWN = np.isfinite(VECTORS).all(axis=1)


def placed(held=None, **options):
    return layout_of(VECTORS, KNOWN, held or {}, **{"layout": None, "use_rep": "X_bft", **options})


def test_principal_components_are_those_of_scikit_learn():
    found, words = placed()
    expected = PCA(2).fit(VECTORS[KNOWN])
    np.testing.assert_allclose(np.abs(found[KNOWN]), np.abs(expected.transform(VECTORS[KNOWN])), rtol=1e-4, atol=1e-5)
    assert np.isnan(found[~KNOWN]).all()
    share = expected.explained_variance_ratio_.sum()
    assert words == f"first two principal components of X_bft ({share:.0%} of the variance)"
    np.testing.assert_array_equal(placed()[0], found)


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("d", [1, 4])
def test_few_vectors_and_few_dimensions(n, d):
    found, _ = layout_of(np.ones((n, d), np.float32), np.ones(n, bool), {}, layout=None, use_rep="X_bft")
    np.testing.assert_array_equal(found, np.zeros((n, 2)))


def test_a_layout_that_is_there_is_taken():
    umap = np.arange(24).reshape(12, 2).astype(float)
    umap[5] = [np.inf, 1]
    found, words = placed({"X_umap": umap})
    np.testing.assert_array_equal(found[:5], umap[:5])
    assert np.isnan(found[5]).all()
    assert words == "X_umap, as it stands in the file"
    assert umap[5, 1] == 1
    own = np.zeros((12, 3))
    assert placed({"X_umap": umap, "X_bft_umap": own})[1].startswith("X_bft_umap")
    assert placed({"X_umap": umap, "mine": own}, layout="mine")[0].shape == (12, 2)


def test_layouts_that_cannot_be_used():
    with pytest.raises(InputError, match=r"no layout `X_umop`: give one of X_umap, umap, pca.*Did you mean `?X_umap"):
        placed({"X_umap": VECTORS}, layout="X_umop")
    with pytest.raises(InputError, match=r"shape \(12, 1\)"):
        placed({"X_umap": VECTORS[:, :1]})


def test_without_scanpy_principal_components(monkeypatch):
    many = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "principal" in layout_of(many, np.ones(40, bool), {}, layout=None, use_rep="X_bft")[1]


@pytest.mark.filterwarnings("ignore")
def test_umap_is_the_same_for_a_seed(monkeypatch):
    pytest.importorskip("scanpy", reason="scanpy is not installed")
    asked = []
    monkeypatch.setattr(module, "umap", lambda vectors, metric, seed: asked.append((metric, seed)) or vectors[:, :2])
    many = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    _, words = layout_of(many, np.ones(40, bool), {}, layout=None, use_rep="X_bft", seed=3)
    assert asked == [("cosine", 3)]
    assert words == "UMAP of X_bft by scanpy (cosine, 15 neighbours, seed 3)"
