import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from bftembed.studies.grpo.outcomes import AUC, COMPARED, RANK, comparisons, of_set, p_value


def test_ranks_within_groups_are_scikit_learns_mean_over_groups():
    rng = np.random.default_rng(3)
    margin, gold = rng.integers(-2, 3, 40).astype(float), rng.random(40) < 0.5
    groups = [f"G{n % 5}" for n in range(40)]
    found = of_set({"margin": margin.tolist()}, groups, gold.tolist(), AUC)
    rows = [np.array(groups) == f"G{n}" for n in range(5)]
    np.testing.assert_allclose(found, [roc_auc_score(gold[row], margin[row]) for row in rows])


def test_a_question_without_an_answer_ties_and_a_group_without_both_answers_is_left_out():
    measured = {"margin": [None, 1.0, 2.0, 3.0]}
    assert of_set(measured, ["A", "A", "B", "B"], [True, False, True, True], AUC).tolist() == [0.5]
    assert of_set(measured, [""] * 4, [True, False, True, False], AUC).size == 0


def test_the_difference_of_differences_is_that_of_means(values):
    made = values({"sft": 0.2, "bft": 0.9})
    found = {one.outcome: one for one in comparisons(made)}
    assert tuple(found) == COMPARED
    by_hand = [
        made.after(label, "test", RANK).mean() - made.before(label, "test", RANK).mean() for label in made.config.starts
    ]
    assert found[RANK].found.mean == pytest.approx(by_hand[1] - by_hand[0])
    assert found["pass@1"].p < 0.05


def test_p_values_are_those_of_students_test_where_only_seeds_differ():
    seeds = np.array([0.5, 1.5, 2.2, 0.9])
    table = np.repeat(seeds[:, None], 3, axis=1)
    assert p_value(table) == pytest.approx(stats.ttest_1samp(seeds, 0).pvalue, abs=1e-6)


def test_holms_correction_makes_no_value_smaller(values):
    made = values({"sft": 0.5, "bft": 0.6, "dft": 0.4})
    raw = [
        p_value(made.gain(one.start, "test", one.outcome) - made.gain("sft", "test", one.outcome))
        for one in comparisons(made)
    ]
    assert len(raw) == 6
    assert all(one.p >= p for one, p in zip(comparisons(made), raw, strict=True))
    assert min(one.p for one in comparisons(made)) == pytest.approx(min(1, 6 * min(raw)))


def test_an_untuned_start_is_measured_once_for_all_seeds(values):
    made = values({"sft": 0.5, "base": 0.5})
    before = made.before("base", "test", RANK)
    assert before.shape == (3, 12)
    assert (before == before[0]).all()
