import itertools
import logging

import anndata
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from bftembed.errors import InputError
from bftembed.expression import LevelCheck, Matrix, ValueCheck, normalised_chunks, parts_of, row_flags
from bftembed.expression import values as module
from bftembed.expression.values import NONZERO, OUTSIDE, UNSORTED


def matrix_of(x, *, raw=None, uns=None):
    x = np.asarray(x, dtype=np.float64)
    adata = anndata.AnnData(x, uns=uns)
    adata.obs_names = [f"c{i}" for i in range(len(x))]
    if raw is not None:
        adata.raw = anndata.AnnData(np.asarray(raw, dtype=np.float64), obs=adata.obs)
    return Matrix(x, "`.X`", parts_of(adata))


def inspected(x, *, values="auto", decide=True, chunk_size=1000, **of_adata):
    """Run a ValueCheck over `x` in chunks; returns it, or raises."""
    check = ValueCheck(matrix_of(x, **of_adata), values=values, decide=decide)
    for start in range(0, len(x), chunk_size):
        check.add(start, row_flags(sparse.csr_matrix(np.asarray(x, dtype=np.float64)[start : start + chunk_size])))
    check.finish()
    return check


@pytest.mark.parametrize(
    ("x", "found"),
    [([[1, 2], [0, 50]], "counts"), ([[0.5, 2], [0, 9.2]], "lognorm"), ([[0, 0], [0, 0]], "counts")],
)
@pytest.mark.parametrize("chunk_size", [1, 2])
def test_counts_and_log_normalised_values_are_told_apart(x, found, chunk_size):
    assert inspected(x, chunk_size=chunk_size).found == found


@pytest.mark.parametrize("values", ["counts", "lognorm"])
def test_what_the_user_says_is_taken(values):
    assert inspected([[0.5, 2000], [1, 1]], values=values).found == values


def test_where_no_kind_is_needed_any_is_taken():
    assert inspected([[0.5, 2000], [1, 1]], decide=False).found == "other"


def test_an_unknown_kind_is_refused():
    with pytest.raises(InputError, match="`values` is 'auto', 'counts' or 'lognorm', got 'cpm'"):
        inspected([[1, 1]], values="cpm")


@pytest.mark.parametrize("chunk_size", [1, 2, 3])
@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([[1, 2], [0.5, 1], [0.1, 2000]], r"neither counts|mixes kinds"),
        (
            [[0.5, 0], [0.5, 1], [0.1, 2000]],
            r"neither counts nor log-normalised: cell 'c0' .* cell 'c2'.*values=\"counts\"",
        ),
        ([[1, 2], [0.5, 1], [0, 0]], r"mixes kinds of values: cell 'c0' .* cell 'c1'.*values=\"lognorm\""),
        ([[0, 0], [0.5, 1], [3, 0]], r"mixes kinds of values: cell 'c2' .* cell 'c1'"),
        ([[1, 2], [-0.5, 1], [3, 0]], r"negative values \(first in cell 'c1'\), as scaled data do; pass layer="),
        ([[1, 2], [np.nan, 1], [np.inf, 0]], r"2 cells .* hold NaN, infinite .*first: 'c1'"),
    ],
)
def test_unusable_values_are_refused_whatever_the_chunks(x, message, chunk_size):
    with pytest.raises(InputError, match=message):
        inspected(x, chunk_size=chunk_size)


@settings(max_examples=50)
@given(st.lists(st.sampled_from([(0, 0), (1, 2), (0.5, 0), (0, 99), (1.5, 99)]), min_size=1, max_size=5))
def test_the_verdict_does_not_depend_on_the_cutting(rows):
    verdicts = set()
    for chunk_size in (1, 2, 5):
        try:
            verdicts.add(inspected(rows, chunk_size=chunk_size).found)
        except InputError:
            verdicts.add("refused")
    assert len(verdicts) == 1


def test_the_verdict_does_not_depend_on_the_order():
    for order in itertools.permutations([(1, 2), (0.5, 0), (0, 0)]):
        with pytest.raises(InputError, match="mixes kinds"):
            inspected(order, chunk_size=1)


def test_scaled_values_are_sent_to_raw_only_if_raw_is_better():
    with pytest.raises(InputError, match=r"pass use_raw=True .*, or pass layer="):
        inspected([[1, -1]], raw=[[1, 2]])
    with pytest.raises(InputError, match="as scaled data do; pass layer="):
        inspected([[1, -1]], raw=[[-1, 2]])


def test_counts_where_logarithms_were_announced_are_mentioned(caplog):
    with caplog.at_level(logging.WARNING, logger="bftembed"):
        assert inspected([[1, 2]], uns={"log1p": {"base": None}}).found == "counts"
    assert "taken as counts" in caplog.text
    caplog.clear()
    inspected([[1.5, 2]], uns={"log1p": {"base": None}})
    assert not caplog.text


def test_columns_outside_the_matrix_are_refused():
    rows = sparse.csr_matrix(np.ones((2, 2)))
    rows.indices = np.array([0, 7, 0, 1], dtype=np.int32)
    check = ValueCheck(matrix_of(np.ones((2, 2))))
    with pytest.raises(InputError, match="damaged"):
        check.add(0, row_flags(rows))


def test_flags_of_rows():
    rows = sparse.csr_matrix(np.zeros((4, 3)))
    rows.data, rows.indices = np.array([1.0, 2.0, 0.0, 5.0]), np.array([2, 1, 0, 7], dtype=np.int32)
    rows.indptr = np.array([0, 2, 3, 3, 4], dtype=np.int32)
    assert row_flags(rows).tolist() == [NONZERO | UNSORTED, 0, 0, NONZERO | OUTSIDE]


@pytest.fixture(params=[1, 2, 3, 100])
def chunk_size(request, monkeypatch):
    monkeypatch.setattr(module, "default_chunk_rows", lambda *_: request.param)
    return request.param


def joined(matrix, **how):
    starts, rows, kinds = zip(*normalised_chunks(matrix, **how), strict=True)
    assert list(starts) == list(np.cumsum([0, *[r.shape[0] for r in rows[:-1]]]))
    return np.vstack([r.toarray() for r in rows]), kinds[-1]


def test_counts_are_scaled_to_ten_thousand(chunk_size):
    counts = np.array([[1, 3], [0, 0], [7, 0], [2, 2]])
    linear, kind = joined(matrix_of(counts), log=False)
    assert kind == "counts"
    np.testing.assert_allclose(linear, [[2500, 7500], [0, 0], [10_000, 0], [5000, 5000]])
    np.testing.assert_allclose(joined(matrix_of(counts))[0], np.log1p(linear))


def test_logarithms_stay_as_they_are_or_become_counts(chunk_size):
    linear = np.array([[2500, 7500], [0, 0], [10_000, 0], [5000, 5000]])
    logged = matrix_of(np.log1p(linear))
    np.testing.assert_array_equal(joined(logged)[0], logged.x)
    found, kind = joined(logged, log=False)
    assert kind == "lognorm"
    np.testing.assert_allclose(found, linear)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([[1, 2], [3, 0], [0.5, 1]], "mixes kinds"),
        ([[0.5, 1], [0, 0], [0, 3]], "mixes kinds"),
        ([[0.5, 1], [0.5, 1], [0.5, 31]], "neither counts nor log-normalised"),
        ([[1, 1], [1, 1], [-1, 2]], "negative values .*'c2'"),
        ([[np.nan, 1], [1, 1], [1, np.inf]], "2 cells"),
    ],
)
@pytest.mark.parametrize("log", [True, False])
def test_what_is_refused_does_not_depend_on_the_chunks(x, message, log, chunk_size):
    with pytest.raises(InputError, match=message):
        joined(matrix_of(x), log=log)


def test_no_exponential_of_what_is_no_logarithm(chunk_size):
    with pytest.raises(InputError, match=r"no logarithm.*'c1' holds a value above 30"):
        joined(matrix_of([[0.5, 1], [2000, 1]]), values="lognorm", log=False)
    assert joined(matrix_of([[0.5, 1], [2000, 1]]), values="lognorm")[0].max() == 2000


def test_repeated_entries_are_one_value(chunk_size):
    rows = sparse.csr_matrix((np.array([1.0, 2.0, 1.0]), np.array([1, 1, 0]), np.array([0, 3])), shape=(1, 2))
    before = rows.copy()
    matrix = Matrix(rows, "`.X`", matrix_of(np.ones((1, 2))).parts)
    np.testing.assert_allclose(joined(matrix, log=False)[0], [[2500, 7500]])
    np.testing.assert_array_equal(rows.data, before.data)


def check_levels(levels, expected=1e4):
    check = LevelCheck(np.array([1.0, expected]), np.ones(len(levels), dtype=np.intp))
    check.add(0, levels[:1])
    check.add(1, levels[1:])
    check.finish()


@pytest.mark.parametrize(("ratio", "fits"), [(1.9, True), (2.1, False), (0.4, False)])
@pytest.mark.parametrize("n_cells", [5, 100])
def test_cells_of_another_level_are_refused_unless_they_are_few(ratio, fits, n_cells):
    levels = np.full(n_cells, ratio * 1e4)
    if fits or n_cells < 100:
        check_levels(levels)
        return
    with pytest.raises(
        InputError, match=f"average {ratio * 1e4:.4g} counts per 10,000, the reference 1e".replace("+", r"\+")
    ):
        check_levels(levels)


def test_even_few_cells_are_refused_when_they_are_ten_times_off():
    with pytest.raises(InputError, match="normalised otherwise"):
        check_levels(np.array([11e4]))


def test_cells_without_any_of_the_genes_tell_nothing_of_the_level():
    check_levels(np.zeros(3))
    check_levels(np.r_[np.full(100, 1e4), np.zeros(300)])


def test_few_genes_fit_the_reference_of_the_same_cells():
    levels = np.r_[np.full(10, 58.0), np.zeros(90)]  # nine cells of ten have no counts of these genes
    check_levels(levels, expected=5.8)
    with pytest.raises(InputError, match=r"average 5.8 counts per 10,000, the reference 1\."):
        check_levels(levels, expected=1.0)
