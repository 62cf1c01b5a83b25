import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from bftembed.quality.measures import estimates, paired


def test_shares_have_wilsons_interval():
    values = pd.DataFrame({"refusal": [1.0, 0, 0, 0, np.nan], "chromosome right": [1.0, 1, 1, 1, 1]})
    found = estimates(values).set_index("measure")
    assert tuple(found.loc["refusal", ["value", "low", "high", "n"]]) == pytest.approx(
        (0.25, *proportion_confint(1, 4, method="wilson"), 4)
    )
    assert found.loc["chromosome right", "high"] == 1
    assert found.loc["chromosome right", "low"] == pytest.approx(proportion_confint(5, 5, method="wilson")[0])


def test_other_means_have_students_interval_and_percentiles_a_median():
    values = pd.DataFrame({"masked percentile (TF-IDF)": np.linspace(0.1, 1, 40), "n_words": np.arange(40.0)})
    found = estimates(values).set_index("measure")
    oracle = DescrStatsW(values["n_words"]).tconfint_mean()
    assert tuple(found.loc["n_words", ["low", "high"]]) == pytest.approx(oracle)
    median = found.loc["masked percentile (TF-IDF), median"]
    assert median["low"] < 0.55 < median["high"]
    assert median["value"] == pytest.approx(0.55)


def test_one_value_has_no_interval_and_none_no_row():
    found = estimates(pd.DataFrame({"n_words": [3.0], "copied": [np.nan]}))
    assert found["measure"].tolist() == ["n_words"]
    assert found[["low", "high"]].isna().all(axis=None)


def test_differences_are_paired_by_gene():
    rng = np.random.default_rng(0)
    first = pd.DataFrame({"n_words": rng.normal(size=30)}, index=[f"G{i}" for i in range(30)])
    second = pd.DataFrame({"n_words": first["n_words"] - 1 + 0.1 * rng.normal(size=30)})[::-1].iloc[5:]
    found = paired(first, second).iloc[0]
    common = sorted(second.index)
    test = stats.ttest_rel(first.loc[common, "n_words"], second.loc[common, "n_words"]).confidence_interval()
    assert found["n"] == 25
    assert (found["low"], found["high"]) == pytest.approx((test.low, test.high))
    assert found["value"] == pytest.approx(1, abs=0.1)
    assert paired(first, second.set_axis([f"H{i}" for i in range(25)])).empty
