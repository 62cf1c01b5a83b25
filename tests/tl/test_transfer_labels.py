"""Labels transferred by the vectors of genes, with their control; an oracle by brute force; bad input."""

import anndata
import numpy as np
import pytest
import scipy.sparse as sp

import bftembed as bft
from bftembed.errors import InputError

GENES = ["CD3E", "CD3D", "CD79A", "MS4A1", "LYZ", "CD14"]


def cells(n, seed, *, genes=GENES, shift=0.0):
    """Cells of three types, two genes each; log-normalised values."""
    rng = np.random.default_rng(seed)
    types = rng.integers(0, 3, n)
    x = rng.gamma(2.0, 0.3, (n, 6)) + shift
    x[np.arange(n)[:, None], 2 * types[:, None] + np.arange(2)] += 2.5
    order = [GENES.index(name) for name in genes]
    adata = anndata.AnnData(sp.csr_matrix(x[:, order].astype(np.float32)))
    adata.var_names = genes
    adata.obs["type"] = np.array(["T", "B", "monocyte"])[types]
    adata.obs["batch"] = np.where(np.arange(n) % 2, "one", "two")
    return adata


@pytest.fixture
def ref():
    adata = cells(120, 0)
    adata.varm["X_bft"] = np.random.default_rng(1).normal(size=(6, 8)).astype(np.float32)
    return adata


def test_labels_confidence_and_scores(ref):
    query = cells(60, 2, genes=GENES[::-1], shift=0.4)
    before = ref.uns.copy(), list(ref.obs), list(ref.obsm)
    bft.tl.transfer_labels(ref, query, "type", n_controls=3, truth_key="type")
    assert (query.obs["bft_label"].astype(str) == query.obs["type"]).mean() > 0.95
    assert query.obs["bft_label_confidence"].between(1 / 15, 1).all()
    info = query.uns["bft"]["bft_label"]["labels"]
    scores = info["scores"].set_index("vectors")
    assert scores.index.tolist() == ["texts", "random 1", "random 2", "random 3"]
    assert scores[["ref", "query"]].min(axis=None) > 0.9, "expression decides here, whatever the vectors"
    assert scores.loc["texts", "agreement"] == 1
    assert info["n_genes"] == 6
    assert (ref.uns, list(ref.obs), list(ref.obsm)) == before


def test_a_vote_by_hand_is_the_same(ref):
    query = cells(30, 3)
    bft.tl.transfer_labels(ref, query, "type", n_neighbors=5, n_controls=1)
    made = []
    for adata in (ref.copy(), query.copy()):
        adata.varm["X_bft"] = ref.varm["X_bft"]
        bft.tl.embed_cells(adata)
        vectors = adata.obsm["X_bft"].astype(np.float64)
        made.append(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    nearest = np.argsort(-made[1] @ made[0].T, axis=1)[:, :5]
    types = ref.obs["type"].to_numpy()[nearest]
    share = np.array([[(row == name).mean() for name in ("B", "T", "monocyte")] for row in types])
    expected = np.array(["B", "T", "monocyte"])[share.argmax(axis=1)]
    assert query.obs["bft_label"].astype(str).tolist() == expected.tolist()
    np.testing.assert_allclose(query.obs["bft_label_confidence"], share.max(axis=1))


def test_labels_that_mean_nothing_score_by_chance(ref):
    ref.obs["type"] = np.random.default_rng(5).permutation(ref.obs["type"].to_numpy())
    query = cells(60, 2)
    bft.tl.transfer_labels(ref, query, "type", truth_key="type", n_controls=1)
    assert query.uns["bft"]["bft_label"]["labels"]["scores"].loc[0, ["ref", "query"]].max() < 0.6


def test_unsure_and_empty_cells_are_unassigned(ref):
    query = cells(40, 2)
    x = query.X.toarray()
    x[0] = 0
    query.X = sp.csr_matrix(x)
    bft.tl.transfer_labels(ref, query, "type", threshold=1.01, n_controls=1)
    assert set(query.obs["bft_label"]) == {"unassigned"}
    bft.tl.transfer_labels(ref, query, "type", n_controls=1)  # again under the same key
    assert query.obs["bft_label"].astype(str).ne("unassigned").sum() >= 39


def test_missing_labels_take_no_part_and_batches_are_held_out(ref):
    ref.obs["type"] = ref.obs["type"].astype("category")
    ref.obs.loc[ref.obs_names[:40], "type"] = None
    query = cells(40, 2)
    bft.tl.transfer_labels(ref, query, "type", batch_key="batch", n_controls=1, reference="ref")
    info = query.uns["bft"]["bft_label"]["labels"]
    assert info["n_cells_ref"] == 80
    assert info["scores"]["ref"].min() > 0.9


def test_the_same_seed_gives_the_same_controls_and_a_file_holds_them(ref, tmp_path):
    found = []
    for _ in range(2):
        query = cells(40, 2)
        bft.tl.transfer_labels(ref, query, "type", n_controls=2, seed=4)
        query.write_h5ad(tmp_path / "q.h5ad")
        found.append(anndata.read_h5ad(tmp_path / "q.h5ad").uns["bft"]["bft_label"]["labels"]["scores"])
    assert found[0].equals(found[1])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"label_key": "typ"}, "typ"),
        ({"use_rep": "X_pca"}, "no `X_pca`"),
        ({"n_neighbors": 0}, "n_neighbors"),
        ({"n_neighbors": 500}, "too few for n_neighbors=500"),
        ({"threshold": "much"}, "threshold"),
        ({"reference": "both"}, "reference"),
        ({"batch_key": "donor"}, "donor"),
        ({"truth_key": "known"}, "known"),
        ({"layer": "counts"}, "no 'counts'"),
        ({"key_added": "a/b"}, "cannot be a key"),
        ({"key_added": "batch"}, "has a column `batch` already"),
        ({"n_controls": 0}, "n_controls"),
    ],
)
def test_bad_arguments(ref, change, told):
    query = cells(20, 2)
    arguments = {"label_key": "type", **change}
    with pytest.raises(InputError, match=told):
        bft.tl.transfer_labels(ref, query, arguments.pop("label_key"), **arguments)
    assert "bft" not in query.uns


def test_bad_data(ref):
    query = cells(20, 2)
    ref.obs["one"] = "T"
    with pytest.raises(InputError, match="has 1 labels"):
        bft.tl.transfer_labels(ref, query, "one")
    ref.obs["taken"] = np.where(ref.obs["type"] == "T", "unassigned", "B")
    with pytest.raises(InputError, match="rename that label"):
        bft.tl.transfer_labels(ref, query, "taken")
    query.var_names = list("abcdef")
    with pytest.raises(InputError, match="0 genes in common"):
        bft.tl.transfer_labels(ref, query, "type")
    with pytest.raises(InputError):
        bft.tl.transfer_labels(ref, "query.h5ad", "type")
