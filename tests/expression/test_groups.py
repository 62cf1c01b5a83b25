"""Means and variances by group of cells, against pandas."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from bftembed.expression import chosen_matrix, group_moments, parts_of


@pytest.mark.parametrize("layout", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_moments_are_those_of_pandas(layout):
    rng = np.random.default_rng(0)
    counts = rng.poisson(1.0, (50, 7)).astype("float32")
    counts[4] = 0
    group = rng.integers(-1, 3, 50)
    group[4] = 1
    matrix = chosen_matrix(parts_of(AnnData(layout(counts))), layer=None, use_raw=False)
    sizes, means, variances, kind, n_empty = group_moments(matrix, group, 4, "auto")
    full = counts.sum(axis=1) > 0
    logged = np.log1p(counts[full].astype(float) / counts[full].sum(axis=1, keepdims=True) * 10_000)
    by_group = pd.DataFrame(logged).groupby(group[full])
    np.testing.assert_array_equal(sizes, [*(by_group.size()[i] for i in range(3)), 0])
    np.testing.assert_allclose(means[:3], by_group.mean().loc[range(3)])
    np.testing.assert_allclose(variances[:3], by_group.var().loc[range(3)])
    assert np.isnan(means[3]).all()
    assert (kind, n_empty) == ("counts", 1)
