import itertools
import logging

import anndata
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from bftembed.errors import InputError
from bftembed.tl._cell_input import choose, opened
from bftembed.tl._cell_values import ValueCheck
from bftembed.tl._weighted import WeightedMean


def inspected(x, *, values="auto", weights="log1p", chunk_size=1000, raw=None, uns=None):
    """Run a ValueCheck over `x` in chunks; returns it, or the message of what it raised."""
    x = np.asarray(x, dtype=np.float64)
    adata = anndata.AnnData(x, uns=uns)
    adata.obs_names = [f"c{i}" for i in range(len(x))]
    if raw is not None:
        adata.raw = anndata.AnnData(np.asarray(raw, dtype=np.float64), obs=adata.obs)
    adata.varm["X_bft"] = np.ones((x.shape[1], 1), dtype=np.float32)
    with opened(adata) as parts, WeightedMean(adata.varm["X_bft"]) as kernel:
        check = ValueCheck(choose(parts, gene_key="X_bft", layer=None, use_raw=False), values=values, weights=weights)
        for start in range(0, len(x), chunk_size):
            _, flags = kernel.inspect(sparse.csr_matrix(x[start : start + chunk_size]))
            check.add(start, flags)
        check.finish(empty="raise")
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


@pytest.mark.parametrize("weights", ["raw", "binary"])
def test_weights_that_need_no_kind_take_any(weights):
    assert inspected([[0.5, 2000], [1, 1]], weights=weights).found == "other"


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


def test_log_of_logarithms_is_refused():
    with pytest.raises(InputError, match='log-normalised already and weights="log"'):
        inspected([[0.5, 2]], weights="log")
    assert inspected([[1, 2]], weights="log").found == "counts"


def test_counts_where_logarithms_were_announced_are_mentioned(caplog):
    with caplog.at_level(logging.WARNING, logger="bftembed"):
        assert inspected([[1, 2]], uns={"log1p": {"base": None}}).found == "counts"
    assert "taken as counts" in caplog.text
    caplog.clear()
    inspected([[1.5, 2]], uns={"log1p": {"base": None}})
    assert not caplog.text


def test_columns_outside_the_matrix_are_refused():
    with opened(adata := anndata.AnnData(np.ones((2, 2)), varm={"X_bft": np.ones((2, 1))})) as parts:
        check = ValueCheck(choose(parts, gene_key="X_bft", layer=None, use_raw=False), values="auto", weights="raw")
    rows = sparse.csr_matrix(adata.X)
    rows.indices = np.array([0, 7, 0, 1], dtype=np.int32)
    with WeightedMean(np.ones((2, 1), dtype=np.float32)) as kernel, pytest.raises(InputError, match="damaged"):
        check.add(0, kernel.inspect(rows)[1])
