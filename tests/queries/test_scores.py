import anndata
import numpy as np
import pytest
from scipy.sparse import csr_matrix

from bftembed.expression import chosen_matrix, parts_of
from bftembed.expression.values import LARGEST_Z
from bftembed.queries import Choice, Contrast, choose_genes, coherent, group_means, text_scores

N_CELLS, N_GENES = 120, 200


@pytest.fixture
def counts():
    rng = np.random.default_rng(0)
    means = rng.gamma(0.5, 2.0, N_GENES)
    return rng.poisson(means * rng.gamma(4, 0.25, (N_CELLS, 1))).astype(np.float32)


def contrast_of(counts, batches=None, columns=None):
    counts64 = counts.astype(float)
    logged = np.log1p(counts64 / counts64.sum(axis=1, keepdims=True) * 1e4)
    columns = np.flatnonzero(logged.std(axis=0) > 0) if columns is None else columns
    codes = np.zeros(len(counts), dtype=np.intp) if batches is None else batches
    groups = [logged[codes == code][:, columns] for code in np.unique(codes)]
    contrast = Contrast(
        matrix=chosen_matrix(parts_of(anndata.AnnData(csr_matrix(counts))), layer=None, use_raw=False),
        columns=columns,
        mean=np.array([group.mean(axis=0) for group in groups]),
        sd=np.array([group.std(axis=0, ddof=1) + 1e-3 for group in groups]),
        detection=(counts > 0).mean(axis=0)[columns],
        batches=codes,
    )
    z = (logged[:, columns] - contrast.mean[codes]) / contrast.sd[codes]
    return contrast, np.clip(z, -LARGEST_Z, LARGEST_Z)


def test_chunks_are_z_scores(counts):
    batches = np.arange(N_CELLS) % 3
    contrast, z = contrast_of(counts, batches)
    found = np.full_like(z, np.nan)
    for rows, raised, zero in contrast.chunks():
        assert len(set(batches[rows])) == 1
        found[rows] = raised.toarray() + zero
    np.testing.assert_allclose(found, z, atol=1e-9)


def test_scores_are_s_d_of_random_genes_of_the_same_detection(counts):
    contrast, z = contrast_of(counts)
    rng = np.random.default_rng(1)
    n = z.shape[1]
    weights = np.zeros((n, 1))
    chosen = rng.choice(n, 12, replace=False)
    weights[chosen, 0] = rng.random(12)
    found = text_scores(contrast, weights).calibrated[:, 0]
    # What a simulation of the random sets gives: each gene is replaced by one of its group of detection.
    groups = np.argsort(np.argsort(contrast.detection, kind="stable"), kind="stable") * max(1, n // 25) // n
    members = [np.flatnonzero(groups == groups[gene]) for gene in chosen]
    draws = np.array([[rng.choice(group) for group in members] for _ in range(4000)])
    random = z[:, draws] @ weights[chosen, 0]
    expected = (z @ weights[:, 0] - random.mean(axis=1)) / random.std(axis=1)
    np.testing.assert_allclose(found, expected, atol=0.25)
    assert np.corrcoef(found, expected)[0, 1] > 0.998


def test_random_genes_score_zero_with_an_s_d_of_one(counts):
    contrast, z = contrast_of(counts)
    near = np.random.default_rng(2).normal(size=(z.shape[1], 400))
    found = text_scores(contrast, choose_genes(near, n_genes=20).weights).calibrated
    assert abs(found.mean()) < 0.05
    assert found.std() == pytest.approx(1, abs=0.05)
    # In every cell, and not only on average:
    assert np.abs(found.std(axis=1) - 1).max() < 0.3


def test_the_score_of_a_cell_depends_on_no_other_cell(counts):
    contrast, z = contrast_of(counts)
    weights = np.random.default_rng(3).random((z.shape[1], 2))
    whole = text_scores(contrast, weights)
    order = np.random.default_rng(4).permutation(N_CELLS)[:50]
    part = Contrast(
        matrix=chosen_matrix(parts_of(anndata.AnnData(counts[order])), layer=None, use_raw=False),
        **{name: getattr(contrast, name) for name in ("columns", "mean", "sd", "detection")},
        batches=np.zeros(50, dtype=np.intp),
    )
    found = text_scores(part, weights)
    np.testing.assert_allclose(found.calibrated, whole.calibrated[order], rtol=1e-6)
    np.testing.assert_allclose(found.mean, whole.mean[order], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(whole.mean, z @ weights, atol=1e-9)


def test_the_size_of_chunks_changes_nothing(counts, monkeypatch):
    batches = np.arange(N_CELLS) % 2
    contrast, z = contrast_of(counts, batches)
    near = np.random.default_rng(7).normal(size=(z.shape[1], 2))
    choice = choose_genes(near)
    whole = text_scores(contrast, choice.weights), coherent(contrast, choice).weights
    means = group_means(contrast, batches, 3)
    np.testing.assert_allclose(means[:2], [z[batches == batch].mean(axis=0) for batch in (0, 1)], atol=1e-9)
    assert np.isnan(means[2]).all()
    monkeypatch.setattr("bftembed.expression.values.default_chunk_rows", lambda *_: 7)
    part = text_scores(contrast, choice.weights), coherent(contrast, choice).weights
    np.testing.assert_allclose(part[0].calibrated, whole[0].calibrated, rtol=1e-9)
    np.testing.assert_allclose(part[1], whole[1], atol=1e-9)
    np.testing.assert_allclose(group_means(contrast, batches, 3), means, rtol=1e-9, atol=1e-12)


def test_cells_without_any_of_the_genes_have_no_score(counts):
    counts[3] = 0
    counts[3, -1] = 5
    contrast, _ = contrast_of(counts + 0, columns=np.arange(N_GENES - 1)[counts[:, :-1].any(axis=0)])
    found = text_scores(contrast, np.ones((len(contrast.columns), 1)))
    assert np.flatnonzero(np.isnan(found.mean[:, 0])).tolist() == [3]
    assert np.flatnonzero(np.isnan(found.calibrated[:, 0])).tolist() == [3]


def test_genes_that_are_expressed_together_are_preferred():
    rng = np.random.default_rng(5)
    counts = rng.poisson(2, (400, 60)).astype(np.float32)
    module = np.arange(10)
    counts[:200, module] += rng.poisson(4, (200, 10))
    contrast, z = contrast_of(counts)
    near = rng.normal(size=(60, 1))
    near[:20, 0] += 4  # the text chooses the module and ten others
    choice = choose_genes(near, n_genes=20)
    found = coherent(contrast, choice, n_genes=20, pool=30)
    assert found.weights[module].sum() > 0.8 > choice.weights[module].sum()
    np.testing.assert_allclose(found.weights.sum(axis=0), 1)
    # By the definition: relevance times correlation with the score of the other genes.
    weights = choice.weights[:, 0]
    correlation = [np.corrcoef(z[:, g], z @ weights - z[:, g] * weights[g])[0, 1] for g in range(60)]
    pool = np.argsort(-near[:, 0])[:30]
    product = np.full(60, 0.0)
    product[pool] = np.maximum(near[pool, 0], 0) * np.maximum(np.array(correlation)[pool], 0)
    kept = np.sort(product)[::-1]
    expected = np.maximum(product - kept[20], 0)
    np.testing.assert_allclose(found.weights[:, 0], expected / expected.sum(), atol=1e-9)


def test_genes_that_are_expressed_with_those_of_all_texts_count_less():
    rng = np.random.default_rng(6)
    counts = rng.poisson(2, (400, 60)).astype(np.float32)
    counts[:200, :15] += rng.poisson(4, (200, 15))  # in the cells of both texts
    counts[:100, 15:20] += rng.poisson(4, (100, 5))
    counts[100:200, 20:25] += rng.poisson(4, (100, 5))
    contrast, _ = contrast_of(counts)
    near = rng.normal(size=(60, 2))
    near[:15] += 4
    near[15:20, 0] += 4
    near[20:25, 1] += 4
    choice = choose_genes(near, n_genes=20)
    own, apart = (coherent(contrast, choice, n_genes=20, shared=shared).weights for shared in (0.0, 1.0))
    for column, genes in enumerate((slice(15, 20), slice(20, 25))):
        assert apart[genes, column].sum() > own[genes, column].sum() + 0.2


def test_a_text_of_a_single_gene_keeps_it(counts):
    contrast, z = contrast_of(counts)
    weights = np.zeros((z.shape[1], 1))
    weights[4] = 1
    near = np.full((z.shape[1], 1), -1.0)
    near[4] = 3
    found = coherent(contrast, Choice(near, weights), n_genes=1, pool=1)
    assert found.weights[:, 0].tolist() == weights[:, 0].tolist()
