from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftembed.errors import InputError
from bftembed.studies.grpo.passes import pass_at_k


@given(st.integers(1, 40), st.data())
def test_it_is_the_ratio_of_binomials(n, data):
    k = data.draw(st.integers(1, n))
    counts = data.draw(st.lists(st.integers(0, n), min_size=1, max_size=5))
    expected = [1 - comb(n - c, k) / comb(n, k) for c in counts]
    np.testing.assert_allclose(pass_at_k(n, counts, k), expected, atol=1e-12)


def test_it_is_the_share_of_draws_without_replacement_with_a_right_one():
    answers = [1, 0, 0, 1, 0, 0]
    draws = [any(drawn) for drawn in combinations(answers, 3)]
    assert pass_at_k(6, [2], 3)[0] == pytest.approx(sum(draws) / len(draws))


@pytest.mark.parametrize(("counts", "k"), [([1], 0), ([1], 5), ([5], 1), ([-1], 1)])
def test_what_makes_no_sense_is_refused(counts, k):
    with pytest.raises(InputError, match=r"pass@k wants"):
        pass_at_k(4, counts, k)
