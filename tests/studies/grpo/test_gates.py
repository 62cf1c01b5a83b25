import pytest

from bftembed.studies.grpo.gates import gates, rise, verdict

BOTH = {"sft": 0.5, "bft": 0.5}


def test_gates_take_the_better_of_start_and_step_twenty(values):
    answered, signal = gates(values(BOTH, silent=0.5), "bft")
    assert (answered.value, answered.holds) == (1.0, True)
    assert (signal.value, signal.needed, signal.holds) == (0.5, 0.2, True)
    made = values(BOTH, answered=0.5)
    for run in made.runs("sft"):
        run["trajectory"]["answered"] = [0.5] * 19 + [0.95, 0.2]
    assert gates(made, "sft")[0].value == pytest.approx(0.95)
    assert gates(made, "bft")[0].value == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"answered": 0.2}, "uninformative: answered. Answered of `sft` 0.200, needed 0.9. Also: "),
        ({"silent": 1.0}, "uninformative: groups with signal. Groups with signal of `sft` 0.000, needed 0.2."),
        (
            {"positive_control": "sft", "reward": (0.3, 0.35)},
            "uninformative: positive control. Where one answer is always right the mean reward went from 0.300 to 0.35",
        ),
        ({"seeds": (0,)}, "cannot be told: one seed"),
        ({}, "`bft` against `sft`: cannot be told (accuracy by rank "),
    ],
)
def test_the_verdict_says_what_failed(values, changes, expected):
    assert verdict(values(BOTH, **changes)).startswith(expected)


def test_a_control_that_begins_high_need_not_rise(values):
    made = values(BOTH, positive_control="sft", reward=(0.95, 0.95))
    assert "positive control" not in verdict(made)
    assert rise({"reward": [0.0, 1.0]}) == (0.0, 1.0)


def test_a_start_that_gains_more_is_better_and_one_that_gains_less_is_worse(values):
    seeds = tuple(range(6))
    assert verdict(values({"sft": 0.5, "bft": 1.0}, seeds=seeds)).startswith("`bft` against `sft`: better start (")
    assert verdict(values({"sft": 1.0, "bft": 0.5}, seeds=seeds)).startswith("`bft` against `sft`: worse start (")


def test_a_start_whose_gate_fails_is_left_out_alone(values):
    made = values({"sft": 0.5, "bft": 0.5, "dft": 0.5})
    for run in made.runs("dft"):
        run["trajectory"]["frac_reward_zero_std"] = [1.0] * 5
    assert "`dft` against" not in verdict(made)
    assert verdict(made).endswith("Not compared, for a gate: dft.")
