"""Responses of expression to perturbations that were never seen, from vectors of the perturbed genes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bftembed.bench.base import Evaluation, Problem
from bftembed.bench.problems._expression_data import (
    BEST,
    MAIN,
    Responses,
    Setting,
    measures,
    part_of,
    ratio,
    read_responses,
)
from bftembed.bench.problems._expression_models import (
    BASELINES,
    LEAST_TO_LEARN_FROM,
    MEAN,
    MODELS,
    RIDGE,
    VOTE,
    WORDS_VOTE,
    predicted,
    ridge,
)
from bftembed.bench.scoring.probes import Fold
from bftembed.bench.scoring.scores import Score, item_weights
from bftembed.errors import InputError
from bftembed.likeness import unit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from anndata import AnnData
    from numpy.typing import NDArray

    from bftembed.bench.problems._expression_models import Model
    from bftembed.bench.sources.base import Source

    Floats = NDArray[np.float64]
    Rows = NDArray[np.intp]

_LEAST = 10


class ExpressionResponse(Problem):
    """Change of mean expression under perturbations of one or two genes, predicted for unseen ones.

    A perturbation is the sum of the vectors of its genes, since effects of two genes mostly add up. The vectors are
    centred first: else the sum of any vectors would tell how many genes are perturbed, which is no merit of theirs.

    Each perturbation is predicted by models that never saw it, nor any perturbation of one of its genes: on
    this stands the main score. Doubles are predicted a second time with only themselves left out, and scored by how
    many of their genes occur in other perturbations. Penalties are chosen in the same way within the training set.

    Metrics are those of GEARS and cell-eval, one value per perturbation: Pearson correlation of the predicted and the
    true change over all genes and over the 20 genes that differ most from the controls, mean squared error, share of
    these 20 whose direction is right, and the discrimination score: the share of other perturbations whose true
    change is farther from the prediction (sum of absolute differences, without the perturbed genes). A prediction
    that is equal in all genes correlates with nothing: 0. Normalised, 0 is the mean of the training changes and 1 a
    perfect prediction; worse than the mean is below 0.

    Probes: ridge regression (main), kernel ridge regression, the mean of the five nearest neighbours, and the kernel
    vote of `bftembed.tl.PerturbationModel`. Baselines: the same vote by words, where they are given; the mean; no
    change; the sum of the two single changes, where both are seen; and ridge regression on the principal components of
    the perturbed genes in the training data, as in the linear model of Ahlmann-Eltze et al. (2025), where all of them
    are measured.

    Parameters
    ----------
    responses
        As `read_responses` gives them; see `from_anndata`.
    removed
        What was removed before, for the report.
    notes
        Sentences on how the data were read.
    words
        Gives the words (n, n_words) of n genes, rows of unit length, for a baseline, e.g.
        `bftembed.likeness.gene_words`.

    Raises
    ------
    InputError
        If there are fewer than 10 perturbations.

    Examples
    --------
    See `from_anndata`, which makes it of cells:

    >>> import numpy as np, pandas as pd
    >>> from anndata import AnnData
    >>> from bftembed.bench import ExpressionResponse
    >>> genes = ["TP53", "KLF1", "MYC", "JUN", "FOS", "EGFR", "KRAS", "GATA1", "SPI1", "CEBPA"]
    >>> obs = pd.DataFrame({"condition": np.repeat(["ctrl", *(f"{gene}+ctrl" for gene in genes)], 20)})
    >>> counts = np.random.default_rng(0).poisson(3.0, (len(obs), 50)).astype("float32")
    >>> problem = ExpressionResponse.from_anndata(AnnData(counts, obs=obs.set_index(obs.index.astype(str))))
    >>> problem.entities[:2]
    ['CEBPA', 'EGFR']
    """

    def __init__(
        self,
        responses: Responses,
        *,
        removed: Mapping[str, int] | None = None,
        notes: Sequence[str] = (),
        words: Callable[[Sequence[str]], Any] | None = None,
    ) -> None:
        self.responses, self.words = responses, words
        self.removed, self.notes = dict(removed or {}), tuple(notes)
        self.entities = responses.genes
        if len(responses.parts) < _LEAST:
            why = "; ".join(f"{reason}: {n}" for reason, n in self.removed.items()) or "none"
            msg = f"{_LEAST} perturbations are needed, there are {len(responses.parts)}. Left out before: {why}."
            raise InputError(msg)

    @classmethod
    def from_anndata(
        cls,
        adata: AnnData,
        condition: str = "condition",
        control: str | Sequence[str] | None = None,
        *,
        separator: str = "+",
        layer: str | None = None,
        values: str = "auto",
        min_cells: int = 20,
        removed: Mapping[str, int] | None = None,
        words: Callable[[Sequence[str]], Any] | None = None,
    ) -> Self:
        """Make a problem of single-cell data of a genetic perturbation screen.

        Parameters
        ----------
        adata
            Cells by genes; in memory or backed.
        condition
            Column of ``obs`` with the perturbation of each cell. All of these name the same perturbation: ``A+ctrl``,
            ``ctrl+A`` (GEARS) and ``A`` (pertpy), or ``A+B`` and ``B+A``; their cells are pooled.
        control
            Name or names of no perturbation; by default ``ctrl``, ``control``, ``non-targeting`` and the like.
        separator
            Between two genes; ``"_"`` for data of scPerturb.
        layer
            Use this layer instead of ``X``.
        values
            ``"counts"`` are scaled to 10,000 per cell and logged, ``"lognorm"`` is used as it is; ``"auto"`` takes
            whole numbers as counts and says so in the notes.
        min_cells
            Perturbations with fewer cells are left out, and counted.
        removed
            What was removed before, for the report.
        words
            For a baseline, as in the class.

        Raises
        ------
        InputError
            If the column or the control cells are missing, values are neither counts nor log-normalised, or fewer
            than 10 perturbations or 20 genes are left.

        Examples
        --------
        Any data set can be a task of one's own:

        >>> import numpy as np, pandas as pd
        >>> from anndata import AnnData
        >>> from bftembed.bench import ExpressionResponse, get_source
        >>> genes = ["TP53", "KLF1", "MYC", "JUN", "FOS", "EGFR", "KRAS", "GATA1", "SPI1", "CEBPA"]
        >>> obs = pd.DataFrame({"condition": np.repeat(["ctrl", *(f"{gene}+ctrl" for gene in genes)], 20)})
        >>> counts = np.random.default_rng(0).poisson(3.0, (len(obs), 50)).astype("float32")
        >>> adata = AnnData(counts, obs=obs.set_index(obs.index.astype(str)))
        >>> problem = ExpressionResponse.from_anndata(adata)
        >>> len(problem.entities)
        10
        >>> evaluation = problem.evaluate(problem.embed(get_source("random")))
        >>> evaluation.scores[0].metric
        'normalised pearson delta'
        """
        responses, left_out, notes = read_responses(
            adata,
            condition,
            control=control,
            separator=separator,
            layer=layer,
            values=values,
            min_cells=min_cells,
        )
        return cls(responses, removed={**left_out, **(removed or {})}, notes=notes, words=words)

    def embed(self, source: Source) -> NDArray[np.float32]:
        """Vectors of the perturbed genes."""
        return source.genes(self.entities)

    def evaluate(self, vectors: NDArray[np.float32], *, n_jobs: int = 1) -> Evaluation:
        """Score vectors (n_genes, d); a perturbation of a gene whose row is NaN takes no part.

        Raises
        ------
        InputError
            If fewer than 10 perturbations are left.
        """
        has_vector = np.asarray(np.isfinite(vectors).all(axis=1))
        known = np.flatnonzero(~self.responses.has[:, ~has_vector].any(axis=1))
        strict = self._folds(known, unseen=True)
        if len(strict) < _LEAST:
            msg = (
                f"Only {len(known)} of {len(self.responses.parts)} perturbations have all vectors, and {len(strict)} "
                f"have {LEAST_TO_LEARN_FROM} others that share no gene with them; {_LEAST} are needed."
            )
            raise InputError(msg)
        of_genes = vectors[has_vector].astype(np.float64)
        x = np.zeros((len(self.responses.has), vectors.shape[1]))
        x[known] = self.responses.has[np.ix_(known, has_vector)] @ (of_genes - of_genes.mean(axis=0))
        units = {VOTE: unit(vectors)}
        if self.words is not None:
            units[WORDS_VOTE] = self.words(self.entities)
        unseen = self._setting(x, units, strict, MODELS, n_jobs, unseen=True)
        seen = self._setting(x, units, self._folds(known, unseen=False), {RIDGE: ridge}, n_jobs, unseen=False)
        kinds = self._kinds(known, unseen, seen)
        by_method = {}
        for method in unseen.measured:
            metrics = [MAIN] if method in MODELS and method != RIDGE else list(BEST)
            by_method[method] = [score for metric in metrics for score in self._scores(method, metric, unseen)]
            if method == RIDGE or method not in MODELS:
                for kind, setting in kinds.items():
                    by_method[method] += self._scores(method, MAIN, setting, f", {kind}")
        notes = [
            f"No perturbation has what the baseline `{method}` needs."
            for method, found in by_method.items()
            if not found
        ]
        if bool((of_genes == of_genes[0]).all()):
            notes.append("All vectors are equal: this embedding says nothing of the genes.")
        names = self.responses.names
        return Evaluation(
            scores=[score for method in (*MODELS, VOTE) for score in by_method.pop(method)],
            baselines=[score for found in by_method.values() for score in found],
            items=[names[i] for i in unseen.rows],
            counts={
                "perturbations": len(strict),
                "perturbations without five others that share no gene": len(known) - len(strict),
                **{kind: len(setting.rows) for kind, setting in kinds.items()},
                "genes": self.responses.change.shape[1],
                "perturbed genes among them": sum(gene in self.responses.columns for gene in self.entities),
            },
            notes=[*self.notes, *notes],
        )

    def _folds(self, known: Rows, *, unseen: bool) -> list[Fold]:
        """Of each perturbation all that share no gene with it; or of each double all others."""
        folds = []
        for i in known:
            shares = self.responses.has[known] @ self.responses.has[i]
            if unseen or self.responses.has[i].sum() == 2:
                train = known[~shares] if unseen else known[known != i]
                folds.append(Fold(train, np.array([i])))
        return [fold for fold in folds if len(fold.train) >= LEAST_TO_LEARN_FROM]

    def _kinds(self, known: Rows, unseen: Setting, seen: Setting) -> dict[str, Setting]:
        """Parts of the two settings by kind of perturbation, without those that are empty."""
        occurs = self.responses.has[known].sum(axis=0) > 1
        single = self.responses.has[unseen.rows].sum(axis=1) == 1
        n_seen = (self.responses.has[seen.rows] & occurs).sum(axis=1)
        kinds = {
            "singles": (unseen, single),
            "doubles, 0 seen": (unseen, ~single),
            "doubles, 1 seen": (seen, n_seen == 1),
            "doubles, 2 seen": (seen, n_seen == 2),
        }
        return {kind: part_of(setting, of_kind) for kind, (setting, of_kind) in kinds.items() if of_kind.any()}

    def _setting(
        self,
        x: Floats,
        units: Mapping[str, Any],
        folds: Sequence[Fold],
        models: Mapping[str, Model],
        n_jobs: int,
        *,
        unseen: bool,
    ) -> Setting:
        """Predict the test row of every fold by models and baselines, and measure that."""
        from joblib import Parallel, delayed

        rows = np.array([fold.test[0] for fold in folds], dtype=np.intp)
        guessed = Parallel(n_jobs=n_jobs)(
            delayed(predicted)(self.responses, x, units, fold, models=models, unseen=unseen) for fold in folds
        )
        shape = len(folds), self.responses.change.shape[1]
        guesses = {
            method: np.reshape([of_fold[method] for of_fold in guessed], shape)
            for method in [*models, *units, *BASELINES]
        }
        return Setting(rows, {method: measures(self.responses, rows, guess) for method, guess in guesses.items()})

    def _scores(self, method: str, metric: str, setting: Setting, suffix: str = "") -> list[Score]:
        """Normalised and raw, with bootstrap replicates over perturbations; none of a method without predictions."""
        values, mean = (setting.measured[each][metric] for each in (method, MEAN))
        known = ~np.isnan(values)
        if not known.any():
            return []
        weights = item_weights([self.responses.names[i] for i in setting.rows])
        possible = np.where(known, BEST[metric] - mean, np.nan)
        gained = (values - mean) / (np.nanmean(possible) or np.nan)
        return [
            Score(method, f"normalised {metric}{suffix}", gained[None], ratio(weights, values - mean, possible)),
            Score(method, f"{metric}{suffix}", values[None], ratio(weights, values, known.astype(float))),
        ]
