import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftembed.errors import DataError
from bftembed.studies.grpo.config import GRPOStudyConfig
from bftembed.studies.grpo.matching import choose, counts, matched_cell, matched_values, steps_cell
from bftembed.studies.grpo.outcomes import RANK

RIGHT = st.dictionaries(
    st.sampled_from(["sft", "dft", "bft"]),
    st.lists(st.integers(0, 9), min_size=1, max_size=4),
    min_size=2,
)


def by_trying(right):
    """All targets with all steps of all starts, the best by the rule: nothing is taken start by start."""
    labels = list(right)

    def order(tried):
        target, steps = tried
        distances = [abs(right[label][step] - target) for label, step in zip(labels, steps, strict=True)]
        return max(distances), target, sum(distances), [-step for step in steps]

    targets = {found[-1] for found in right.values()}
    steps = itertools.product(*(range(len(right[label])) for label in labels))
    target, taken = min(itertools.product(targets, steps), key=order)
    return target, dict(zip(labels, taken, strict=True))


@given(RIGHT)
def test_the_choice_is_the_best_of_all_that_there_are(right):
    assert tuple(choose(right)) == by_trying(right)


@given(RIGHT, st.integers(0, 5))
def test_only_differences_count_and_one_start_is_at_its_end(right, more):
    found = choose(right)
    assert choose({label: [count + more for count in each] for label, each in right.items()}).taken == found.taken
    assert choose(dict(reversed(right.items()))) == found
    assert any(found.taken[label] == len(each) - 1 for label, each in right.items() if each[-1] == found.target)


@pytest.mark.parametrize(
    ("right", "taken"),
    [
        (
            {"sft": [1, 4, 9], "bft": [0, 2, 4]},
            {"sft": 1, "bft": 2},
        ),  # the lowest end, where answers get better
        ({"sft": [8, 5, 2], "bft": [9, 7, 5]}, {"sft": 1, "bft": 2}),  # the highest one, where they get worse
        ({"sft": [3, 3, 3], "bft": [1, 5, 3]}, {"sft": 2, "bft": 2}),  # the latest of those that are as near
        ({"sft": [2, 4], "bft": [0, 3]}, {"sft": 1, "bft": 1}),  # as near from both sides
    ],
)
def test_starts_are_stopped_where_they_answer_alike(right, taken):
    assert choose(right).taken == taken


def config(**changes):
    starts = {label: {"objective": label} for label in ("sft", "bft")} | {"base": {}}
    return GRPOStudyConfig.model_validate({"output": "x", "starts": starts, "seeds": [0, 1], "matched": {}} | changes)


def test_answers_of_all_seeds_and_questions_are_counted_together():
    results = {
        steps_cell(label, seed): {"steps": [2, 4], "right": [[seed, 1], [0, 2]]}
        for label in ("sft", "bft")
        for seed in (0, 1)
    }
    results |= {
        f"start-{label}-s{seed}": {"predictors": {"right": [3, seed]}} for label in ("sft", "bft") for seed in (0, 1)
    }
    assert counts(config(), results) == {"sft": [3, 4, 7], "bft": [3, 4, 7]}
    results["steps-bft-s1"] = {"steps": [3], "right": [[0, 0]]}
    with pytest.raises(DataError, match="runs of `bft` have other steps from seed to seed"):
        counts(config(), results)


def test_the_arm_has_its_own_starts_where_they_are_not_those_of_the_main_arm(values):
    made = values({"sft": 0.5, "bft": 0.5, "base": 0.5}, seeds=(0, 1), matched={})
    other = values({"sft": 0.9, "bft": 0.9, "base": 0.9}, before=1.0, seeds=(0, 1)).results
    for label, seed in itertools.product(("sft", "bft"), (0, 1)):
        same = label == "sft"
        begin, run = f"start-{label}-s{seed}", f"grpo-{label}-s{seed}-g0"
        made.results[matched_cell(label, seed)] = {"same_as": begin} if same else other[begin]
        made.results[matched_cell(label, seed, 0)] = {"same_as": run} if same else other[run]
    arm = matched_values(made)
    assert list(arm.config.starts) == ["sft", "bft"]
    assert (arm.gain("sft", "test", RANK) == made.gain("sft", "test", RANK)).all()
    assert (arm.before("bft", "test", RANK) == 1).all()
    assert not (made.before("bft", "test", RANK) == 1).all()
