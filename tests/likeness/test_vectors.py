"""Vectors of unit length and soft weights of their cosines."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics.pairwise import cosine_similarity

from bftembed.likeness import soft, unit

VECTORS = arrays(np.float32, (7, 4), elements=st.floats(-100, 100, width=32))


@given(VECTORS)
def test_products_are_the_cosines_of_scikit_learn(vectors):
    found = unit(vectors, centre=np.zeros(4))
    largest = abs(vectors.astype(float)).max(axis=1, keepdims=True)
    scaled = vectors / np.where(largest, largest, 1)  # scikit-learn takes rows shorter than 2e-15 for zero
    np.testing.assert_allclose(found @ found.T, cosine_similarity(scaled), atol=1e-5)


def test_the_mean_is_that_of_the_rows_that_have_a_vector():
    vectors = np.array([[1.0, 5.0], [np.nan, np.nan], [3.0, 5.0]])
    np.testing.assert_allclose(unit(vectors), [[-1, 0], [0, 0], [1, 0]])


@given(VECTORS, st.sampled_from([1e-30, 1e-12, 1e9]))
def test_the_unit_of_the_vectors_is_nothing(vectors, scale):
    large = vectors.astype(float)
    np.testing.assert_allclose(unit(large * scale, centre=np.zeros(4)), unit(large, centre=np.zeros(4)), atol=1e-6)


def test_rows_at_the_mean_are_zero_but_for_no_rounding():
    assert not unit(np.full((7, 3), 0.1)).any()
    assert not unit(np.full((7, 3), 0.1e-12)).any()


def test_without_any_vector_all_rows_are_zero():
    assert not unit(np.full((3, 2), np.nan)).any()


@given(st.floats(0.02, 5), st.floats(-1, 1), st.floats(-1, 1))
def test_weights_fall_off_with_the_cosine(temperature, one, other):
    first, second = soft([one, other], temperature)
    assert 0 <= first <= 1
    np.testing.assert_allclose(first, np.exp((np.float32(one) - 1) / temperature), rtol=1e-4, atol=1e-7)
    assert (one >= other) <= (first >= second)
