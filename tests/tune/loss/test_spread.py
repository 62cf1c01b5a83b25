"""Entropy and purity of rows of exponentials, and the largest values of a row."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bftembed.tune.loss.spread import entropy_of, largest, purity_of


@settings(max_examples=60)
@given(
    rows=st.integers(0, 4),
    columns=st.integers(1, 700),
    share=st.floats(0, 1),
    levels=st.none() | st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_largest_values_are_those_of_a_sort(rows, columns, share, levels, seed):
    """Many equal ones among them, where `levels` is small."""
    draw = np.random.default_rng(seed)
    values = draw.random((rows, columns)) if levels is None else draw.integers(0, levels, (rows, columns)).astype(float)
    k = max(1, round(share * columns))
    found = np.sort(largest(torch.from_numpy(values), k).numpy(), axis=1)
    np.testing.assert_array_equal(found, np.sort(values, axis=1)[:, columns - k :])


def test_entropy_and_purity_equal_those_of_scipy():
    exp = np.exp(-np.random.default_rng(0).gamma(1.0, 8.0, (50, 30)))
    exp[:, 0], exp[10:20, 5:] = 1, 0
    np.testing.assert_allclose(entropy_of(torch.from_numpy(exp)), stats.entropy(exp, axis=1), rtol=1e-12)
    p = exp / exp.sum(1, keepdims=True)
    np.testing.assert_allclose(purity_of(torch.from_numpy(exp)), (p**2).sum(1), rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_entropy_near_zero_keeps_its_digits(dtype):
    exp = torch.tensor([[1.0, 1e-9, 0.0]], dtype=dtype)
    assert float(entropy_of(exp)) == pytest.approx(
        1e-9 * (1 + 9 * np.log(10)), rel=1e-6 if dtype == torch.float64 else 0.1
    )
