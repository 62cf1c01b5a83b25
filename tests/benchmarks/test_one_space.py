"""Numerics of benchmarks/one_space.py, which stands outside of the package."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

import bftembed as bft


@pytest.mark.parametrize(
    ("form", "weights", "batch_key"),
    [
        ("centred, all", "contrast", None),
        ("z, all", "zscore", None),
        ("rescaled, batch", "contrast", "batch"),
        ("z, batch", "zscore", "batch"),
    ],
)
def test_departures_are_those_of_embed_cells(script, form, weights, batch_key):
    """But for one factor per batch: a sample's s.d. here, and that of the cells there."""
    rng = np.random.default_rng(0)
    x = (rng.gamma(1.0, 0.4, (80, 12)) * (rng.random((80, 12)) < 0.7)).astype(np.float32)
    batch = np.repeat(["u", "v"], 40)
    x[batch == "v"] *= 2
    vectors = rng.normal(size=(12, 4)).astype(np.float32)
    adata = anndata.AnnData(csr_matrix(x), obs=pd.DataFrame({"batch": batch}, index=[f"c{i}" for i in range(80)]))
    adata.varm["X_bft"] = vectors
    bft.tl.embed_cells(adata, weights=weights, batch_key=batch_key, whiten=None, values="lognorm", empty="nan")
    found = script.departures(x.astype(float), batch)[form] @ vectors
    for name in "uv":
        ours, theirs = (values[batch == name] for values in (found, adata.obsm["X_bft"]))
        factor = np.linalg.norm(ours) / np.linalg.norm(theirs)
        np.testing.assert_allclose(ours, factor * theirs, atol=1e-2 * np.abs(ours).max())


def test_candidates_by_hand(script):
    rng = np.random.default_rng(1)
    weights, vectors = rng.normal(size=(10, 30)), rng.normal(size=(30, 5))
    vectors[25:] = np.nan
    own, variable = np.array([0, 1]), np.arange(30) < 8
    found = script.candidates(weights, vectors, own, variable)
    np.testing.assert_allclose(found["A variable"], weights[:, :8] @ vectors[:8])
    np.testing.assert_allclose(found["B all"], weights[:, :25] @ vectors[:25])
    unit = vectors[:25] / np.linalg.norm(vectors[:25], axis=1, keepdims=True)
    near = np.maximum((unit @ unit[:2].T).max(axis=1), 0)
    np.testing.assert_allclose(found["G weighed"], (weights[:, :25] * near) @ vectors[:25])
    np.testing.assert_allclose(found["G without own genes"], (weights[:, 2:25] * near[2:]) @ vectors[2:25])
    # Products with the vectors of the proteins are what a projection on their span keeps.
    np.testing.assert_allclose(found["D all, projected"] @ vectors[:2].T, found["B all"] @ vectors[:2].T)
    assert np.linalg.matrix_rank(found["D all, projected"]) == 2
