import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from bftembed.expression.kernels import inspected
from bftembed.tl._stream.weighted import WeightedSum


def expected(values, vectors, *, log, scaled, binary=False):
    """The formula, in float64, on dense arrays."""
    values = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(vectors[:, 0])
    weights = (values > 0).astype(float) if binary else values
    if scaled:
        totals = values.sum(axis=1, keepdims=True)
        weights = np.divide(1e4 * weights, totals, out=np.zeros_like(weights), where=totals > 0)
    weights = (np.log1p(weights) if log else weights)[:, known]
    sums = weights.sum(axis=1, keepdims=True)
    means = weights @ vectors[known].astype(np.float64)
    return np.divide(means, sums, out=np.full_like(means, np.nan), where=sums > 0)


def means(kernel, rows, *, scaled=False, **how):
    rows = sparse.csr_matrix(rows)
    rows, totals, _ = inspected(rows, kernel.pool)
    out = np.empty((rows.shape[0], kernel.dim), dtype=np.float32)
    kernel.embed(rows, out, totals=totals if scaled else None, **how)
    return out


def random_case(rng, n_rows=700, n_genes=60, dim=150, dtype=np.float32):
    counts = (rng.random((n_rows, n_genes)) < 0.3) * rng.integers(1, 20, (n_rows, n_genes))
    vectors = rng.standard_normal((n_genes, dim)).astype(np.float32)
    vectors[::7] = np.nan
    return counts.astype(dtype), vectors


@pytest.mark.parametrize(
    "how", [{"log": True, "scaled": True}, {"log": False, "scaled": False}, {"log": True, "scaled": False}]
)
@pytest.mark.parametrize("dim", [1, 7, 128, 129, 300])
def test_means_follow_the_formula_for_every_width_of_vectors(how, dim):
    counts, vectors = random_case(np.random.default_rng(dim), dim=dim)
    counts[3] = 0
    with WeightedSum(vectors) as kernel:
        found = means(kernel, counts, **how)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected(counts, vectors, **how), rtol=2e-5, atol=2e-6)
    assert np.isnan(found[3]).all()
    assert not np.isnan(np.delete(found, 3, axis=0)).any()


@settings(max_examples=60)
@given(
    counts=hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int32, np.int64, np.uint8, np.uint16, np.bool_]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
        elements=st.integers(0, 1),
    ),
    scale=st.integers(1, 200),
    data=st.data(),
)
def test_any_small_matrix_of_any_type(counts, scale, data):
    counts = counts if counts.dtype in (np.bool_, np.uint8) else counts * counts.dtype.type(scale)
    dim = data.draw(st.integers(1, 5))
    numbers = st.floats(-100, 100, width=32)
    vectors = data.draw(hnp.arrays(np.float32, (counts.shape[1], dim), elements=numbers))
    unknown = data.draw(hnp.arrays(np.bool_, counts.shape[1]))
    vectors[unknown & (np.arange(len(unknown)) > 0)] = np.nan
    with WeightedSum(vectors) as kernel:
        found = means(kernel, counts, log=True, scaled=True)
    np.testing.assert_allclose(found, expected(counts, vectors, log=True, scaled=True), rtol=1e-4, atol=2e-4)


def test_binary_weights_ignore_the_values():
    counts, vectors = random_case(np.random.default_rng(1))
    with WeightedSum(vectors) as kernel:
        found = means(kernel, counts, binary=True)
    np.testing.assert_allclose(
        found, expected(counts, vectors, log=False, scaled=False, binary=True), rtol=1e-4, atol=1e-5
    )


def test_a_cell_is_the_same_to_the_last_bit_alone_in_any_chunk_and_in_any_order():
    rng = np.random.default_rng(2)
    counts, vectors = random_case(rng, n_rows=1500)
    counts *= rng.random(counts.shape).astype(np.float32)
    counts[:, 0] += 0.5
    with WeightedSum(vectors, normalize=True) as kernel:
        whole = means(kernel, counts, log=True, scaled=True)
        for size in (1, 5, 511, 512, 513):
            for start in (0, 3, 700):
                part = means(kernel, counts[start : start + size], log=True, scaled=True)
                np.testing.assert_array_equal(part, whole[start : start + size])
        order = rng.permutation(len(counts))
        np.testing.assert_array_equal(means(kernel, counts[order], log=True, scaled=True), whole[order])


def test_32_and_64_bit_indices_and_stored_zeros_give_the_same_bits():
    counts, vectors = random_case(np.random.default_rng(3))
    rows = sparse.csr_matrix(counts)
    full = sparse.csr_matrix((counts.ravel(), np.tile(np.arange(60), 700), np.arange(701) * 60), shape=counts.shape)
    with WeightedSum(vectors) as kernel:
        plain = means(kernel, rows, log=True, scaled=True)
        long = rows.copy()
        long.indices, long.indptr = long.indices.astype(np.int64), long.indptr.astype(np.int64)
        _, totals, _ = inspected(long, kernel.pool)
        out = np.empty_like(plain)
        kernel.embed(long, out, totals=totals, log=True)
        np.testing.assert_array_equal(out, plain)
        assert full.nnz > rows.nnz
        np.testing.assert_array_equal(means(kernel, full, log=True, scaled=True), plain)


def test_huge_values_do_not_overflow():
    vectors = np.array([[1, 2], [3, 4]], dtype=np.float32)
    with WeightedSum(vectors) as kernel:
        found = means(kernel, np.array([[3e38, 3e38], [0, 1e38]], dtype=np.float32))
    np.testing.assert_allclose(found, [[2, 3], [3, 4]], rtol=1e-6)


def test_values_too_small_for_float32_count_as_no_weight():
    with WeightedSum(np.ones((1, 2), dtype=np.float32)) as kernel:
        assert np.isnan(means(kernel, np.array([[1e-60]]))).all()


def test_normalized_means_have_length_one_and_zero_vectors_stay_zero():
    counts, vectors = random_case(np.random.default_rng(4))
    vectors[1] = 0
    counts[5] = 0
    counts[5, 1] = 2
    with WeightedSum(vectors, normalize=True) as kernel:
        found = means(kernel, counts)
    lengths = np.linalg.norm(found, axis=1)
    np.testing.assert_allclose(np.delete(lengths, 5), 1, rtol=1e-5)
    assert (found[5] == 0).all()
    plain = expected(counts, vectors, log=False, scaled=False)
    np.testing.assert_allclose(found[0], plain[0] / np.linalg.norm(plain[0]), rtol=1e-4, atol=1e-6)


def test_two_threads_may_embed_at_once():
    from concurrent.futures import ThreadPoolExecutor

    counts, vectors = random_case(np.random.default_rng(5), n_rows=3000)

    def embed(_):
        with WeightedSum(vectors) as kernel:
            return means(kernel, counts, log=True, scaled=True)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(embed, range(8)))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
