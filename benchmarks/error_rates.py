"""How often intervals of benchmark scores hold the expected score, and paired tests find a difference that is none.

Each set is a draw of n new genes: two embeddings of them, equally good by construction and independent of each other
given the labels, are scored as a task scores them. The target of an interval is the expected score, the mean over all
sets (not the score of the models that were fitted on one of them); a test is wrong whenever its p-value is below 0.05.

The rule by which the formulas were chosen, written down before any of these numbers were seen: of the fewest fits and
parameters, one for which the tests reject in 3 to 7 % and the intervals cover in 93 to 97 % of sets at n of 130 to 490
and 8 and 384 dimensions. Candidates were the corrected resampled t-test of Nadeau and Bengio (2003) with n_folds *
n_repeats - 1 and with n_folds - 1 degrees of freedom, draws of the test genes as they are, the same times one plus test
over train, a jackknife that leaves out a fold, and variance components of a round robin of folds. They were chosen on
other sets than those that are drawn here.

``ridge`` is a ridge regression of two classes with the penalty that the logistic regression of the tasks has where its
weights are small; its folds have a closed form, so that many sets are affordable; so are those of ``terms``. The other
designs go through the tasks' own classes and models.

``crossed``: items are pairs of a perturbation and a gene, three in ten of all, both new in each set; what a model
gets for one is an effect of either and noise. The rule, written down before: resampling both covers in 93 to 97 % where
effects are most of the variance of the mean (signal 3); where there is noise alone it may be too wide (Owen 2007).
Beside it stands what resampling perturbations or single items would give. ``auroc per gene``: a score that ranks the
perturbations within each gene, where perturbations act on all genes and genes differ in how far they answer.

Run ``python benchmarks/error_rates.py --output DIR``; what is there is not computed again.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from bftembed.bench import LINEAR, GeneLabels, PairLabels
from bftembed.bench.problems.effects import Rows, per_gene
from bftembed.bench.problems.genes import Sample, scores_of
from bftembed.bench.scoring.clusters import group_weights, pigeonhole_weights
from bftembed.bench.scoring.metrics import auroc_per_group, mean
from bftembed.bench.scoring.probes import Prediction
from bftembed.bench.scoring.scores import Score, interval, item_weights
from bftembed.bench.scoring.statistics import paired_bootstrap

if TYPE_CHECKING:
    from collections.abc import Callable

_CLASSES = 4
_TERMS = 6
_READ_OUTS = 40
_SEED = 2003
_PENALTY = 400.0  # C = 0.01 of a logistic regression, whose loss is a quarter of the squared one about zero


class Design(NamedTuple):
    """What is drawn: n genes (of pairs, genes; of effects, perturbations), d dimensions, and how well they tell.

    Of what is crossed, n perturbations and d genes, and how large their effects are.
    """

    kind: str
    n: int
    d: int
    signal: float
    decaying: bool = False

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"{self.kind}-{self.n}-{self.d}-{self.signal:g}{'-decaying' if self.decaying else ''}"


DESIGNS = (
    *(Design("ridge", n, d, s) for n in (130, 170, 490) for d, s in ((8, 1.0), (384, 2.0))),
    *(Design("ridge", n, 384, 2.0, decaying=True) for n in (130, 490)),
    *(Design("binary", 130, d, s) for d, s in ((8, 1.0), (384, 2.0))),
    Design("classes", 170, 384, 3.0),
    Design("value", 490, 384, 2.0),
    Design("terms", 300, 384, 2.0),
    Design("pairs", 100, 8, 1.0),
    Design("effects", 60, 0, 1.0),
    *(Design(f"crossed by {how}", 60, 80, s) for how in ("both", "row", "item") for s in (0.0, 1.0, 3.0)),
    *(Design(f"auroc per gene by {how}", 60, 80, s) for how in ("both", "row") for s in (0.0, 1.0, 2.0)),
)


def main() -> None:
    """Draw what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--sets", type=int, default=600)
    parser.add_argument("--only", help="Designs whose name begins so.", default="")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    print("| design | sets | score | interval covers | fixed models | test rejects | t, 24 df | t, 4 df |")
    print("|---|---|---|---|---|---|---|---|")
    for design in DESIGNS:
        if design.name.startswith(arguments.only):
            found = simulated(design, arguments.sets, arguments.output / f"{design.name}.jsonl")
            print(_row(design, found), flush=True)


def simulated(design: Design, n_sets: int, path: Path | None = None) -> list[dict[str, Any]]:
    """The sets of a design, from its file as far as they are there."""
    lines = path.read_text(encoding="utf-8").splitlines() if path and path.exists() else []
    found = [json.loads(line) for line in lines][:n_sets]
    for i in range(len(found), n_sets):
        begin = time.process_time()
        rng = np.random.default_rng([_SEED, design.n, design.d, i])
        found.append(_set(_KINDS[design.kind](design, rng)) | {"seconds": round(time.process_time() - begin, 3)})
        if path:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(found[-1]) + "\n")
    return found


def rates(found: list[dict[str, Any]]) -> dict[str, float]:
    """Mean score, coverage of both embeddings' intervals, and how often tests reject at 0.05."""
    scores, limits = np.array([each["scores"] for each in found]), np.array([each["intervals"] for each in found])
    fixed = scores[..., None] + (limits - scores[..., None]) / np.sqrt(1 + found[0]["test_train"])
    true = scores.mean()
    return {
        "score": float(true),
        "covers": _share((limits[..., 0] <= true) & (true <= limits[..., 1])),
        "covers, fixed models": _share((fixed[..., 0] <= true) & (true <= fixed[..., 1])),
        "rejects": _rejected(found, "p"),
        "rejects, t 24": _rejected(found, "p_long"),
        "rejects, t 4": _rejected(found, "p_short"),
    }


def _share(which: Any) -> float:
    return float(np.mean(which))


def _rejected(found: list[dict[str, Any]], key: str) -> float:
    """NaN where there is no such test, as of one test set on folds."""
    values = np.array([each[key] for each in found], dtype=float)
    return np.nan if np.isnan(values).all() else _share(values < 0.05)


def _row(design: Design, found: list[dict[str, Any]]) -> str:
    score, *shares = rates(found).values()
    cells = " | ".join("none" if np.isnan(share) else f"{100 * share:.1f} %" for share in shares)
    return f"| {design.name} | {len(found)} | {score:.3f} | {cells} |"


def _set(drawn: tuple[Score, Score, float]) -> dict[str, Any]:
    """What is kept of a set: scores, intervals, p-values of the test of now and of t-tests on folds."""
    first, second, test_train = drawn
    folds = np.array([first.values, second.values])  # noqa: PD011 (a score's, not a frame's)
    differences, n_folds = (folds[0] - folds[1]).ravel(), folds.shape[-1]
    spread = differences.var(ddof=1) if differences.size > 1 else np.nan
    t = differences.mean() / np.sqrt(spread * (1 / differences.size + test_train))
    return {
        "scores": [first.mean, second.mean],
        "intervals": [interval(each.draws, each.mean) for each in (first, second)],
        "p": paired_bootstrap(first.mean - second.mean, first.draws, second.draws).p_value,
        "p_long": float(2 * stats.t.sf(abs(t), differences.size - 1)),
        "p_short": float(2 * stats.t.sf(abs(t), n_folds - 1)),
        "test_train": test_train,
    }


def _names(n: int) -> list[str]:
    return [f"G{i:04d}" for i in range(n)]


def _vectors(design: Design, rng: np.random.Generator, told: np.ndarray) -> np.ndarray:
    """Normal vectors (n, d) that tell of `told` (n,) or (n, k) in some of their directions.

    `decaying`: dimensions are mixed and of very different variance, as those of encoded texts are.
    """
    told = (told - told.mean(axis=0)) if told.ndim == 2 else (told - told.mean())[:, None]
    directions = np.random.default_rng(0).normal(size=(told.shape[1], design.d))
    x = rng.normal(size=(design.n, design.d)) + design.signal * told @ (directions / np.sqrt(design.d))
    if design.decaying:
        mixing, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(design.d, design.d)))
        x = (x / np.sqrt(1 + np.arange(design.d))) @ mixing
    return x.astype(np.float32)


def _labels(design: Design, rng: np.random.Generator) -> tuple[Score, Score, float]:
    if design.kind == "binary":
        labels = rng.permutation(np.arange(design.n) < 0.4 * design.n)
        told = labels.astype(float)
    elif design.kind == "classes":
        codes = rng.permutation(np.arange(design.n) % _CLASSES)
        labels, told = np.array(list("abcd"))[codes], np.eye(_CLASSES)[codes]
    else:
        labels = told = rng.normal(size=design.n)
    problem = GeneLabels(pd.Series(labels, index=_names(design.n)), probes=(LINEAR,), baselines=False)
    first, second = (problem.evaluate(_vectors(design, rng, told)).scores[0] for _ in range(2))
    return first, second, 0.25


def _ridge(design: Design, rng: np.random.Generator) -> tuple[Score, Score, float]:
    labels = np.arange(design.n) < 0.4 * design.n
    problem = GeneLabels(pd.Series(labels, index=_names(design.n)))
    sample = Sample(labels, problem.folds_of(np.arange(design.n)), item_weights(problem.entities), problem.n_repeats)
    first, second = (_ridge_score(_vectors(design, rng, labels.astype(float)), sample) for _ in range(2))
    return first, second, 0.25


def _ridge_score(vectors: np.ndarray, sample: Sample) -> Score:
    """Left-out predictions of kernel ridge regression with a free intercept, from one inverse."""
    x, signs = vectors.astype(float), np.where(sample.y, 1.0, -1.0)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    inverse = np.linalg.inv(x @ x.T + 1e3 + _PENALTY * np.eye(len(x)))
    fitted = inverse @ signs
    answers = []
    for _, test in sample.folds:
        guess = signs[test] - np.linalg.solve(inverse[np.ix_(test, test)], fitted[test])
        answers.append(Prediction(guess, guess > 0, converged=True))
    return scores_of("ridge", "binary", answers, sample)[0]


def _terms(design: Design, rng: np.random.Generator) -> tuple[Score, Score, float]:
    """Mean over terms, as `GeneTerms` has it, that share genes: each is known of a random half of them."""
    labels = rng.normal(size=(design.n, _TERMS)) > 0.5
    known = [np.sort(rng.permutation(design.n)[: design.n // 2]) for _ in range(_TERMS)]
    names, weights = np.array(_names(design.n)), item_weights(_names(design.n))
    samples = []
    for term, rows in enumerate(known):
        problem = GeneLabels(pd.Series(labels[rows, term], index=names[rows]), n_repeats=2)
        samples.append(Sample(labels[rows, term], problem.folds_of(np.arange(len(rows))), weights[:, rows], 2))
    both = []
    for _ in range(2):
        x = _vectors(design, rng, labels)
        scores = [_ridge_score(x[rows], sample) for rows, sample in zip(known, samples, strict=True)]
        values = np.mean([each.values for each in scores], axis=0)  # noqa: PD011 (a score's, not a frame's)
        both.append(Score("ridge", "auroc", values, np.mean([each.draws for each in scores], axis=0)))
    return both[0], both[1], 0.25


def _pairs(design: Design, rng: np.random.Generator) -> tuple[Score, Score, float]:
    """Pairs are positive where their genes are alike in something that both embeddings know in part."""
    known = rng.normal(size=design.n)
    every = np.triu_indices(design.n, 1)
    a, b = np.stack(every)[:, rng.random(len(every[0])) < 0.5]
    label = known[a] * known[b] + rng.normal(size=len(a)) > 0
    names = np.array(_names(design.n))
    problem = PairLabels(
        pd.DataFrame({"gene_a": names[a], "gene_b": names[b], "label": label.astype(int)}), n_repeats=2
    )
    both = []
    for _ in range(2):
        x = rng.normal(size=(design.n, design.d))
        x[:, 0] += design.signal * known
        both.append(problem.evaluate(x.astype(np.float32)).scores[0])
    return both[0], both[1], 0.5


def _effects(design: Design, rng: np.random.Generator) -> tuple[Score, Score, float]:
    """One test of new perturbations, some strong and some weak, under fixed models; genes are the same in all sets."""
    every = np.random.default_rng(0).normal(size=_READ_OUTS)
    strength, response = rng.normal(size=design.n), rng.normal(size=(design.n, _READ_OUTS))
    effect = every + strength[:, None] + response
    pert, gene = np.nonzero(rng.random(effect.shape) < 0.3)
    test = Rows(pert, gene, (effect + rng.logistic(size=effect.shape))[pert, gene] > 0)
    weights = item_weights(_names(design.n))[:, pert]
    both = []
    for _ in range(2):
        guess = design.signal * response + rng.normal(size=(design.n, 1)) + rng.normal(size=effect.shape)
        both.append(Score("simulated", "auroc per gene", *per_gene(test, guess[pert, gene], weights)))
    return both[0], both[1], 0.0


def _crossing(design: Design, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, list[str], list[str]]:
    """Perturbation and gene of each pair that was measured, and their names."""
    pert, gene = np.nonzero(rng.random((design.n, design.d)) < 0.3)
    return pert, gene, [f"P{i:03d}" for i in pert], [f"G{i:03d}" for i in gene]


def _effects_of_both(design: Design, rng: np.random.Generator) -> np.ndarray:
    """Effects of either and noise (n, d); at a signal of 1 each brings a third of the variance of the mean."""
    rows = rng.normal(size=design.n) / np.sqrt(0.3 * design.d)
    columns = rng.normal(size=design.d) / np.sqrt(0.3 * design.n)
    return design.signal * (rows[:, None] + columns) + rng.normal(size=(design.n, design.d))


def _crossed(design: Design, rng: np.random.Generator) -> tuple[Score, Score, float]:
    """Two models with effects of their own beside those that they share: of the mean each source has its part."""
    pert, gene, perts, genes = _crossing(design, rng)
    by = {"row": perts, "item": [*map("|".join, zip(perts, genes, strict=True))]}
    how = design.kind.rpartition(" ")[2]
    weights = pigeonhole_weights(perts, genes) if how == "both" else group_weights(by[how])
    shared = _effects_of_both(design, rng)
    both = []
    for _ in range(2):
        values = (shared + _effects_of_both(design, rng))[pert, gene]
        both.append(Score("simulated", "mean", np.array([[values.mean()]]), mean(values, weights)))
    return both[0], both[1], 0.0


def _crossed_auroc(design: Design, rng: np.random.Generator) -> tuple[Score, Score, float]:
    """What a perturbation does to all genes is known in part, and how well it is heeded differs between genes."""
    pert, gene, perts, genes = _crossing(design, rng)
    rows, columns = group_weights(perts, role="rows"), group_weights(genes, role="columns")
    weights, times = (rows * columns, columns) if design.kind.endswith("both") else (rows, None)
    strength, response = rng.normal(size=design.n), rng.normal(size=design.d)
    label = design.signal * (strength[:, None] * (1 + response))[pert, gene] + rng.logistic(size=len(pert)) > 0
    both = []
    for _ in range(2):
        known = 0.3 * strength + rng.normal(size=design.n)
        heeded = 1 + response + rng.normal(size=design.d)
        guess = design.signal * (known[:, None] * heeded)[pert, gene] + rng.normal(size=len(pert))
        value, draws = auroc_per_group(label, guess, gene), auroc_per_group(label, guess, gene, weights, times=times)
        both.append(Score("simulated", "auroc per gene", value[:, None], draws))
    return both[0], both[1], 0.0


_KINDS: dict[str, Callable[[Design, np.random.Generator], tuple[Score, Score, float]]] = {
    "ridge": _ridge,
    "binary": _labels,
    "classes": _labels,
    "value": _labels,
    "terms": _terms,
    "pairs": _pairs,
    "effects": _effects,
    **{f"crossed by {how}": _crossed for how in ("both", "row", "item")},
    **{f"auroc per gene by {how}": _crossed_auroc for how in ("both", "row")},
}

if __name__ == "__main__":
    main()
