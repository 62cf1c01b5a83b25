"""Labels transferred by the vectors of genes, with their control; an oracle by brute force; bad input."""

import anndata
import numpy as np
import pytest
import scipy.sparse as sp

import bftembed as bft
from bftembed.errors import BftembedWarning, InputError

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
    ref.obs["type"] = np.random.default_rng(5).permutation(ref.obs["type"].to_numpy())
    bft.tl.transfer_labels(ref, query, "type", threshold=1, n_controls=1)
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


def test_files_dense_and_other_layouts_are_the_same(ref, tmp_path):
    ref.obs.loc[ref.obs_names[::7], "type"] = ""
    query = cells(30, 2)
    bft.tl.transfer_labels(ref, query, "type", n_controls=1)
    assert query.uns["bft"]["bft_label"]["labels"]["n_cells_ref"] == 120 - 18
    ref.write_h5ad(tmp_path / "r.h5ad")
    query.write_h5ad(tmp_path / "q.h5ad")
    on_disk = [anndata.read_h5ad(tmp_path / f"{name}.h5ad", backed="r") for name in "rq"]
    dense, columns = ref.copy(), query.copy()
    dense.X, columns.X = dense.X.toarray().astype(np.float64), sp.csc_array(columns.X)
    for first, second in (on_disk, (dense, columns), (ref[::1], cells(30, 2)[::1])):
        bft.tl.transfer_labels(first, second, "type", n_controls=1)
        assert second.obs["bft_label"].astype(str).tolist() == query.obs["bft_label"].astype(str).tolist()
        np.testing.assert_allclose(second.obs["bft_label_confidence"], query.obs["bft_label_confidence"])


def test_counts_are_scaled_by_all_genes(ref):
    rng = np.random.default_rng(3)
    made = []
    for adata in (ref, cells(40, 2)):
        counts = rng.poisson(np.expm1(adata.X.toarray()))
        counts = np.column_stack([counts, rng.integers(0, 3000, adata.n_obs)])  # most of the counts, of no shared gene
        whole = anndata.AnnData(counts.astype(np.float32), obs=adata.obs)
        whole.var_names = [*GENES, f"own {len(made)}"]
        logged = whole.copy()
        logged.X = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)
        made.append((whole, logged))
    for first in made[0]:
        first.varm["X_bft"] = np.vstack([ref.varm["X_bft"], np.full(8, np.nan)]).astype(np.float32)
    found = []
    for first, second in zip(*made, strict=True):
        bft.tl.transfer_labels(first, second, "type", n_controls=1)
        found.append(second.obs["bft_label_confidence"].to_numpy())
    np.testing.assert_allclose(*found)


def test_few_cells_and_rare_labels(ref):
    few = ref[[np.flatnonzero(ref.obs["type"] == name)[i] for i in (0, 1) for name in ("T", "B")]].copy()
    query = cells(10, 2)
    bft.tl.transfer_labels(few, query, "type", n_neighbors=2, n_controls=1, seed=2**40, reference="ref")
    assert set(query.obs["bft_label"]) <= {"T", "B"}
    ref.obs["type"] = ["rare", *ref.obs["type"].astype(str)[1:]]
    bft.tl.transfer_labels(ref, query, "type", n_controls=1)
    assert query.uns["bft"]["bft_label"]["labels"]["scores"]["ref"].max() < 0.8, "a label of one cell is never found"


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
        ({"layer": "counts"}, "`ref`: There is no layer 'counts'"),
        ({"threshold": 50}, "from 0 to 1"),
        ({"seed": -1}, "seed"),
        ({"seed": None}, "seed"),
        ({"label_key": ["type"]}, "no column"),
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
    ref.obs["number"] = np.random.default_rng(0).normal(size=ref.n_obs)
    with pytest.raises(InputError, match="120 labels in 120 cells: name a column of types"):
        bft.tl.transfer_labels(ref, query, "number")
    query.obs["known"] = ["t"] * 10 + [None] * 10
    with pytest.raises(InputError, match=r"no label in common \(t; B, T, monocyte\)"):
        bft.tl.transfer_labels(ref, query, "type", truth_key="known")
    with pytest.raises(InputError, match="`query`: The data are a single cell"):
        bft.tl.transfer_labels(ref, query[:1].copy(), "type")
    ref.obs["batch"] = [None, *ref.obs["batch"][1:]]
    with pytest.raises(InputError, match="`ref`: 1 of 120 cells have no entry"):
        bft.tl.transfer_labels(ref, query, "type", batch_key="batch")
    negative = query.copy()
    negative.X = -negative.X
    with pytest.raises(InputError, match=r"`query`: .\.X. holds negative"):
        bft.tl.transfer_labels(ref, negative, "type")
    ref.varm["sparse"] = sp.csr_matrix(ref.varm["X_bft"])
    with pytest.raises(InputError, match="is sparse"):
        bft.tl.transfer_labels(ref, query, "type", use_rep="sparse")
    query.var_names = list("abcdef")
    with pytest.raises(InputError, match="0 genes in common"):
        bft.tl.transfer_labels(ref, query, "type")
    with pytest.raises(InputError):
        bft.tl.transfer_labels(ref, "query.h5ad", "type")


def test_what_is_wrong_is_said_of_the_argument_it_is_of(mirror, ref):
    with pytest.raises(InputError, match=r"`query` is a path: read it first"):
        bft.tl.transfer_labels(ref, "query.h5ad", "type")
    with pytest.raises(InputError, match=r"^`ref\.varm` has no `X_bft`"):
        bft.tl.transfer_labels(cells(60, 2), ref, "type")
    mouse = cells(60, 2)
    mouse.var_names = ["Cd3e", "Cd3d", "Cd79a", "Ms4a1", "Lyz2", "Cd14"]
    with pytest.raises(InputError, match=r"^`query`: The genes look like those of a mouse"):
        bft.tl.transfer_labels(ref, mouse, "type")


def test_few_genes_in_common_are_warned_of_and_controls_are_quiet(ref, caplog):
    query = cells(60, 2)[:, :2].copy()
    with caplog.at_level("INFO", "bftembed"), pytest.warns(BftembedWarning, match="Only 2 of the 6 genes .* CD79A, "):
        bft.tl.transfer_labels(ref, query, "type", n_controls=2)
    assert [record.message[:8] for record in caplog.records] == ["60 cells"]
