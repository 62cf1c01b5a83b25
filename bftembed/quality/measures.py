"""Numbers of each gene's text, their means with intervals, and differences between stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from bftembed.quality.statements import STATEMENTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: The measure that sums a store up: what the words tell without the gene's names.
MAIN = "masked percentile (TF-IDF)"
_RANKS = {"tfidf": "TF-IDF", "encoder": "encoder"}
_MEDIAN = ", median"
_MEASURED = ("repetition", "copied", "n_words")


class Estimate(NamedTuple):
    """A mean (or median), its 95 % interval, and the number of genes that it is of."""

    value: float
    low: float
    high: float
    n: int


def measure_values(genes: pd.DataFrame) -> pd.DataFrame:
    """One number per gene and measure, NaN where a measure does not apply.

    Parameters
    ----------
    genes
        As `check_texts` gives it.

    Returns
    -------
    pandas.DataFrame
        One row per row of `genes`, float64. Shares are 0 or 1. Of every statement: right and wrong (of all genes),
        ``right of stated``; where prompts are known both once more for genes whose prompt held the truth, and for the
        others.

    Examples
    --------
    >>> import pandas as pd
    >>> from bftembed.quality import check_texts, measure_values
    >>> checks = check_texts(pd.DataFrame({"gene": ["CTSL"], "text": ["A protease on chromosome 1p36."]}))
    >>> float(measure_values(checks)["chromosome wrong"].iloc[0])
    1.0
    """
    found: dict[str, pd.Series] = {}
    for column, by in _RANKS.items():
        for suffix, masked in (("_masked", "masked "), ("", "")):
            if (name := f"{column}_rank{suffix}") in genes:
                rank = genes[name]
                found[f"{masked}percentile ({by})"] = 1 - (rank - 1) / (genes["n_ranked"] - 1)
                found[f"{masked}reciprocal rank ({by})"] = 1 / rank
                found[f"{masked}first ({by})"] = (rank == 1).astype(float).where(rank.notna())
    for name in STATEMENTS:
        said = name.replace("_", " ")
        worth = {word: (genes[name] == word).astype(float) for word in ("right", "wrong")}
        found |= {f"{said} {word}": values for word, values in worth.items()}
        found[f"{said} right of stated"] = worth["right"].where(genes[name] != "absent")
        for where, told in (("in prompt", True), ("not in prompt", False)):
            chosen = genes[f"{name}_in_prompt"] == told
            found |= {f"{said} {word}, {where}": values.where(chosen) for word, values in worth.items()}
    found["unknown symbols"] = (genes["unknown_symbols"] != "").astype(float)
    found["refusal"] = genes["refusal"].astype(float)
    return pd.DataFrame(found | {name: genes[name] for name in _MEASURED}).astype(float)


def estimates(values: pd.DataFrame) -> pd.DataFrame:
    """Mean of every measure, medians of percentiles too; measures that apply to no gene are left out.

    Intervals (95 %) are Wilson's for shares, Student's for other means, and by order statistics for medians.

    Returns
    -------
    pandas.DataFrame
        Columns ``measure``, ``value``, ``low``, ``high``, ``n``.

    Examples
    --------
    >>> import pandas as pd
    >>> from bftembed.quality import estimates
    >>> estimates(pd.DataFrame({"n_words": [80.0, 100.0, 120.0]})).round(1).to_dict("records")
    [{'measure': 'n_words', 'value': 100.0, 'low': 50.3, 'high': 149.7, 'n': 3}]
    """
    rows = []
    for measure, column in values.items():
        known, name = column.dropna().to_numpy(dtype=np.float64), str(measure)
        if len(known):
            rows.append((name, *(_share(known) if _is_share(name) else _student(known))))
        if len(known) and "percentile" in name:
            rows.append((f"{name}{_MEDIAN}", *_median_of(known)))
    return pd.DataFrame(rows, columns=["measure", *Estimate._fields])


def paired(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Mean difference of every measure, first minus second, over the rows (genes) for which both have it.

    The interval is Student's, of the differences.

    Examples
    --------
    >>> import pandas as pd
    >>> from bftembed.quality import paired
    >>> first, second = pd.DataFrame({"n words": [80.0, 100.0]}), pd.DataFrame({"n words": [70.0, 92.0]})
    >>> paired(first, second)["value"].tolist()
    [9.0]
    """
    common = first.index.intersection(second.index)
    rows = []
    for measure, column in (first.loc[common] - second.loc[common]).items():
        differences = column.dropna().to_numpy(dtype=np.float64)
        if len(differences):
            rows.append((measure, *_student(differences)))
    return pd.DataFrame(rows, columns=["measure", *Estimate._fields])


def _is_share(measure: str) -> bool:
    """Whether it is 0 or 1 of every gene."""
    return "rank" not in measure and "percentile" not in measure and measure not in _MEASURED


def _share(values: NDArray[np.float64]) -> Estimate:
    limits = stats.binomtest(int(values.sum()), len(values)).proportion_ci(method="wilson")
    return Estimate(float(values.mean()), float(limits.low), float(limits.high), len(values))


def _student(values: NDArray[np.float64]) -> Estimate:
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return Estimate(mean, np.nan, np.nan, n)
    half = float(stats.t.ppf(0.975, n - 1) * stats.sem(values))
    return Estimate(mean, mean - half, mean + half, n)


def _median_of(values: NDArray[np.float64]) -> Estimate:
    limits: Any = stats.quantile_test(values, p=0.5).confidence_interval()
    return Estimate(float(np.median(values)), float(limits.low), float(limits.high), len(values))
