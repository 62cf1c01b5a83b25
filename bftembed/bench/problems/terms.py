"""Terms of genes: many binary labels, each given for genes of its own, scored by one mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bftembed.bench.base import Evaluation, Problem
from bftembed.bench.problems.genes import GeneLabels, Sample, scored, spelling
from bftembed.bench.scoring.metrics import mean_of_known
from bftembed.bench.scoring.probes import CONSTANT, LINEAR
from bftembed.bench.scoring.scores import Score, item_weights
from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bftembed.bench.scoring.probes import Probe
    from bftembed.bench.sources.base import Source


class GeneTerms(Problem):
    """Binary labels of several terms, each with genes of its own; the mean over terms of the AUROC of each.

    Every term has folds of its own, drawn over all its genes as `GeneLabels` does. A bootstrap replicate takes a gene
    equally often in all terms that have it, since the terms share genes.

    Parameters
    ----------
    terms
        By term: True/False or 0/1 by canonical symbol.
    removed
        What was removed before, for the report.
    n_folds, n_repeats
        Of the cross-validation.

    Raises
    ------
    InputError
        If there is no term, or one has fewer than `n_folds` genes of a class.

    Examples
    --------
    >>> import pandas as pd
    >>> from bftembed.bench import GeneTerms
    >>> genes = pd.Series({f"G{i}": i % 2 == 0 for i in range(20)})
    >>> problem = GeneTerms({"even": genes, "odd": ~genes})
    >>> len(problem.entities)
    20
    """

    def __init__(
        self,
        terms: Mapping[str, pd.Series[Any]],
        *,
        removed: Mapping[str, int] | None = None,
        n_folds: int = 5,
        n_repeats: int = 5,
    ) -> None:
        if not terms:
            msg = "There are no terms."
            raise InputError(msg)
        self.terms = {
            name: GeneLabels(labels, n_folds=n_folds, n_repeats=n_repeats) for name, labels in sorted(terms.items())
        }
        self.removed = dict(removed or {})
        self.entities: list[str] = sorted(set().union(*(term.entities for term in self.terms.values())))
        self.n_folds, self.n_repeats = n_folds, n_repeats

    def embed(self, source: Source) -> NDArray[np.float32]:
        """Vectors of the genes of all terms."""
        return source.genes(self.entities)

    def evaluate(self, vectors: NDArray[np.float32], *, n_jobs: int = 1) -> Evaluation:
        """Score vectors (n_genes, d); genes whose row is NaN take no part, nor terms with too few genes left."""
        known = np.flatnonzero(~np.isnan(vectors).any(axis=1))
        items = [self.entities[i] for i in known]
        rows, samples, notes = self._samples(items) if items else ([], [], [])
        if not samples:
            msg = f"Only {len(items)} of {len(self.entities)} genes have a vector, too few for any of the terms."
            raise InputError(msg)

        def baselines() -> list[Score]:
            nothing = np.zeros((len(items), 1), dtype=np.float32)
            return [
                _mean(CONSTANT, "constant", nothing, rows, samples, n_jobs=n_jobs),
                _mean(LINEAR, "spelling of the symbol", spelling(items), rows, samples, n_jobs=n_jobs),
            ]

        return Evaluation(
            scores=[_mean(LINEAR, LINEAR.name, vectors[known], rows, samples, n_jobs=n_jobs)],
            baselines=self.baselines_once(items, baselines),
            items=items,
            counts={"terms": len(samples), "genes": len(items), "labels": sum(len(sample.y) for sample in samples)},
            notes=notes,
        )

    def _samples(self, items: Sequence[str]) -> tuple[list[NDArray[np.intp]], list[Sample], list[str]]:
        """Per term that can be scored: rows of `items`, and the sample of them."""
        weights = item_weights(items)
        place = pd.Series(np.arange(len(items)), index=list(items))
        rows, samples, left_out = [], [], []
        for name, term in self.terms.items():
            known = np.flatnonzero(np.isin(term.entities, place.index))
            try:
                folds = term.folds_of(known)
            except InputError:
                left_out.append(name)
                continue
            rows.append(place[[term.entities[i] for i in known]].to_numpy())
            samples.append(Sample(term.labels[known], folds, weights[:, rows[-1]], self.n_repeats))
        notes = [f"Terms with too few genes left: {', '.join(left_out)}."] if left_out else []
        return rows, samples, notes


def _mean(
    probe: Probe,
    method: str,
    x: NDArray[np.float32],
    rows: Sequence[NDArray[np.intp]],
    samples: Sequence[Sample],
    *,
    n_jobs: int,
) -> Score:
    """Mean over the terms of each fold's AUROC and of each replicate's."""
    of_terms = [
        scored(probe, method, "binary", x[row], sample, n_jobs=n_jobs)[0][0]
        for row, sample in zip(rows, samples, strict=True)
    ]
    draws = mean_of_known(np.stack([np.asarray(score.draws) for score in of_terms]))
    values = np.stack([each.values for each in of_terms])  # noqa: PD011 (a score's, not a frame's)
    return Score(method, "auroc", mean_of_known(values), draws)
