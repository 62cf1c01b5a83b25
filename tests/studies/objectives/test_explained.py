"""What a difference is made of, on results that are made up."""

import math

import pytest

from bftembed.studies.objectives.explained import steps, uninformative, verdict
from bftembed.studies.objectives.outcomes import Outcomes, cell_name
from tests.studies.objectives.made import LOSS, configuration, results


def outcomes(config=None, **options):
    config = config or configuration()
    return Outcomes(config, results(config, **options))


def test_steps_at_one_rate_add_up_to_the_whole():
    rows = steps(outcomes(noise=0), ("sft", "mean", "bft"))
    assert [title for title, _ in rows] == ["sft → mean", "mean → bft", "sft → bft, all steps"]
    for column in (1, 2, 3):
        assert rows[0][1][column].mean + rows[1][1][column].mean == pytest.approx(rows[2][1][column].mean)
    assert rows[2][1][2].mean == pytest.approx(0.8)  # 0.9 less 0.1, both at 1e-3
    assert rows[2][1][0].mean == pytest.approx(0.6)  # 0.7 less 0.1, each at its own rate


def test_a_path_of_two_is_one_step_and_a_diverged_rate_is_left_out():
    rows = steps(outcomes(noise=0), ("sft", "dft"))
    assert [title for title, _ in rows] == ["sft → dft"]
    assert rows[0][1][3] is None
    assert rows[0][1][0].mean == pytest.approx(0.8)


def test_the_verdict_parts_learning_rate_from_objective():
    said = verdict(outcomes(noise=0))
    factor = {label: math.exp(LOSS[label][1] - LOSS["sft"][1]) for label in ("bft", "mean")}
    assert f"`bft`: {factor['bft']:.2f} [" in said
    assert "at 0.001, which is best for `sft`" in said
    assert "at its own 0.0001, by which it changes 0.819 [" in said  # exp(0.7 - 0.9)
    assert "`mean`: 1.11 [" in said
    assert "and for it" in said
    assert said.count("it is worse") == 3


def test_what_varies_more_than_it_differs_cannot_be_told():
    config = configuration()
    given = results(config)
    for seed, factor in zip(config.seeds, (0.8, 1.0, 1.25), strict=True):
        for name in ("validation", *config.sets):
            sums = given[cell_name("mean", 1e-3, seed)]["sets"][name]
            sums["nll"] = [factor * value for value in sums["nll"]]
    assert "`mean`: " in (said := verdict(Outcomes(config, given)))
    assert "a difference between the two at their own rates cannot be told" in said


def test_preconditions():
    assert uninformative(outcomes()) is None
    one = configuration(seeds=[0])
    assert "there is one seed" in verdict(outcomes(one))
    assert "`sft` did not learn" in verdict(outcomes(base=0.1))
    assert "every run of `sft` diverged" in verdict(outcomes(loss=LOSS | {"sft": (None, None, None)}))
    config = configuration()
    given = results(config)
    given[cell_name("bft", 1e-4, 1)]["training"]["supervised_tokens"] = [1.0, 1.0]
    assert "did not see the same tokens" in verdict(Outcomes(config, given))


def test_an_objective_of_which_every_run_diverged_is_said_to_have():
    assert "`dft`: every run diverged." in verdict(outcomes(loss=LOSS | {"dft": (None, None, None)}))
