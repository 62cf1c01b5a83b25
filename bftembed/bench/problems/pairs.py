"""Pairs of genes: symmetric features, gene-disjoint splits, and what the nodes alone would score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from bftembed.bench.base import Evaluation, Problem
from bftembed.bench.problems._pair_data import (
    FEATURES,
    Pairs,
    clean_pairs,
    degree_matched,
    node_prior,
    pair_features,
    without_leaks,
)
from bftembed.bench.scoring.metrics import auroc, drawn, mean_of_known, plain
from bftembed.bench.scoring.probes import LINEAR, Fold, predict_folds
from bftembed.bench.scoring.scores import Score, item_weights, widened
from bftembed.errors import InputError

__all__ = ["PairLabels", "clean_pairs", "degree_matched", "without_leaks"]

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bftembed.bench.sources.base import Source

_LEAST = 20


class Split(NamedTuple):
    """Rows of pairs to learn from, to choose the feature on, and to score."""

    train: NDArray[np.intp]
    valid: NDArray[np.intp]
    test: NDArray[np.intp]


class PairLabels(Problem):
    """Labelled pairs of genes, scored on pairs whose genes were never seen.

    Three symmetric features go to a logistic regression each; the one that is best on the validation pairs gives the
    main score. With a given split there is one test; without, genes are dealt into `n_folds` groups, `n_repeats`
    times: the pairs inside a group are a test, those inside the others train (one of the others validates).

    Beside it stand the node prior, which knows nothing but how often each gene is positive in training, and both on a
    random split of the same pairs, where genes are seen: a warning of how easily such a score is reached.

    Parameters
    ----------
    pairs
        ``gene_a``, ``gene_b``, ``label``, as `clean_pairs` gives them. A given split is a column ``split`` (train,
        valid, test); given folds are columns ``split_0``, ``split_1`` ..., where valid trains too once the feature is
        chosen.
    removed
        What was removed before, for the report.
    n_folds, n_repeats
        Without a given split.

    Raises
    ------
    InputError
        If a gene of the test pairs is in the training or validation pairs, or there are fewer than three folds: one
        tests, one validates, the others train.

    Examples
    --------
    >>> import pandas as pd
    >>> from bftembed.bench import PairLabels
    >>> rows = [(f"A{i}", f"B{i}", i % 2) for i in range(60)]
    >>> problem = PairLabels(pd.DataFrame(rows, columns=["gene_a", "gene_b", "label"]))
    >>> len(problem.entities)
    120
    """

    def __init__(
        self,
        pairs: pd.DataFrame,
        *,
        removed: Mapping[str, int] | None = None,
        n_folds: int = 3,
        n_repeats: int = 5,
    ) -> None:
        if n_folds < 3:
            msg = f"Give at least three folds: one tests, one validates, the others train; got {n_folds}."
            raise InputError(msg)
        self.removed = dict(removed or {})
        self.entities = sorted(set(pairs["gene_a"]) | set(pairs["gene_b"]))
        index = pd.Index(self.entities)
        self.pairs = Pairs(
            self.entities,
            index.get_indexer(pd.Index(pairs["gene_a"])),
            index.get_indexer(pd.Index(pairs["gene_b"])),
            pairs["label"].to_numpy().astype(bool),
        )
        self.n_folds, self.n_repeats = n_folds, n_repeats
        self.fixed = "split" in pairs
        columns = [column for column in pairs if str(column).startswith("split")]
        self._splits = [self._given(pairs[column].to_numpy()) for column in columns] or self._drawn()

    def _given(self, parts: NDArray[Any]) -> Split:
        train, valid, test = (np.flatnonzero(parts == part) for part in Split._fields)
        for part, rows in (("train", train), ("valid", valid)):
            if both := sorted(self._genes_of(rows) & self._genes_of(test)):
                names = ", ".join(self.entities[i] for i in both[:5])
                msg = f"The split leaks: {len(both)} genes of the test pairs are in {part} too, e.g. {names}."
                raise InputError(msg)
        return Split(train if self.fixed else np.union1d(train, valid), valid, test)

    def _genes_of(self, rows: NDArray[np.intp]) -> set[int]:
        return set(self.pairs.a[rows].tolist()) | set(self.pairs.b[rows].tolist())

    def embed(self, source: Source) -> NDArray[np.float32]:
        """Vectors of the genes."""
        return source.genes(self.entities)

    def _drawn(self) -> list[Split]:
        splits = []
        for repeat in range(self.n_repeats):
            group = np.random.default_rng(repeat).permutation(np.arange(len(self.entities)) % self.n_folds)
            a, b = group[self.pairs.a], group[self.pairs.b]
            for fold in range(self.n_folds):
                held = (fold + 1) % self.n_folds
                inside = {g: np.flatnonzero((a == g) & (b == g)) for g in (fold, held)}
                splits.append(Split(np.flatnonzero((a != fold) & (b != fold)), inside[held], inside[fold]))
        return splits

    def evaluate(self, vectors: NDArray[np.float32], *, n_jobs: int = 1) -> Evaluation:
        """Score vectors (n_genes, d); pairs of a gene whose row is NaN take no part.

        Raises
        ------
        InputError
            If a split is left without pairs of one class.
        """
        has = np.asarray(np.isfinite(vectors).all(axis=1))
        known = has[self.pairs.a] & has[self.pairs.b]
        splits = [Split(*(rows[known[rows]] for rows in split)) for split in self._splits]
        self._refuse_few(splits)
        tests = [split.test for split in splits]
        guesses, chosen, by_feature = self._guesses(vectors, splits, n_jobs)
        scores = [Score("feature chosen on valid", "auroc", *self._values(tests, guesses))]
        scores += [Score(name, "auroc", self._shaped(by_feature[:, i])) for i, name in enumerate(FEATURES)]
        rows = np.flatnonzero(known)
        scores.append(Score("sum, random split (a warning)", "auroc", self._random_split(rows, vectors)))
        priors = [node_prior(self.pairs.take(split.train), self.pairs.take(split.test)) for split in splits]
        baselines = [
            Score("node prior", "auroc", *self._values(tests, priors)),
            Score("node prior, random split (a warning)", "auroc", self._random_split(rows, None), to_beat=False),
        ]
        return Evaluation(
            scores=scores,
            baselines=baselines,
            items=[f"{self.entities[self.pairs.a[i]]}|{self.entities[self.pairs.b[i]]}" for i in rows],
            counts={"pairs": len(rows), "positive": int(self.pairs.label[rows].sum()), **self._part_sizes(splits)},
            notes=[f"Features chosen on valid: {', '.join(f'{f} ({chosen.count(f)})' for f in sorted(set(chosen)))}."],
        )

    def _part_sizes(self, splits: Sequence[Split]) -> dict[str, int]:
        return {f"{name} (first split)": len(rows) for name, rows in zip(Split._fields, splits[0], strict=True)}

    def _refuse_few(self, splits: Sequence[Split]) -> None:
        for split in splits:
            for name, rows in zip(Split._fields, split, strict=True):
                positive = int(self.pairs.label[rows].sum())
                if min(positive, len(rows) - positive) < _LEAST:
                    msg = (
                        f"Only {len(rows)} {name} pairs ({positive} positive) have both vectors; {_LEAST} per class "
                        "are needed."
                    )
                    raise InputError(msg)

    def _guesses(
        self, vectors: NDArray[np.float32], splits: Sequence[Split], n_jobs: int
    ) -> tuple[list[NDArray[np.float64]], list[str], NDArray[np.float64]]:
        """Scores of the test pairs by the chosen feature, its name, and the AUROC (n_splits, n_features) of all."""
        from joblib import Parallel, delayed

        fitted = Parallel(n_jobs=n_jobs)(
            delayed(self._one_feature)(vectors, split, name) for split in splits for name in FEATURES
        )
        guesses, chosen, scores = [], [], []
        for split, of_split in zip(splits, _by(len(FEATURES), fitted), strict=True):
            best = int(np.argmax([on_valid for on_valid, _ in of_split]))
            chosen.append(list(FEATURES)[best])
            guesses.append(of_split[best][1])
            scores.append([plain(auroc, self.pairs.label[split.test], guess) for _, guess in of_split])
        return guesses, chosen, np.array(scores)

    def _one_feature(
        self, vectors: NDArray[np.float32], split: Split, feature: str
    ) -> tuple[float, NDArray[np.float64]]:
        """AUROC on the validation pairs, and scores of the test pairs."""
        n_valid = len(split.valid)
        if self.fixed:
            both = self._fit(vectors, feature, split.train, np.concatenate([split.valid, split.test]))
            on_valid, guess = both[:n_valid], both[n_valid:]
        else:  # validation genes train too, once the feature is chosen: only pairs with a test gene stay out
            on_valid = self._fit(vectors, feature, self._without_genes_of(split), split.valid)
            guess = self._fit(vectors, feature, split.train, split.test)
        return plain(auroc, self.pairs.label[split.valid], on_valid), guess

    def _without_genes_of(self, split: Split) -> NDArray[np.intp]:
        held = np.zeros(len(self.entities), dtype=bool)
        held[self.pairs.a[split.valid]] = held[self.pairs.b[split.valid]] = True
        return split.train[~(held[self.pairs.a[split.train]] | held[self.pairs.b[split.train]])]

    def _fit(
        self, vectors: NDArray[np.float32], feature: str, train: NDArray[np.intp], rows: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        together = np.concatenate([train, rows])
        x = pair_features(vectors, self.pairs.take(together), feature)
        fold = Fold(np.arange(len(train)), np.arange(len(train), len(together)))
        return predict_folds(LINEAR, "binary", x, self.pairs.label[together], [fold], n_jobs=1)[0].score

    def _random_split(self, rows: NDArray[np.intp], vectors: NDArray[np.float32] | None) -> NDArray[np.float64]:
        """AUROC on a random fifth of the pairs: of the sum feature, or of the node prior without vectors."""
        mixed = np.random.default_rng(0).permutation(rows)
        test, train = np.split(mixed, [len(mixed) // 5])
        if vectors is None:
            guess = node_prior(self.pairs.take(train), self.pairs.take(test))
        else:
            guess = self._fit(vectors, "sum", train, test)
        return np.array([[plain(auroc, self.pairs.label[test], guess)]])

    def _values(
        self, tests: Sequence[NDArray[np.intp]], guesses: Sequence[NDArray[np.float64]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """AUROC per test, and replicates of it: pairs of one gene depend on each other, so genes are resampled.

        A pair is drawn as often as its two genes together (Owen 2007, the pigeonhole bootstrap, wider than it need be
        rather than too narrow). Replicates are scored on all tests, as the score itself is, and `widened`.
        """
        tested = [self.pairs.take(rows) for rows in tests]
        values = [plain(auroc, pairs.label, guess) for pairs, guess in zip(tested, guesses, strict=True)]
        used = np.unique(np.concatenate([genes for pairs in tested for genes in (pairs.a, pairs.b)]))
        weights = item_weights([self.entities[gene] for gene in used])
        draws = []
        for pairs, guess in zip(tested, guesses, strict=True):
            a, b = np.searchsorted(used, pairs.a), np.searchsorted(used, pairs.b)
            draws.append(drawn(auroc, pairs.label, guess, weights[:, a] * weights[:, b]))
        shaped = self._shaped(values)
        return shaped, widened(mean_of_known(np.stack(draws)), shaped)

    def _shaped(self, values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
        return np.reshape(values, (self.n_repeats if len(values) == self.n_repeats * self.n_folds else 1, -1))


def _by(n: int, values: Sequence[Any]) -> list[Sequence[Any]]:
    return [values[i : i + n] for i in range(0, len(values), n)]
