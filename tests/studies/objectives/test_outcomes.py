"""Which learning rate is chosen, and measures with their intervals."""

import numpy as np
import pytest

from bftembed.studies.objectives.outcomes import BASE, VALIDATION, Outcomes, cell_name, perplexity, probability
from bftembed.studies.statistics.hierarchical import interval, paired
from tests.studies.objectives.made import LOSS, RATES, configuration, results


def outcomes(**options):
    config = configuration()
    return Outcomes(config, results(config, **options))


def test_the_rate_with_the_lowest_validation_perplexity_over_seeds_is_chosen():
    found = outcomes()
    assert found.chosen == {"sft": 1e-3, "mean": 1e-3, "bft": 1e-4, "dft": 1e-4}
    assert [found.at_edge(label) for label in found.chosen] == [False, False, True, True]


def test_one_good_seed_does_not_choose():
    config = configuration()
    given = results(config)
    lucky = given[cell_name("sft", 1e-2, 0)]["sets"]["validation"]
    lucky["nll"] = [0.9 * value for value in lucky["nll"]]
    assert Outcomes(config, given).chosen["sft"] == 1e-3


def test_evaluation_sets_play_no_part_in_the_choice():
    config = configuration()
    given = results(config)
    for seed in config.seeds:
        sets = given[cell_name("sft", 1e-4, seed)]["sets"]
        for name in config.sets:
            sets[name]["nll"] = [0.1 * value for value in sets[name]["nll"]]
    assert Outcomes(config, given).chosen["sft"] == 1e-3


def test_a_rate_of_which_a_run_diverged_is_not_chosen():
    config = configuration()
    given = results(config)
    given[cell_name("sft", 1e-3, 2)] = {"diverged": True}
    found = Outcomes(config, given)
    assert found.chosen["sft"] == 1e-2
    assert found.diverged("sft", 1e-3) == 1
    assert found.mean(perplexity("validation"), "sft", 1e-3) is None
    all_gone = outcomes(loss=LOSS | {"dft": (None, None, None)})
    assert all_gone.chosen["dft"] is None
    assert all_gone.by_probability["dft"] is None


def test_of_equal_rates_the_smaller_one_whatever_their_order():
    config = configuration(learning_rates=RATES[::-1])
    given = results(config, loss=LOSS | {"sft": (0.1, 0.1, 0.1)})
    assert Outcomes(config, given).chosen["sft"] == 1e-4


def test_measures_are_those_of_the_items():
    found = outcomes()
    runs = found.runs("bft", 1e-3)
    rows = np.array([run["sets"]["unseen genes"]["nll"] for run in runs])
    tokens = np.array(runs[0]["sets"]["unseen genes"]["tokens"])
    mean = found.mean(perplexity("unseen genes"), "bft", 1e-3)
    assert mean == interval(rows / tokens, tokens)
    assert mean.mean == pytest.approx((rows.sum(1) / tokens.sum()).mean())
    base = np.array(found.base["sets"]["unseen genes"]["nll"])
    beyond = found.difference(perplexity("unseen genes"), ("bft", 1e-3), None)
    assert beyond == pytest.approx(interval((rows - base) / tokens, tokens))
    sft = np.array([run["sets"]["unseen genes"]["nll"] for run in found.runs("sft", 1e-3)])
    other = found.difference(perplexity("unseen genes"), ("bft", 1e-3), ("sft", 1e-3))
    assert other == pytest.approx(paired(rows / tokens, sft / tokens, tokens))
    assert found.of_base(probability("unseen genes")).n_seeds == 1


def test_runs_that_saw_other_tokens_are_noticed():
    config = configuration()
    given = results(config)
    assert Outcomes(config, given).orders_agree()
    given[cell_name("bft", 1e-4, 1)]["training"]["supervised_tokens"] = [13.0, 12.0]
    assert not Outcomes(config, given).orders_agree()


def test_names():
    assert cell_name("sft", 1e30, 0) == "sft_lr1e30_seed0"
    assert BASE != VALIDATION
