import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bftembed.bench.scoring.clusters import group_weights, pigeonhole_weights
from bftembed.bench.scoring.scores import N_DRAWS, item_weights
from bftembed.errors import InputError

NAMES = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=20)


@given(NAMES, st.randoms(use_true_random=False))
def test_groups_are_drawn_whole_whatever_the_order_of_the_items(groups, random):
    weights = group_weights(groups)
    assert weights.shape == (N_DRAWS, len(groups))
    assert weights.dtype == np.float64
    firsts = [groups.index(name) for name in sorted(set(groups))]
    assert (weights[:, firsts].sum(axis=1) == len(firsts)).all()
    for i, name in enumerate(groups):
        np.testing.assert_array_equal(weights[:, i], weights[:, groups.index(name)])
    order = random.sample(range(len(groups)), len(groups))
    np.testing.assert_array_equal(group_weights([groups[i] for i in order]), weights[:, order])


def test_items_that_are_their_own_groups_are_drawn_as_items_are():
    np.testing.assert_array_equal(group_weights(["a", "b", "c"]), item_weights(["a", "b", "c"]))


@given(NAMES)
def test_a_weight_is_that_of_the_row_times_that_of_the_column(rows):
    columns = [str(i % 3) for i in range(len(rows))]
    found = pigeonhole_weights(rows, columns)
    np.testing.assert_array_equal(found, group_weights(rows, role="rows") * group_weights(columns, role="columns"))


def test_the_same_names_as_rows_and_columns_are_drawn_independently():
    names = [f"G{i}" for i in range(30)]
    rows, columns = group_weights(names, role="rows"), group_weights(names, role="columns")
    assert stats.pearsonr(rows.ravel(), columns.ravel()).pvalue > 1e-4
    assert pigeonhole_weights(names, names).mean() == pytest.approx(1, abs=0.03)  # a square would have a mean of 2


def test_of_noise_alone_the_variance_is_three_times_the_true_one():
    """Owen (2007): of a balanced table each of rows, columns and items brings it once."""
    noise = np.random.default_rng(1).normal(size=(40 * 50, 40))
    row, column = (each.ravel() for each in np.indices((40, 50)))
    means = pigeonhole_weights([f"r{i}" for i in row], [f"c{i}" for i in column]) @ noise / len(noise)
    assert means.var(axis=0).mean() == pytest.approx(3 / len(noise), rel=0.1)


def test_of_effects_of_rows_the_variance_is_that_of_drawing_rows():
    effect = np.random.default_rng(2).normal(size=(40, 40))
    row, column = (each.ravel() for each in np.indices((40, 50)))
    means = pigeonhole_weights([f"r{i}" for i in row], [f"c{i}" for i in column]) @ effect[row] / len(row)
    assert means.var(axis=0).mean() == pytest.approx(1 / 40, rel=0.1)


def test_every_item_has_a_row_and_a_column():
    with pytest.raises(InputError, match="2 rows and 1 columns"):
        pigeonhole_weights(["a", "b"], ["c"])
