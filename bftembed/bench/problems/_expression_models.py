"""What predicts the change of expression under a perturbation from vectors, and the baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.bench.scoring.probes import Fold
from bftembed.likeness import additive_effects, average_weight, cross_validated, soft, voted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from bftembed.bench.problems._expression_data import Responses

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Model = Callable[[Sequence[Fold]], Any]

LEAST_TO_LEARN_FROM = 5
_NEIGHBOURS = 5
_COMPONENTS = 10
_PENALTIES = {"alpha": np.logspace(-2, 3, 6)}
RIDGE, MEAN = "ridge", "training mean"
_NO_CHANGE, _SUM, _COMPONENT_RIDGE = "no change", "sum of single changes", "ridge on expression components"
VOTE = "kernel vote"
WORDS_VOTE = "kernel vote, words of RefSeq and GO"
BASELINES = (MEAN, _NO_CHANGE, _SUM, _COMPONENT_RIDGE)


def ridge(inner: Sequence[Fold]) -> Any:
    """Ridge regression, its penalty chosen on the inner folds."""
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV

    return _scaled(GridSearchCV(Ridge(), _PENALTIES, scoring="neg_mean_squared_error", cv=inner))


def _kernel_ridge(inner: Sequence[Fold]) -> Any:
    """On a Gaussian kernel; kernel ridge regression has no intercept, so the mean is taken out first."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.model_selection import GridSearchCV
    from sklearn.preprocessing import StandardScaler

    kernel = KernelRidge(kernel="rbf", gamma=0.5)
    search = GridSearchCV(kernel, _PENALTIES, scoring="neg_mean_squared_error", cv=inner)
    return _scaled(TransformedTargetRegressor(search, transformer=StandardScaler(with_std=False)))


def _neighbours(inner: Sequence[Fold]) -> Any:
    from sklearn.neighbors import KNeighborsRegressor

    del inner
    return _scaled(KNeighborsRegressor(_NEIGHBOURS))


def _scaled(model: Any) -> Any:
    """Standardise, and divide by the root of the number of dimensions: a penalty means the same for each of them."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    return make_pipeline(StandardScaler(), FunctionTransformer(_by_length), model)


def _by_length(x: Floats) -> Floats:
    return np.asarray(x / np.sqrt(x.shape[1]))


MODELS: dict[str, Model] = {RIDGE: ridge, "kernel ridge": _kernel_ridge, "nearest neighbours": _neighbours}


def predicted(
    responses: Responses, x: Floats, units: Mapping[str, Any], fold: Fold, *, models: Mapping[str, Model], unseen: bool
) -> dict[str, Floats]:
    """Change (g,) of the test row by every method, NaN where a method cannot tell.

    ``x`` has the vectors of the perturbations, ``units`` the unit vectors of the perturbed genes by name of a vote.
    """
    from threadpoolctl import threadpool_limits

    y, train, test = responses.change, fold.train, fold.test[0]
    singles = [i for i in train if len(responses.parts[i]) == 1 and responses.parts[i][0] in responses.parts[test]]
    with threadpool_limits(1):
        guess = {name: _fitted(make, responses, x, fold, unseen=unseen) for name, make in models.items()}
        guess |= {name: vote(responses, unit, fold) for name, unit in units.items()}
        guess[_COMPONENT_RIDGE] = _by_components(responses, fold, unseen=unseen)
    return guess | {
        MEAN: y[train].mean(axis=0),
        _NO_CHANGE: np.zeros(y.shape[1]),
        _SUM: y[singles].sum(axis=0) if len(singles) == 2 else np.full(y.shape[1], np.nan),
    }


def vote(responses: Responses, unit: Any, fold: Fold) -> Floats:
    """Change (g,) of the test row by `bftembed.likeness`, from unit vectors (n_genes, d) of the perturbed genes.

    As `bftembed.tl.PerturbationModel` does it: effects add up, measured genes have their own, others get the vote.
    """
    from sklearn.utils.extmath import safe_sparse_dot

    cosines = safe_sparse_dot(unit, unit.T, dense_output=True)
    has_vector = cosines.diagonal() > 0
    cosines = np.where(np.outer(has_vector, has_vector), cosines, -np.inf)  # no weight
    has, change, noise = responses.has[fold.train], responses.change[fold.train], responses.noise[fold.train]
    seen = has.any(axis=0)
    near = cosines[np.ix_(seen, seen)]
    choice = cross_validated(has[:, seen], change, noise, lambda t: soft(near, t).astype(np.float64))
    effects = additive_effects(has[:, seen], change, noise)
    weights = soft(cosines[:, seen], choice.temperature).astype(np.float64)
    deviations, _ = voted(weights, effects.deviations, choice.shrinkage, average_weight(weights[seen]))
    deviations[seen] = effects.deviations
    asked = responses.has[fold.test[0]]
    return np.asarray(asked.sum() * effects.mean + asked @ deviations)


def _by_components(responses: Responses, fold: Fold, *, unseen: bool) -> Floats:
    """Ridge regression on components of the training data with genes as rows; NaN if a gene is not measured."""
    from sklearn.decomposition import PCA

    columns = [responses.columns[gene] for gene in responses.genes if gene in responses.columns]
    measured = np.array([gene in responses.columns for gene in responses.genes])
    usable = np.asarray(~responses.has[:, ~measured].any(axis=1))
    train = fold.train[usable[fold.train]]
    if not usable[fold.test[0]] or len(train) < LEAST_TO_LEARN_FROM:
        return np.full(responses.change.shape[1], np.nan)
    profiles = responses.control + np.vstack([np.zeros_like(responses.control), responses.change[fold.train]])
    pca = PCA(min(_COMPONENTS, *profiles.shape), svd_solver="covariance_eigh")
    x = responses.has[:, measured] @ pca.fit_transform(profiles.T)[columns]
    return _fitted(ridge, responses, x, Fold(train, fold.test), unseen=unseen)


def _fitted(make: Model, responses: Responses, x: Floats, fold: Fold, *, unseen: bool) -> Floats:
    model = make(_inner(responses.has[fold.train], unseen=unseen))
    model.fit(x[fold.train], responses.change[fold.train])
    return np.asarray(model.predict(x[fold.test])[0])


def _inner(has: Bools, *, unseen: bool) -> list[Fold]:
    """Five folds of the training set; `unseen`: learn from those alone that share no gene with the ones held out."""
    from sklearn.model_selection import KFold

    folds = [Fold(*parts) for parts in KFold(5, shuffle=True, random_state=0).split(has)]
    if not unseen:
        return folds
    apart = [Fold(train[~has[train][:, has[held].any(axis=0)].any(axis=1)], held) for train, held in folds]
    return [fold for fold in apart if len(fold.train) > 1] or folds
