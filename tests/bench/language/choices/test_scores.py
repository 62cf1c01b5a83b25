import numpy as np
import pytest

from bftembed.bench.language.choices.answers import Chosen
from bftembed.bench.language.choices.prompts import ClosedQuestion
from bftembed.bench.language.choices.scores import by_stratum, f1_score, mean_of_subsets, of_probabilities, share
from bftembed.bench.scoring.clusters import group_weights

RIGHT = np.array([True, True, False, False, True, False])
STRATA = np.array(["a", "a", "a", "a", "b", "b"])
WEIGHTS = group_weights(["1", "2", "3", "4", "5", "6"])


def test_a_share_and_its_replicates_are_of_the_items_that_count():
    score = share("m", "accuracy", RIGHT, WEIGHTS, where=STRATA == "b")
    assert score.mean == 0.5
    drawn = WEIGHTS[:, 4:]
    expected = np.divide(drawn[:, 0], drawn.sum(axis=1), where=drawn.sum(axis=1) > 0, out=np.full(1000, np.nan))
    np.testing.assert_allclose(score.draws, expected)
    assert score.right == [True, False]
    assert share("m", "accuracy", RIGHT, None).draws is None
    assert share("m", "accuracy", RIGHT.astype(float), None).right is None
    assert np.isnan(share("m", "accuracy", RIGHT, WEIGHTS, where=STRATA == "c").mean)


def test_subsets_weigh_the_same_whatever_their_size():
    assert [score.metric for score in by_stratum("m", RIGHT, STRATA, WEIGHTS)] == ["accuracy, a", "accuracy, b"]
    assert mean_of_subsets("m", RIGHT, STRATA, WEIGHTS).mean == pytest.approx((2 / 4 + 1 / 2) / 2)
    uneven = np.array([True, True, True, True, False, False])
    assert mean_of_subsets("m", uneven, STRATA, WEIGHTS).mean == pytest.approx(0.5)
    assert share("m", "accuracy", uneven, WEIGHTS).mean == pytest.approx(4 / 6)
    assert by_stratum("m", RIGHT, np.array([""] * 6), WEIGHTS) == []
    assert mean_of_subsets("m", RIGHT, np.array([""] * 6), WEIGHTS).mean == 0.5


def test_f1_is_that_of_scikit_learn_with_no_answer_wrong():
    from sklearn.metrics import f1_score as oracle

    gold = np.array(["yes", "yes", "no", "no", "maybe", "maybe"])
    choices = np.array(["yes", "", "no", "yes", "", "no"])
    expected = oracle(gold, choices, labels=["yes", "no", "maybe"], average="macro", zero_division=0)
    assert f1_score("m", gold, choices, WEIGHTS).mean == pytest.approx(expected)


def test_probabilities_count_where_they_are_known():
    rows = [ClosedQuestion(str(i), "?", ("A", "B"), "A", options=("x", "y")) for i in range(3)]
    logprobs = np.log(np.array([[0.4, 0.1], [0.1, 0.1], [np.nan, np.nan]]))
    error, plain, among = of_probabilities("m", rows, Chosen(np.array(["A", "", ""]), logprobs), WEIGHTS[:, :3])
    assert plain.mean == pytest.approx((np.log(0.4) + np.log(0.1)) / 2)
    assert among.mean == pytest.approx((np.log(0.8) + np.log(0.5)) / 2)
    assert error.mean == pytest.approx((abs(0.8 - 1) + abs(0.5 - 0)) / 2)
    nothing = Chosen(np.array(["", "", ""]), np.full((3, 2), np.nan))
    assert all(np.isnan(score.mean) for score in of_probabilities("m", rows, nothing, WEIGHTS[:, :3]))
