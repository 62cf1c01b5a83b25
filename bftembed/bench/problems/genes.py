"""Labels of genes: binary, classes, several labels each, or a value; repeated cross-validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from bftembed.bench.base import Evaluation, Problem
from bftembed.bench.scoring.metrics import METRICS, drawn, mean_of_known, plain
from bftembed.bench.scoring.probes import CONSTANT, FOREST, LINEAR, Fold, predict_folds
from bftembed.bench.scoring.scores import Score, item_weights, widened
from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bftembed.bench.scoring.probes import Prediction, Probe, Target
    from bftembed.bench.sources.base import Source

#: Metrics per kind of label, the main one first, and whether each takes what ranks or the class that was guessed.
_METRICS: dict[Target, dict[str, str]] = {
    "binary": {"auroc": "score", "balanced accuracy": "guess"},
    "classes": {"balanced accuracy": "guess", "accuracy": "guess"},
    "labels": {"auroc": "score"},
    "value": {"spearman": "score"},
}
_SPELLING_FEATURES = 256
#: Different labels that the training and the test part of a fold need.
_CLASSES_NEEDED: dict[Target, tuple[int, int]] = {"binary": (2, 2), "classes": (2, 1)}


class Sample(NamedTuple):
    """What is scored: labels of n genes, folds of all repeats in turn, and how often each replicate takes each gene."""

    y: NDArray[Any]
    folds: list[Fold]
    weights: NDArray[np.float64]
    n_repeats: int


class GeneLabels(Problem):
    """Genes with labels, scored by repeated (stratified) cross-validation.

    The folds are drawn once over all genes, so that a gene is in the same fold for every embedding, whatever genes an
    embedding lacks.

    Parameters
    ----------
    labels
        By canonical symbol: True/False or 0/1 (binary), text (classes), other numbers (a value to rank); or a data
        frame of bool with one column per label.
    removed
        What was removed before, for the report.
    probes
        Models; the first gives the main score.
    n_folds, n_repeats
        Of the cross-validation. Classes with fewer than `n_folds` genes, or of which fewer have a vector, are left out.
    baselines
        Whether to score the constant answer and the spelling of the symbols too.

    Raises
    ------
    InputError
        If genes repeat, labels are missing, or too few genes are left.

    Examples
    --------
    >>> from bftembed.bench import LINEAR, GeneLabels, get_source
    >>> labels = {f"G{i}": i % 2 for i in range(40)}
    >>> problem = GeneLabels(labels, n_repeats=1, n_folds=2, probes=(LINEAR,), baselines=False)
    >>> problem.evaluate(problem.embed(get_source("random")), n_jobs=1).scores[0].metric
    'auroc'
    """

    def __init__(
        self,
        labels: Mapping[str, Any] | pd.Series[Any] | pd.DataFrame,
        *,
        removed: Mapping[str, int] | None = None,
        probes: Sequence[Probe] = (LINEAR, FOREST),
        n_folds: int = 5,
        n_repeats: int = 5,
        baselines: bool = True,
    ) -> None:
        table = labels if isinstance(labels, pd.DataFrame) else pd.Series(labels)
        table = table.sort_index()
        if not table.index.is_unique:
            repeated = table.index[table.index.duplicated()].unique()[:5]
            msg = f"Genes have two rows of labels: {', '.join(map(str, repeated))}. Give each gene once."
            raise InputError(msg)
        if bool(np.any(pd.isna(table))):
            msg = "Some genes have no label; leave them out."
            raise InputError(msg)
        self.removed = dict(removed or {})
        self.target = _target(table)
        table = self._without_rare(table, n_folds)
        self.entities: list[str] = [str(name) for name in table.index]
        self.labels = table.to_numpy()
        if self.target == "binary":
            self.labels = self.labels.astype(bool)
        self.probes, self.n_folds, self.n_repeats, self.baselines = tuple(probes), n_folds, n_repeats, baselines
        self._folds = self._draw_folds()

    def _without_rare(self, table: Any, n_folds: int) -> Any:
        if self.target not in {"binary", "classes"}:
            return table
        sizes = table.value_counts()
        rare = sizes.index[sizes < n_folds]
        if self.target == "binary" and (len(rare) or len(sizes) < 2):
            found = ", ".join(f"{n} {label}" for label, n in sizes.items())
            msg = f"Each of the two classes needs at least {n_folds} genes for {n_folds} folds; there are {found}."
            raise InputError(msg)
        kept = table[~table.isin(rare)]
        if len(kept) < len(table):
            self.removed[f"genes of classes with fewer than {n_folds}"] = len(table) - len(kept)
        return kept

    def _draw_folds(self) -> NDArray[np.int8]:
        """Which fold each gene is tested in, (n_repeats, n_genes)."""
        from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold

        stratified = self.target in {"binary", "classes"}
        splitter = (RepeatedStratifiedKFold if stratified else RepeatedKFold)(
            n_splits=self.n_folds, n_repeats=self.n_repeats, random_state=0
        )
        rows = np.empty((self.n_repeats, len(self.entities)), dtype=np.int8)
        splits = splitter.split(np.zeros((len(self.entities), 1)), self.labels if stratified else None)
        for index, (_, test) in enumerate(splits):
            rows[index // self.n_folds, test] = index % self.n_folds
        return rows

    def embed(self, source: Source) -> NDArray[np.float32]:
        """Vectors of the genes."""
        return source.genes(self.entities)

    def evaluate(self, vectors: NDArray[np.float32], *, n_jobs: int = 1) -> Evaluation:
        """Score vectors (n_genes, d) with every probe; genes whose row is NaN take no part.

        Raises
        ------
        InputError
            If a fold is left without genes of one class.
        """
        known, notes = self._without_few(np.flatnonzero(~np.isnan(vectors).any(axis=1)))
        items = [self.entities[i] for i in known]
        x, y = vectors[known], self.labels[known]
        sample = Sample(y, self.folds_of(known), item_weights(items), self.n_repeats)
        scores = []
        for probe in self.probes:
            of_probe, late = scored(probe, probe.name, self.target, x, sample, n_jobs=n_jobs)
            scores += of_probe
            if late:
                notes.append(
                    f"{probe.name}: the optimiser stopped before its end in {late} of {len(sample.folds)} folds."
                )
        if bool((x == x[0]).all()):
            notes.append("All vectors are equal: this embedding says nothing of the genes.")
        return Evaluation(
            scores=scores,
            baselines=self.baselines_once(items, lambda: self._baselines(sample, items, n_jobs))
            if self.baselines
            else [],
            items=items,
            counts=self._counts(y),
            notes=notes,
        )

    def _without_few(self, known: NDArray[np.intp]) -> tuple[NDArray[np.intp], list[str]]:
        """Without the classes of which too few genes have a vector, and a note of them."""
        if self.target != "classes":
            return known, []
        sizes = pd.Series(self.labels[known]).value_counts().sort_index()
        few = sizes[sizes < self.n_folds]
        if few.empty:
            return known, []
        found = ", ".join(f"{label} ({n})" for label, n in few.items())
        note = f"Classes left out, with fewer than {self.n_folds} genes that have a vector: {found}."
        return known[~np.isin(self.labels[known], few.index)], [note]

    def folds_of(self, known: NDArray[np.intp]) -> list[Fold]:
        """Folds of all repeats in turn, as rows of `known`, the genes that take part.

        Raises
        ------
        InputError
            If a fold is left without genes of both classes, or one has nothing to learn from.
        """
        y, folds = self.labels[known], []
        for repeat in self._folds[:, known]:
            for index in range(self.n_folds):
                fold = Fold(np.flatnonzero(repeat != index), np.flatnonzero(repeat == index))
                needed = _CLASSES_NEEDED.get(self.target, (1, 1))
                n_classes = [len(np.unique(y[rows])) for rows in fold]
                if len(fold.test) < 2 or n_classes[0] < needed[0] or n_classes[1] < needed[1]:
                    msg = (
                        f"Only {len(y)} of {len(self.entities)} genes have a vector, too few for {self.n_folds} folds "
                        "with more than one class in each."
                    )
                    raise InputError(msg)
                folds.append(fold)
        return folds

    def _baselines(self, sample: Sample, items: Sequence[str], n_jobs: int) -> list[Score]:
        """The constant answer and the letters of the symbols."""
        nothing = np.zeros((len(items), 1), dtype=np.float32)
        constant, _ = scored(CONSTANT, "constant", self.target, nothing, sample, n_jobs=n_jobs)
        letters, _ = scored(LINEAR, "spelling of the symbol", self.target, spelling(items), sample, n_jobs=n_jobs)
        return constant + letters

    def _counts(self, y: NDArray[Any]) -> dict[str, int]:
        if self.target == "labels":
            return {"genes": len(y), "labels": y.shape[1], "labels given": int(y.sum())}
        if self.target == "value":
            return {"genes": len(y)}
        labels, sizes = np.unique(y, return_counts=True)
        return {str(label): int(size) for label, size in zip(labels, sizes, strict=True)}


def scored(
    probe: Probe, method: str, target: Target, x: NDArray[np.float32], sample: Sample, *, n_jobs: int
) -> tuple[list[Score], int]:
    """Scores of a probe, and in how many folds its optimiser stopped early."""
    predictions = predict_folds(probe, target, x, sample.y, sample.folds, n_jobs=n_jobs)
    return scores_of(method, target, predictions, sample), sum(not each.converged for each in predictions)


def scores_of(method: str, target: Target, predictions: Sequence[Prediction], sample: Sample) -> list[Score]:
    """Scores of predictions, one per fold of the sample."""
    scores = []
    for metric, what in _METRICS[target].items():
        pairs = [(fold, getattr(each, what)) for fold, each in zip(sample.folds, predictions, strict=True)]
        folds = [plain(METRICS[metric], sample.y[fold.test], answer) for fold, answer in pairs]
        values = np.reshape(folds, (sample.n_repeats, -1))
        scores.append(Score(method, metric, values, widened(_draws(metric, pairs, sample), values)))
    return scores


def _draws(metric: str, pairs: Sequence[tuple[Fold, NDArray[Any]]], sample: Sample) -> NDArray[np.float64]:
    """Each replicate resamples the genes of one of the repeats, so that they vary with the genes and the folds."""
    draws = np.empty(len(sample.weights))
    n_folds = len(pairs) // sample.n_repeats
    for repeat in range(sample.n_repeats):
        mine = sample.weights[repeat :: sample.n_repeats]
        of_folds = [
            drawn(METRICS[metric], sample.y[fold.test], answer, mine[:, fold.test])
            for fold, answer in pairs[repeat * n_folds : (repeat + 1) * n_folds]
        ]
        draws[repeat :: sample.n_repeats] = mean_of_known(np.stack(of_folds))
    return draws


def spelling(symbols: Sequence[str]) -> NDArray[np.float32]:
    """What the letters of a symbol tell: hashed counts of its one to three letters, (n, 256)."""
    from sklearn.feature_extraction.text import HashingVectorizer

    hashing = HashingVectorizer(analyzer="char_wb", ngram_range=(1, 3), n_features=_SPELLING_FEATURES)
    return np.asarray(hashing.transform(symbols).toarray(), dtype=np.float32)


def _target(table: pd.Series[Any] | pd.DataFrame) -> Target:
    if isinstance(table, pd.DataFrame):
        return "labels"
    if table.dtype == bool or set(table.unique()) <= {0, 1}:
        return "binary"
    return "value" if pd.api.types.is_numeric_dtype(table.dtype) else "classes"
