import numpy as np
from sklearn.metrics.pairwise import cosine_similarity

from bftembed.browse.near import neighbours

VECTORS = np.random.default_rng(1).normal(size=(12, 5)).astype(np.float32)
VECTORS[3] = np.nan
KNOWN = np.isfinite(VECTORS).all(axis=1)


def test_neighbours_are_those_of_a_full_table_of_cosines():
    rows, cosines = neighbours(VECTORS, KNOWN, 4)
    table = cosine_similarity(np.nan_to_num(VECTORS.astype(float)))
    table[:, ~KNOWN] = -2
    np.fill_diagonal(table, -2)
    np.testing.assert_array_equal(rows[KNOWN], np.argsort(-table, axis=1)[KNOWN, :4])
    np.testing.assert_allclose(cosines[KNOWN], -np.sort(-table, axis=1)[KNOWN, :4], atol=1e-5)
    assert (rows[~KNOWN] == -1).all()
    assert np.isnan(cosines[~KNOWN]).all()


def test_neighbours_of_few():
    assert neighbours(VECTORS[:1], KNOWN[:1])[0].shape == (1, 0)
    assert neighbours(VECTORS[2:4], KNOWN[2:4])[0].shape == (2, 0)
    assert neighbours(VECTORS[:2], KNOWN[:2])[0].tolist() == [[1], [0]]
    twins = np.ones((3, 2), np.float32)
    assert all(i not in row for i, row in enumerate(neighbours(twins, np.ones(3, bool))[0].tolist()))
