"""Probes: what predicts labels from vectors, fold by fold."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

Target = Literal["binary", "classes", "labels", "value"]
_FOREST_TREES = 100
#: Fixed for all embeddings. With scikit-learn's 1 a few hundred standardised features fit a few hundred genes by heart:
#: the words of RefSeq lose 0.03 of their AUROC on the dosage task.
_PENALTY = 0.01


@dataclass(frozen=True)
class Probe:
    """A model by its name; `make(target)` gives an unfitted scikit-learn estimator.

    Examples
    --------
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from bftembed.bench import GeneLabels, Probe
    >>> neighbours = Probe("5 neighbours", lambda target: KNeighborsClassifier(5))
    >>> neighbours.make("binary").n_neighbors
    5
    """

    name: str
    make: Callable[[Target], Any]


def _linear(target: Target) -> Any:
    """Logistic regression of classes, ridge regression of a value and of many labels at once, standardised."""
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    by_classes = target in {"binary", "classes"}
    # One factorisation serves all labels, where a logistic regression for each would take an hour.
    model = LogisticRegression(C=_PENALTY, max_iter=2000) if by_classes else RidgeCV(np.logspace(0, 5, 6))
    return make_pipeline(StandardScaler(), model)


def _forest(target: Target) -> Any:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    make = RandomForestClassifier if target in {"binary", "classes"} else RandomForestRegressor
    return make(n_estimators=_FOREST_TREES, max_features="sqrt", min_samples_leaf=2, random_state=0, n_jobs=1)


def _constant(target: Target) -> Any:
    from sklearn.dummy import DummyClassifier, DummyRegressor

    return DummyRegressor() if target in {"value", "labels"} else DummyClassifier(strategy="prior")


CONSTANT = Probe("constant", _constant)
LINEAR = Probe("linear", _linear)
FOREST = Probe("random forest", _forest)


class Fold(NamedTuple):
    """Rows to learn from, and rows to predict."""

    train: NDArray[np.intp]
    test: NDArray[np.intp]


class Prediction(NamedTuple):
    """What a probe says of the test rows of a fold.

    ``score`` is what ranks: (n,) of two classes or a value, (n, k) of labels, (n, 0) of several classes; ``guess`` is
    the class or value; ``converged`` whether the optimiser came to its end.
    """

    score: NDArray[np.float64]
    guess: NDArray[np.generic]
    converged: bool


def predict_folds(
    probe: Probe, target: Target, x: NDArray[np.float32], y: NDArray[np.generic], folds: Sequence[Fold], *, n_jobs: int
) -> list[Prediction]:
    """Fit a probe on the training rows of each fold and predict its test rows.

    Each fold runs on one thread, so that the result does not depend on `n_jobs`.

    Parameters
    ----------
    x
        (n, d), finite.
    y
        (n,) classes or values, or (n, k) bool.
    """
    from joblib import Parallel, delayed

    return list(Parallel(n_jobs=n_jobs)(delayed(_predict)(probe, target, x, y, fold) for fold in folds))


def _predict(probe: Probe, target: Target, x: NDArray[np.float32], y: NDArray[np.generic], fold: Fold) -> Prediction:
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    model = probe.make(target)
    with threadpool_limits(1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(x[fold.train], y[fold.train])
        guess = model.predict(x[fold.test])
        score = _scores(model, target, x[fold.test], guess)
    converged = not any(issubclass(each.category, ConvergenceWarning) for each in caught)
    return Prediction(score, guess, converged)


def _scores(model: Any, target: Target, x: NDArray[np.float32], guess: NDArray[np.generic]) -> NDArray[np.float64]:
    if target == "classes":
        return np.empty((len(x), 0))
    return np.asarray(model.predict_proba(x)[:, 1] if target == "binary" else guess, dtype=float)
