"""What a preset puts into a prompt; nothing of the test, even if the evidence were wrong."""

from dataclasses import replace

import pytest

from bftembed.bench.language.perturbations.prompts import PREFIX, Asked
from bftembed.errors import DataError

ASKED = Asked("P00", "G3", "K562")


@pytest.mark.parametrize("preset", ["evidence", "evidence_as_released", "evidence_shuffled", "steps"])
def test_evidence_of_a_tested_perturbation_stops_the_run(problem, preset):
    prompts = problem(preset).prompts
    shown = {outcome.pert for outcome in prompts.shown(ASKED)}
    assert len(shown) >= 5
    with pytest.raises(DataError, match=r"The tested perturbation P\d\d stands in the evidence for P00 and G3"):
        replace(prompts, tested=frozenset(shown)).shown(ASKED)


def test_presets_differ_by_what_they_show(problem):
    shown = {preset: problem(preset).prompts.shown(ASKED) for preset in ("bare", "described", "evidence", "steps")}
    assert shown["bare"] == shown["described"] == []
    assert shown["evidence"] == shown["steps"]
    shuffled, random = (problem(f"evidence_{kind}").prompts.shown(ASKED) for kind in ("shuffled", "as_released"))
    assert [outcome[:3] for outcome in shuffled] == [outcome[:3] for outcome in shown["evidence"]]
    assert {outcome.gene for outcome in shown["evidence"]} == {"G3"}
    assert len({outcome.gene for outcome in random}) > 1


def test_options_and_their_beginning(problem):
    question = problem().prompts.question("1", ASKED, item="P00|G3|K562", row="x")
    assert (question.request.prefix, question.options) == (PREFIX, (" yes", " no"))
    assert (question.item, question.row, question.request.id) == ("P00|G3|K562", "x", "1")
    steps = problem("steps").prompts.question("1", ASKED, item="a")
    assert (steps.request.prefix, steps.options) == ("", ())
    prior = problem(mode="dir").prompts.prior()
    assert prior.options == (" increase", " decrease")
