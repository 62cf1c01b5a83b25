import numpy as np
import pytest
from scipy import stats

from bftembed.studies.grpo.arms import answer, both_arms, distance, is_matched
from bftembed.studies.grpo.outcomes import COMPARED, PASS_1

SEEDS = tuple(range(6))
MATCHED = {"checkpoints": 2, "margin": 0.25}


@pytest.fixture
def arms(values):
    """Both arms, by the shares of right answers after GRPO in each."""

    def arms(plain, matched, *, before=0.5, seeds=SEEDS, **changes):
        main = values(plain, seeds=seeds, matched=MATCHED)
        return main, values(matched, before=before, seeds=seeds, matched=MATCHED, **changes)

    return arms


@pytest.mark.parametrize(
    ("plain", "matched", "expected"),
    [
        ((0.5, 1.0), (0.5, 1.0), "no, better start from equal accuracy too ("),
        ((1.0, 0.5), (1.0, 0.5), "no, worse start from equal accuracy too ("),
        ((0.5, 1.0), (0.75, 0.75), "yes, at least in part: the difference of the main arm (better start) shrinks ("),
        ((0.5, 0.5), (0.5, 1.0), "better start from equal accuracy, and not so in the main arm ("),
        ((1.0, 0.5), (0.5, 1.0), "better start from equal accuracy, and not so in the main arm ("),
        ((0.5, 0.5), (0.5, 0.5), "cannot be told (accuracy by rank "),
    ],
)
def test_whether_it_was_only_that_one_had_been_tuned_longer(arms, plain, matched, expected):
    main, equal = arms(*(dict(zip(("sft", "bft"), shares, strict=True)) for shares in (plain, matched)))
    assert answer(main, equal).startswith(f"`bft` against `sft`: {expected}")


def test_starts_that_differ_before_are_not_matched(arms):
    main, equal = arms({"sft": 0.5, "bft": 1.0}, {"sft": 0.5, "bft": 1.0})
    for seed in SEEDS:
        equal.results[f"start-bft-s{seed}"]["sets"]["test"]["counts"] = [4] * 12
    assert not is_matched(equal, "bft")
    assert answer(main, equal).startswith("`bft` against `sft`: cannot be told, not matched (pass@1 before +0.")


def test_equal_accuracy_is_told_by_two_one_sided_tests(arms):
    _, equal = arms({"sft": 0.5, "bft": 0.5}, {"sft": 0.5, "bft": 0.5})
    of_seeds = np.array([0.12, 0.2, 0.25, 0.15, 0.31, 0.22])
    for seed, more in zip(SEEDS, of_seeds, strict=True):  # questions that do not differ: seeds alone are left
        equal.results[f"start-bft-s{seed}"]["sets"]["test"] |= {"n": 100, "counts": [round(50 + 100 * more)] * 12}
        equal.results[f"start-sft-s{seed}"]["sets"]["test"] |= {"n": 100, "counts": [50] * 12}
    found = distance(equal, "bft")
    expected = stats.ttest_1samp(of_seeds, 0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert expected.high > 0.25 - 0.01
    for margin in (found.high + 1e-9, found.high - 1e-9):
        within = equal.config.matched.model_copy(update={"margin": margin})
        equal.config = equal.config.model_copy(update={"matched": within})
        assert is_matched(equal, "bft") == (margin > found.high)
        assert is_matched(equal, "bft") == (stats.ttest_1samp(of_seeds, margin, alternative="less").pvalue < 0.05)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"silent": 1.0}, "uninformative: groups with signal"),
        ({"seeds": (0,)}, "cannot be told: one seed"),
    ],
)
def test_the_arm_has_gates_of_its_own(arms, changes, expected):
    assert answer(*arms({"sft": 0.5, "bft": 1.0}, {"sft": 0.5, "bft": 1.0}, **changes)).startswith(expected)


def test_what_goes_with_the_matching_is_the_difference_of_both_arms(arms):
    main, equal = arms({"sft": 0.5, "bft": 1.0, "dft": 0.2}, {"sft": 0.75, "bft": 0.75, "dft": 0.2})
    found = both_arms(main, equal)
    assert [one.plain[:3] for one in found] == [one.matched[:3] for one in found]
    assert len(found) == 2 * len(COMPARED)
    one = next(one for one in found if one.plain[0] == "bft" and one.plain.outcome == PASS_1)
    assert one.change.mean == pytest.approx(one.plain.found.mean - one.matched.found.mean)
    assert one.p < 0.05
    same = both_arms(main, main)
    assert all((one.change.mean, one.p) == (0, 1) for one in same)
