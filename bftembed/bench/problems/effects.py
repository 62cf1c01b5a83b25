"""Effects of perturbations on read-out genes: scored within each gene, on perturbations that were never seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bftembed.bench.base import Evaluation, Problem
from bftembed.bench.problems.effect_votes import Rows, chosen, vote
from bftembed.bench.problems.genes import spelling
from bftembed.bench.scoring.clusters import group_weights
from bftembed.bench.scoring.metrics import auroc, auroc_per_group, plain
from bftembed.bench.scoring.probes import LINEAR, Fold, predict_folds
from bftembed.bench.scoring.scores import Score
from bftembed.entities import canonical
from bftembed.errors import InputError
from bftembed.likeness import unit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from bftembed.bench.sources.base import Source

PER_GENE = "auroc per gene"
POOLED = "pooled auroc (a warning)"
_COMPONENTS = 64
_NEIGHBOURS = 20
_LEAST = 20


def clean_effects(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Rows by canonical symbols, each pair once, and no perturbation of the test in train.

    Parameters
    ----------
    frame
        ``pert``, ``gene``, ``label`` (0 or 1), ``split`` (train or test).

    Returns
    -------
    rows
        With the same columns.
    removed
        Rows with a name that is unknown or ambiguous, of a gene upon itself, with both labels, repeated ones, and
        training rows of a perturbation that is tested under another name.

    Examples
    --------
    >>> import pandas as pd
    >>> from bftembed.bench import clean_effects
    >>> rows = [("TP53", "MDM2", 1, "train"), ("P53", "MDM2", 1, "train"), ("GATA1", "GATA1", 0, "test")]
    >>> kept, removed = clean_effects(pd.DataFrame(rows, columns=["pert", "gene", "label", "split"]))
    >>> len(kept), removed
    (1, {'rows of a gene upon itself': 1, 'repeated rows': 1})
    """
    names = pd.unique(pd.concat([frame["pert"], frame["gene"]]))
    symbols = dict(zip(names, canonical(names), strict=True))
    mapped = frame.assign(pert=frame["pert"].map(symbols), gene=frame["gene"].map(symbols))
    known = mapped.dropna(subset=["pert", "gene"])
    other = known[known["pert"] != known["gene"]]
    tested = set(other.loc[other["split"] == "test", "pert"])
    unseen = other[(other["split"] == "test") | ~other["pert"].isin(tested)]
    certain = unseen[unseen.groupby(["pert", "gene"])["label"].transform("nunique") == 1]
    rows = certain.drop_duplicates(["pert", "gene"])
    removed = {
        "rows with a name that is unknown or ambiguous": len(mapped) - len(known),
        "rows of a gene upon itself": len(known) - len(other),
        "training rows of a perturbation that is tested under another name": len(other) - len(unseen),
        "rows with both labels": len(unseen) - len(certain),
        "repeated rows": len(certain) - len(rows),
    }
    return rows.reset_index(drop=True), {reason: n for reason, n in removed.items() if n}


class PerturbationEffects(Problem):
    """Whether a perturbation of one gene does something to another, for perturbations that were never seen.

    The main score is the AUROC over the tested perturbations of one read-out gene, averaged over the genes that have
    both labels in the test (Wu et al. 2025). What holds for a gene whatever is perturbed is worth nothing there, while
    in the pooled AUROC it is nearly all.

    Three probes see the embedding. ``linear``, which gives the main score, is a logistic regression of the vectors of
    perturbation and gene and of their product, on the principal components of the training entities. The others fit
    nothing. ``kernel vote``: the answers of all training perturbations, the more alike the heavier, of the gene itself
    and of genes alike; how fast weights fall off is chosen on training rows (`effect_votes`). ``neighbours``: the mean
    answer of the most similar training perturbations that were measured for that gene, weighted by cosine similarity.
    ``linear, perturbation alone`` does without the gene's vector: it can only rank perturbations by strength. As a
    baseline the probes see the letters of the symbols in place of vectors, and the vote the words of RefSeq and GO.

    Parameters
    ----------
    rows
        ``pert``, ``gene``, ``label``, ``split`` (train, test), as `clean_effects` gives them.
    removed
        What was removed before, for the report.
    words
        Gives the words (n, n_words) of n genes, rows of unit length, for the baseline, e.g.
        `bftembed.likeness.gene_words`.

    Raises
    ------
    InputError
        If a perturbation is in train and test.

    Examples
    --------
    >>> import pandas as pd
    >>> from bftembed.bench import PerturbationEffects
    >>> rows = [(f"P{i}", f"G{j}", (i + j) % 2, "test" if i > 9 else "train") for i in range(14) for j in range(4)]
    >>> problem = PerturbationEffects(pd.DataFrame(rows, columns=["pert", "gene", "label", "split"]))
    >>> len(problem.entities)
    18
    """

    def __init__(
        self,
        rows: pd.DataFrame,
        *,
        removed: Mapping[str, int] | None = None,
        words: Callable[[Sequence[str]], Any] | None = None,
    ) -> None:
        self.removed, self.words = dict(removed or {}), words
        self.entities = sorted(set(rows["pert"]) | set(rows["gene"]))
        index = pd.Index(self.entities)
        self.rows = Rows(
            index.get_indexer(pd.Index(rows["pert"])),
            index.get_indexer(pd.Index(rows["gene"])),
            rows["label"].to_numpy().astype(bool),
        )
        self.tested = rows["split"].to_numpy() == "test"
        both = np.intersect1d(self.rows.pert[self.tested], self.rows.pert[~self.tested])
        if len(both):
            names = ", ".join(self.entities[i] for i in both[:5])
            msg = f"The split leaks: {len(both)} perturbations of the test are in train too, e.g. {names}."
            raise InputError(msg)

    def embed(self, source: Source) -> NDArray[np.float32]:
        """Vectors of perturbed and read-out genes."""
        return source.genes(self.entities)

    def evaluate(self, vectors: NDArray[np.float32], *, n_jobs: int = 1) -> Evaluation:
        """Score vectors (n_genes, d); rows with a gene whose vector is NaN take no part.

        Raises
        ------
        InputError
            If fewer than 20 rows of a class are left in train, or no gene has both labels in the test.
        """
        del n_jobs  # few fits, each on one thread
        has = np.asarray(np.isfinite(vectors).all(axis=1))
        known = has[self.rows.pert] & has[self.rows.gene]
        train, test = self.rows.take(known & ~self.tested), self.rows.take(known & self.tested)
        self._refuse_few(train, test)
        guesses, notes = _guesses(vectors, train, test)
        letters, _ = _guesses(spelling(self.entities), train, test)
        if bool((vectors[has] == vectors[has][0]).all()):
            notes.append("All vectors are equal: this embedding says nothing of the genes.")
        rate, weights = gene_rate(train, test), self._weights(test)
        return Evaluation(
            scores=[
                *(Score(name, PER_GENE, *per_gene(test, guess, weights)) for name, guess in guesses.items()),
                Score("linear", POOLED, _one(plain(auroc, test.label, guesses["linear"]))),
            ],
            baselines=[
                Score("gene rate in train", PER_GENE, *per_gene(test, rate, weights)),
                *(
                    Score(f"{name}, spelling of the symbols", PER_GENE, *per_gene(test, letters[name], weights))
                    for name in ("linear", "kernel vote", "neighbours")
                ),
                *self._of_words(train, test, weights),
                Score("gene rate in train", POOLED, _one(plain(auroc, test.label, rate)), to_beat=False),
            ],
            items=[f"{self.entities[p]}|{self.entities[g]}" for p, g in zip(test.pert, test.gene, strict=True)],
            counts={**_counts(train, test), "rows without both vectors": int((~known).sum())},
            notes=notes,
        )

    def _of_words(self, train: Rows, test: Rows, weights: NDArray[np.float64]) -> list[Score]:
        if self.words is None:
            return []
        words = self.words(self.entities)
        guess = vote(words, train, test, chosen(words, train))
        return [Score("kernel vote, words of RefSeq and GO", PER_GENE, *per_gene(test, guess, weights))]

    def _refuse_few(self, train: Rows, test: Rows) -> None:
        positive, n_genes = int(train.label.sum()), len(_by_gene(test))
        if min(positive, len(train.label) - positive) < _LEAST or not n_genes:
            msg = (
                f"{len(train.label)} training rows ({positive} with yes) and {n_genes} read-out genes with both labels "
                f"in the test have vectors; {_LEAST} rows per class and one gene are needed."
            )
            raise InputError(msg)

    def _weights(self, test: Rows) -> NDArray[np.float64]:
        """How often each replicate takes each test row, (n_draws, n).

        Rows of one perturbation depend on each other, so perturbations are drawn with all of their rows.
        """
        return group_weights([self.entities[i] for i in test.pert])


def _guesses(vectors: NDArray[np.float32], train: Rows, test: Rows) -> tuple[dict[str, NDArray[np.float64]], list[str]]:
    """Answers (n_test,) by probe, the main one first, and what to note of their fits."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        near, alike = neighbours(vectors, train, test), unit(vectors)
        voted = vote(alike, train, test, chosen(alike, train))
        x = components(vectors, np.union1d(train.pert, train.gene))
    pert, gene, label = (np.concatenate(both) for both in zip(train, test, strict=True))
    fold = Fold(np.arange(len(train.label)), np.arange(len(train.label), len(label)))
    fitted = {
        name: predict_folds(LINEAR, "binary", features, label, [fold], n_jobs=1)[0]
        for name, features in (
            ("linear", np.hstack([x[pert], x[gene], x[pert] * x[gene]])),
            ("linear, perturbation alone", x[pert]),
        )
    }
    late = [f"{name}: the optimiser stopped before its end." for name, each in fitted.items() if not each.converged]
    guesses = {name: each.score for name, each in fitted.items()}
    return {"linear": guesses.pop("linear"), "kernel vote": voted, "neighbours": near, **guesses}, late


def components(vectors: NDArray[np.float32], fitted_on: NDArray[np.intp]) -> NDArray[np.float32]:
    """At most 64 principal components (n, c) float32 of all vectors, fitted on some; NaN rows stay NaN."""
    from sklearn.decomposition import PCA

    known = vectors[fitted_on].astype(np.float64)
    with np.errstate(invalid="ignore"):  # equal vectors have no variance to be explained
        pca = PCA(min(_COMPONENTS, *known.shape), svd_solver="full").fit(known)
    return np.asarray((vectors - pca.mean_) @ pca.components_.T, dtype=np.float32)


def neighbours(vectors: NDArray[np.float32], train: Rows, test: Rows, k: int = _NEIGHBOURS) -> NDArray[np.float64]:
    """Answer test rows by the training perturbations that were measured for the same gene, (n_test,).

    The mean label of the `k` most similar ones, weighted by the cosine of the vectors less the mean of the training
    perturbations, where that is above zero; the gene's rate where none is.
    """
    centred = vectors - vectors[np.unique(train.pert)].mean(axis=0)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    centred = np.divide(centred, norms, out=np.zeros_like(centred), where=norms > 0)
    guess = gene_rate(train, test)
    of_train = pd.Series(train.gene).groupby(train.gene).indices
    for gene, rows in pd.Series(test.gene).groupby(test.gene).indices.items():
        measured = of_train.get(gene)
        if measured is None:
            continue
        weights = np.maximum(centred[test.pert[rows]] @ centred[train.pert[measured]].T, 0).astype(np.float64)
        nearest = np.argsort(-weights, axis=1, kind="stable")[:, :k]
        weights = np.take_along_axis(weights, nearest, axis=1)
        total = weights.sum(axis=1)
        labels = train.label[measured][nearest]
        known = total > 0
        guess[rows[known]] = (weights * labels).sum(axis=1)[known] / total[known]
    return guess


def gene_rate(train: Rows, test: Rows) -> NDArray[np.float64]:
    """Share of yes that each test row's gene has in train, (n_test,); the overall share for a gene not seen there."""
    rates = pd.Series(train.label).groupby(train.gene).mean()
    return pd.Series(test.gene).map(rates).fillna(train.label.mean()).to_numpy(dtype=np.float64)


def per_gene(
    test: Rows, guess: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """AUROC within each gene, averaged over the genes with both labels: test (1, 1), and replicates (n_draws,).

    A replicate leaves out the genes of which it lacks a label.
    """
    value = float(auroc_per_group(test.label, guess, test.gene)[0])
    return _one(value), auroc_per_group(test.label, guess, test.gene, weights)


def _by_gene(test: Rows) -> list[NDArray[np.intp]]:
    """Rows of each gene that has both labels."""
    groups = [np.asarray(rows) for rows in pd.Series(test.gene).groupby(test.gene).indices.values()]
    return [rows for rows in groups if 0 < test.label[rows].sum() < len(rows)]


def _counts(train: Rows, test: Rows) -> dict[str, int]:
    genes = _by_gene(test)
    return {
        "genes scored": len(genes),
        "rows of genes scored": sum(map(len, genes)),
        "test rows": len(test.label),
        "test rows with yes": int(test.label.sum()),
        "test perturbations": len(np.unique(test.pert)),
        "test rows of a gene that train lacks": int((~np.isin(test.gene, train.gene)).sum()),
        "train rows": len(train.label),
        "train rows with yes": int(train.label.sum()),
        "train perturbations": len(np.unique(train.pert)),
    }


def _one(value: float) -> NDArray[np.float64]:
    return np.array([[value]])
