import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftembed.queries import BACKGROUND, choose_genes, relevance


@pytest.fixture
def vectors():
    rng = np.random.default_rng(0)
    return rng.normal(size=(300, 20)), rng.normal(size=(4, 20)), rng.normal(size=(10, 20))


def test_genes_like_a_text_are_the_relevant_ones(vectors):
    genes, texts, background = vectors
    genes[7] = texts[2] * 1.5 + 0.1
    near = relevance(genes, texts, background)
    assert near.shape == (300, 4)
    assert near[:, 2].argmax() == 7
    np.testing.assert_allclose(near.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(near.std(axis=0), 1)


def test_a_direction_that_all_genes_and_texts_share_says_nothing(vectors):
    genes, texts, background = vectors
    genes[7] = texts[0]
    common = 30 * np.ones(20)
    near = relevance(genes + common, texts + common, background + common)
    assert near[:, 0].argmax() == 7


def test_what_texts_share_counts_less_when_they_are_asked_together():
    rng = np.random.default_rng(1)
    shared, own = rng.normal(size=(2, 30))
    other = rng.normal(size=30)
    genes = rng.normal(size=(400, 30))
    genes[0], genes[1], genes[2] = shared * 2, own * 2, other * 2
    texts, background = np.array([shared + own, shared + other]), rng.normal(size=(20, 30))
    alone = relevance(genes, texts, background, shared=0.0)
    together = relevance(genes, texts, background, shared=1.0)
    assert together[0, 0] < 0.5 * alone[0, 0]
    assert together[:, 0].argmax() == 1
    assert together[:, 1].argmax() == 2
    # A text that is asked alone keeps all that it says.
    np.testing.assert_allclose(relevance(genes, texts[:1], background), alone[:, :1])


def test_a_gene_near_all_texts_is_near_none(vectors):
    genes, texts, background = vectors
    background = background + 3 * genes[5]
    plain = relevance(genes, texts + genes[5], np.zeros((1, 20)))
    assert (relevance(genes, texts + genes[5], background)[5] < plain[5]).all()


def test_genes_without_a_vector_have_no_relevance_and_change_nothing(vectors):
    genes, texts, background = vectors
    more = np.insert(genes, 3, np.nan, axis=0)
    near = relevance(more, texts, background)
    assert np.isnan(near[3]).all()
    np.testing.assert_allclose(np.delete(near, 3, axis=0), relevance(genes, texts, background), rtol=1e-5, atol=1e-6)


def test_with_a_table_a_gene_does_not_depend_on_the_panel_but_for_the_scale(vectors):
    genes, texts, background = vectors
    whole = relevance(genes, texts[:1], background, table=genes)
    part = relevance(genes[:100], texts[:1], background, table=genes)
    assert np.corrcoef(whole[:100, 0], part[:, 0])[0, 1] > 1 - 1e-9


def test_weights_are_the_excess_over_the_first_gene_left_out():
    near = np.array([[3.0, 1.0], [2.0, np.nan], [0.5, 2.0], [1.0, 0.0]])
    near[1] = [2.0, -1.0]
    found = choose_genes(near, n_genes=2)
    np.testing.assert_allclose(found.weights[:, 0], np.array([2, 1, 0, 0]) / 3)
    np.testing.assert_allclose(found.weights[:, 1], np.array([1, 0, 2, 0]) / 3)


def test_named_genes_are_as_relevant_as_the_most_relevant():
    near = np.array([[3.0], [2.0], [-1.0], [np.nan], [0.0]])
    found = choose_genes(near, n_genes=2, named=[[2, 3]])
    assert found.relevance[2, 0] == 3
    assert np.isnan(found.relevance[3, 0])
    assert found.weights[:, 0].tolist() == [0.5, 0, 0.5, 0, 0]
    assert near[2, 0] == -1  # the argument is left as it is


@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 5))
def test_weights_are_a_share_of_at_most_n_genes(n, n_genes, seed):
    near = np.random.default_rng(seed).normal(size=(n, 3)).round(1)
    weights = choose_genes(near, n_genes=n_genes).weights
    assert (weights >= 0).all()
    assert not weights[near <= 0].any()
    np.testing.assert_allclose(weights.sum(axis=0), (near > 0).any(axis=0))
    assert ((weights > 0).sum(axis=0) <= n_genes).all()


def test_background_texts_are_different_sentences():
    assert len(set(BACKGROUND)) == len(BACKGROUND) > 30
