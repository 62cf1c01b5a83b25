"""Rows that stand beside a language model's answers on perturbations, made without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bftembed.bench.language.perturbations.scores import PER_GENE, POOLED, POOLED_ACCURACY
from bftembed.bench.scoring.metrics import auroc, plain
from bftembed.bench.scoring.scores import Score
from bftembed.likeness import soft

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from bftembed.bench.language.perturbations.evidence import Alike, Evidence
    from bftembed.bench.language.perturbations.scores import Sample

RETRIEVAL = "retrieval only"
_N_SHUFFLES = 10
_TEMPERATURE = 0.1  # best for words without names on held-out training perturbations (benchmarks/perturbation_vote.py)


def controls(evidence: Evidence, asked: pd.DataFrame, test: pd.DataFrame, sample: Sample) -> list[Score]:
    """Baselines, the first of which is to beat: `RETRIEVAL`, the AUROC per gene of the vote.

    Parameters
    ----------
    evidence
        The training outcomes.
    asked, test
        Rows that are asked, and all of the test, for the pooled scores of the gene rate alone.
    sample
        Of the asked rows.
    """
    rate, vote = evidence.rate(asked), evidence.vote(asked)
    above = np.where(vote > rate, 1, -1)
    majority = np.full(len(asked), 1 if evidence.label.mean() > 0.5 else -1)
    return [
        sample.per_gene(RETRIEVAL, vote),
        sample.accuracy(f"{RETRIEVAL}, above the gene rate", above),
        sample.per_perturbation(RETRIEVAL, vote),
        sample.f1(RETRIEVAL, vote > 0.5),
        sample.per_gene(f"{RETRIEVAL}, squared kernel", evidence.vote(asked, power=2)),
        sample.per_gene(f"{RETRIEVAL}, exponential kernel", evidence.vote(asked, alike=_exponential(evidence.alike))),
        sample.per_gene("10 nearest neighbours", evidence.nearest(asked)),
        _texts_shuffled(evidence, asked, sample),
        sample.per_gene("gene rate in train", rate),
        sample.accuracy("gene rate in train", np.where(rate > 0.5, 1, -1)),
        sample.per_perturbation("gene rate in train", rate),
        sample.accuracy("majority in train", majority),
        sample.f1("always yes", np.ones(len(asked), dtype=bool)),
        *sample.pooled("gene rate in train", rate, np.where(rate > 0.5, 1, -1)),
        *_pooled_of_all(evidence, test),
    ]


def _texts_shuffled(evidence: Evidence, asked: pd.DataFrame, sample: Sample) -> Score:
    """The vote with the texts of perturbations dealt out anew, ten times."""
    names = sorted({*evidence.perts, *asked["pert"]})
    values = []
    for seed in range(_N_SHUFFLES):
        other = dict(zip(names, np.random.default_rng(seed).permutation(names).tolist(), strict=True))
        values.append(sample.plain_per_gene(evidence.vote(asked, alike=_renamed(evidence.alike, other))))
    return Score("retrieval only, texts shuffled", PER_GENE, np.array(values)[:, None])


def _exponential(alike: Alike) -> Alike:
    return lambda names, others: soft(alike(names, others), _TEMPERATURE).astype(np.float64)


def _renamed(alike: Alike, other: dict[str, str]) -> Alike:
    def renamed(names: Sequence[str], others: Sequence[str]) -> NDArray[np.float64]:
        return alike([other[name] for name in names], [other[name] for name in others])

    return renamed


def _pooled_of_all(evidence: Evidence, test: pd.DataFrame) -> list[Score]:
    """Pooled scores of the gene rate on the whole test, as others print them of models."""
    rate, label = evidence.rate(test), test["label"].to_numpy(dtype=bool)
    if label.all() or not label.any():
        return []
    name = "gene rate in train, all pairs of the test"
    right = float(((rate > 0.5) == label).mean())
    return [
        Score(name, POOLED, np.array([[plain(auroc, label, rate)]]), to_beat=False),
        Score(name, POOLED_ACCURACY, np.array([[right]]), to_beat=False),
    ]
