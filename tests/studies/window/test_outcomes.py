"""Verdicts on tables of made-up runs."""

import math

import numpy as np
import pytest

from bftembed.studies.window.config import WindowConfig
from bftembed.studies.window.outcomes import UNTUNED, Design, judge, measures, run_name, table_of
from bftembed.studies.window.report import make_page
from bftembed.studies.window.weighing import WHOLE, grid

WINDOWS, SEEDS = (1, 32, 64, WHOLE), (0, 1, 2)


def config(**changes):
    values = {"output": "unused", "windows": list(WINDOWS), "seeds": list(SEEDS), "companion": None, "controls": False}
    return WindowConfig.model_validate(values | changes)


def design(lengths=(300, 400, 500, 10), same=None):
    return Design(tuple(grid(WINDOWS, v1=False, controls=False)), np.array(lengths), same or {}, ("bio", "other"))


def results(effects, *, noise=0.001, untuned=3.0, seed=0):
    rng = np.random.default_rng(seed)
    made = {UNTUNED: {"diverged": False, "nll": {"bio": untuned, "other": untuned}}}
    for name, effect in effects.items():
        for each in SEEDS:
            value = 2.0 + 0.05 * each + effect + noise * rng.normal()
            made[run_name(name, each)] = {"diverged": False, "nll": {"bio": value, "other": value}}
    return made


def verdict(made, *, settings=None, of=None):
    settings, of = settings or config(), of or design()
    return judge(settings, of, made, measures(settings, of)[0])


ALIKE = {"bft-1": 0.5, "bft-32": 0.0, "bft-64": 0.0, "bft-inf": 0.0}


def test_windows_that_are_alike_are_robust_whatever_a_window_of_one_does():
    found = verdict(results(ALIKE))
    assert found.word == "robust"
    assert found.found.margin == pytest.approx(math.log(1.01))
    assert "3 of 3 windows are better than the untuned model" in found.reason


def test_one_window_that_differs_is_not_robust():
    assert verdict(results({**ALIKE, "bft-64": 0.1})).word == "not robust"


def test_noise_can_tell_nothing_even_where_no_difference_is_significant():
    found = verdict(results(ALIKE, noise=0.05))
    assert found.word == "cannot be told"
    assert "3 seeds are too few" in found.reason


def test_one_seed_can_tell_nothing():
    found = verdict(results(ALIKE), settings=config(seeds=[0]))
    assert found.word == "cannot be told"
    assert "one seed only" in found.reason


def test_short_samples_are_never_called_robust():
    found = verdict(results(ALIKE), of=design(lengths=(300, 40, 50, 256)))
    assert found.word == "uninformative"
    assert "25% of the training samples have more than 256" in found.reason
    assert "1: 0%, 32: 0%, 64: 50%, inf: 100%" in found.reason


def test_runs_that_learn_nothing_are_never_called_robust():
    found = verdict(results(ALIKE, untuned=2.05))
    assert found.word == "uninformative"
    assert "no run moved the measure" in found.reason


def test_a_run_that_diverged_is_named():
    made = results(ALIKE)
    made["bft-64-seed2"] = {"diverged": True}
    found = verdict(made)
    assert found.word == "cannot be told"
    assert "`bft-64-seed2` diverged" in found.reason
    assert "diverged" in make_page(config(), design(), made | {"weights-0": weights()}).sections[1].parts[0].rows[3]


def test_a_margin_in_deviations_over_seeds():
    settings = config(margin={"seed_deviations": 1.0})
    found = verdict(results(ALIKE), settings=settings)
    assert found.word == "robust"
    assert found.found.margin == pytest.approx(0.05 * np.sqrt(2 / 5.99), rel=0.05)


def test_windows_that_are_one_run_count_once():
    of = design(same={"bft-inf": "bft-64"})
    assert of.runs == ["bft-1", "bft-32", "bft-64"]
    assert of.windows([64, 32, WHOLE]) == ["bft-32", "bft-64"]
    made = {name: each for name, each in results(ALIKE).items() if "inf" not in name}
    page = make_page(config(), of, made | {"weights-0": weights()})
    rows = page.sections[1].parts[0].rows
    assert rows[4][0] == "bft-inf"
    assert rows[4][1:] == [*rows[3][1:-1], "same as bft-64"]
    assert "bft-inf is bft-64" in " ".join(page.sections[0].text)


def test_one_window_alone_is_no_comparison():
    of = design(same={"bft-64": "bft-32", "bft-inf": "bft-32"})
    assert "one level only" in verdict(results(ALIKE), of=of).reason


def test_perplexity_is_shown_and_its_logarithm_compared():
    of = design()
    measure = measures(config(), of)[1]
    table = table_of(measure, ["bft-32"], SEEDS, results(ALIKE, noise=0))
    assert table.tolist() == [[2.0, 2.05, 2.1]]
    assert measure.show(2.0) == "7.389"


def test_answers_to_questions_have_their_own_margins():
    settings = config(medical={"items": 3})
    right, gold = measures(settings, design())[2:]
    run = {"diverged": False, "medical": {"right": 0.25, "gold": None}}
    assert (right.value(run), right.margin, right.show(0.25)) == (0.25, 0.01, "0.250")
    assert math.isnan(gold.value(run))


def weights():
    from bftembed.studies.window.companion import Tokens, measure

    rng = np.random.default_rng(0)
    return measure(
        Tokens(np.log(rng.uniform(size=50)).astype(np.float32), np.array([20, 30]), {}), WINDOWS, resamples=5
    )
