import numpy as np
import pytest

from bftembed.tl._stream.panel_sum import PANEL_COLUMNS, sum_panel


@pytest.mark.parametrize("width", [1, 50, PANEL_COLUMNS])
@pytest.mark.parametrize("per_row", [0, 1, 2, 37])
def test_sums_are_those_of_numpy(width, per_row):
    rng = np.random.default_rng(per_row)
    panel = rng.standard_normal((40, PANEL_COLUMNS)).astype(np.float32)
    weights = rng.random(5 * per_row, dtype=np.float32)
    used = rng.integers(0, 40, weights.size).astype(np.int32)
    out = np.zeros((5, width + 3), dtype=np.float32)
    base, kinds = rng.standard_normal((2, width)).astype(np.float32), np.array([0, 1, 1, 0, 0])
    sum_panel(weights, used, np.arange(6, dtype=np.int64) * per_row, panel, base, kinds, out[:, 1 : width + 1])
    assert (out[:, 0] == 0).all()
    assert (out[:, width + 1 :] == 0).all()
    for row in range(5):
        mine = slice(row * per_row, (row + 1) * per_row)
        reference = base[kinds[row]] + weights[mine].astype(float) @ panel[used[mine], :width].astype(float)
        np.testing.assert_allclose(out[row, 1 : width + 1], reference if per_row else np.nan, rtol=1e-5, atol=1e-5)


def test_the_sum_of_a_row_does_not_depend_on_its_place():
    rng = np.random.default_rng(0)
    panel = rng.standard_normal((40, PANEL_COLUMNS)).astype(np.float32)
    weights, used = rng.random(91, dtype=np.float32), rng.integers(0, 40, 91).astype(np.int32)
    first, second = np.empty((1, PANEL_COLUMNS), np.float32), np.empty((3, PANEL_COLUMNS), np.float32)
    base, kinds = np.zeros((1, PANEL_COLUMNS), dtype=np.float32), np.zeros(3, dtype=np.intp)
    sum_panel(weights, used, np.array([0, 91]), panel, base, kinds[:1], first)
    sum_panel(
        np.r_[weights[:5], weights, weights[:2]],
        np.r_[used[:5], used, used[:2]],
        np.array([0, 5, 96, 98]),
        panel,
        base,
        kinds,
        second,
    )
    np.testing.assert_array_equal(second[1], first[0])
