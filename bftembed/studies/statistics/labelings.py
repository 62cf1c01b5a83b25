"""Does what a teacher likes reach its own student? Tests of the diagonal of a matrix of teachers and answers.

A matrix has a row for each of K teachers and a column for each of the K answers that they like. Effects of rows (a
student that is surer of everything) and of columns (all students come to like one answer) say nothing about transfer,
so that matrices are centred both ways. The strength of transfer, lambda, is the diagonal that is left: the trace over
K - 1, which is the coefficient of "own answer" in a linear model beside effects of rows and columns.

What is random is which teacher goes with which answer, and the tests permute just that, on the matrix averaged over
replicates: a pairing that is liked in every replicate, for reasons of its own, would be counted as so many findings by
a test that permuted each replicate by itself.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

from bftembed.bench.scoring.proportions import visible, wilson
from bftembed.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

#: Most rows whose labelings are all gone through: 40,320.
MOST = 8
_DRAWS = 2000
#: Draws of signs; of up to 13 cells they are all gone through.
_FLIPS = 10_000
#: Sums that differ by less of the largest number in them are equal: they were added in another order.
_SAME = 1e-12


class Transfer(NamedTuple):
    """Strength of transfer, and what is known of it.

    Attributes
    ----------
    strength
        lambda, in the unit of the matrix (nats of log-probability).
    low, high
        95 % interval by a bootstrap over replicates; it describes, since replicates are few. NaN for one replicate.
    p_value
        Of the exact permutation of labels.
    error
        Standard error of lambda from what the averaged matrix has beside rows, columns and diagonal; affinities that
        persist over replicates are in it. It has K (K - 2) degrees of freedom.
    visible
        The smallest lambda that a two-sided test at .05 with this error finds in four of five cases.
    """

    strength: float
    low: float
    high: float
    p_value: float
    error: float
    visible: float


def centred(matrix: ArrayLike) -> NDArray[np.float64]:
    """A matrix less the means of its rows and columns.

    Parameters
    ----------
    matrix
        (..., K, K).

    Examples
    --------
    >>> from bftembed.studies.statistics.labelings import centred
    >>> centred([[2.0, 1.0], [1.0, 2.0]]).tolist()
    [[0.5, -0.5], [-0.5, 0.5]]
    """
    values = np.asarray(matrix, dtype=np.float64)
    values = values - values.mean(axis=-1, keepdims=True)
    return np.asarray(values - values.mean(axis=-2, keepdims=True))


def strength(matrix: ArrayLike) -> NDArray[np.float64]:
    """lambda, the trace of the centred matrix over K - 1, of each matrix.

    Parameters
    ----------
    matrix
        (..., K, K), teachers and answers.

    Returns
    -------
    (...), in the unit of the matrix.

    Raises
    ------
    InputError
        If a matrix is not square, is smaller than 3 x 3 or holds what is no number.

    Examples
    --------
    >>> import numpy as np
    >>> from bftembed.studies.statistics.labelings import strength
    >>> own = 0.3 * np.eye(5)
    >>> round(float(strength(own + np.arange(5))), 12)  # answers that all students like change nothing
    0.3
    """
    values = np.asarray(matrix, dtype=np.float64)
    if values.ndim < 2 or values.shape[-1] != values.shape[-2] or values.shape[-1] < 3:
        msg = f"Teachers and answers make a square of at least 3 x 3; got an array of shape {values.shape}."
        raise InputError(msg)
    if not np.isfinite(values).all():
        msg = "The matrix of teachers and answers holds values that are no numbers; score the students again."
        raise InputError(msg)
    return np.asarray(np.trace(centred(values), axis1=-2, axis2=-1) / (values.shape[-1] - 1))


def labeling_test(matrix: ArrayLike, *, two_sided: bool = False) -> NDArray[np.float64]:
    """P-value of the diagonal of each matrix: all K! ways of giving the answers to the teachers.

    Parameters
    ----------
    matrix
        (..., K, K), averaged over replicates.
    two_sided
        Count labelings whose lambda is as far from 0, rather than as large. Their mean is exactly 0.

    Returns
    -------
    (...), the share of labelings at least as extreme as the one of the design, which counts itself: at least 1 / K!.

    Raises
    ------
    InputError
        As `strength`, or for more than `MOST` teachers.

    Examples
    --------
    >>> import numpy as np
    >>> from bftembed.studies.statistics.labelings import labeling_test
    >>> round(float(labeling_test(np.eye(5))), 4)
    0.0083
    """
    strength(matrix)  # says what is wrong with the matrix
    values = np.asarray(matrix, dtype=np.float64)
    every = relabelled(values)
    tolerance = _SAME * np.abs(values).max(axis=(-2, -1))[..., None]
    if two_sided:
        every = np.abs(every)
    return np.asarray((every >= every[..., :1] - tolerance).mean(axis=-1))


def relabelled(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Strength of transfer under every labeling of the answers, (..., K!), that of the design first.

    Raises
    ------
    InputError
        For more than `MOST` teachers.
    """
    k = matrix.shape[-1]
    if k > MOST:
        msg = f"All labelings of {k} teachers are too many to go through; use {MOST} teachers at most."
        raise InputError(msg)
    labelings = np.array(list(itertools.permutations(range(k))))
    return np.asarray(centred(matrix)[..., np.arange(k), labelings].sum(axis=-1) / (k - 1))


def standard_error(matrix: ArrayLike) -> float:
    """Standard error of lambda, from what is left of the matrix beside rows, columns and diagonal.

    That of the least-squares coefficient of "own answer", with K (K - 2) degrees of freedom.

    Parameters
    ----------
    matrix
        (K, K), averaged over replicates.
    """
    own = float(strength(matrix))
    rest = centred(matrix)
    k = len(rest)
    residual = float((rest**2).sum()) - own**2 * (k - 1)
    return float(np.sqrt(max(residual, 0.0) / (k * (k - 2)) / (k - 1)))


def transfer(lifts: ArrayLike, *, two_sided: bool = False, seed: int = 0) -> Transfer:
    """Strength of transfer in lifts averaged over replicates, with its test.

    Parameters
    ----------
    lifts
        (K, K, R): teachers, answers, replicates. A replicate is new teachers, new data and new students.
    two_sided
        For differences of two objectives.
    seed
        Of the bootstrap over replicates.

    Raises
    ------
    InputError
        As `labeling_test`.

    Examples
    --------
    >>> import numpy as np
    >>> from bftembed.studies.statistics.labelings import transfer
    >>> noise = np.random.default_rng(0).normal(size=(6, 6, 4)) * 0.3
    >>> found = transfer(noise + 0.5 * np.eye(6)[:, :, None])
    >>> found.p_value < 0.05, found.low < found.strength < found.high
    (True, True)
    """
    values = _checked(lifts)
    mean = values.mean(axis=2)
    low, high = _interval(strength(np.moveaxis(values, 2, 0)), seed)
    error = standard_error(mean)
    return Transfer(
        float(strength(mean)), low, high, float(labeling_test(mean, two_sided=two_sided)), error, visible(error)
    )


def sign_flip_test(lifts: ArrayLike, *, seed: int = 0) -> float:
    """Two-sided p-value of the mean of the cells of the centred diagonals, K x R of them, by flipping their signs.

    It stands beside `labeling_test`, and is right only if cells are independent: not if an affinity of a teacher for
    an answer persists over replicates.

    Parameters
    ----------
    lifts
        (K, K, R): differences of two objectives, paired by replicate.
    seed
        Of the signs, where they are too many to go through all of them.
    """
    cells = np.diagonal(centred(np.moveaxis(_checked(lifts), 2, 0)), axis1=1, axis2=2).ravel()
    result = stats.permutation_test(
        (cells,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=_FLIPS,
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def equivalence_test(lifts: ArrayLike, margin: float) -> float:
    """P-value of "lambda lies within the margin around 0": two one-sided t-tests (Schuirmann 1987).

    Parameters
    ----------
    lifts
        (K, K, R): differences of two objectives, paired by replicate.
    margin
        Above 0, in the unit of the lifts.

    Returns
    -------
    The larger of the two p-values.

    Raises
    ------
    InputError
        If the margin is not above 0.
    """
    if not margin > 0:
        msg = f"The margin of an equivalence test is above 0, got {margin}."
        raise InputError(msg)
    mean = _checked(lifts).mean(axis=2)
    own, error, df = float(strength(mean)), standard_error(mean), len(mean) * (len(mean) - 2)
    if error == 0:
        return 0.0 if abs(own) < margin else 1.0
    return float(stats.t.sf((margin - abs(own)) / error, df))


def visible_if_independent(lifts: ArrayLike) -> float:
    """The smallest lambda that could be seen in four of five cases, were all cells of all replicates independent.

    From the cells off the diagonal, within replicates; `Transfer.visible` allows for affinities that persist.

    Parameters
    ----------
    lifts
        (K, K, R).
    """
    values = np.moveaxis(_checked(lifts), 2, 0)
    errors = [standard_error(one) for one in values]
    return visible(float(np.sqrt(np.mean(np.square(errors)) / len(values))))


def logit_lifts(counts: ArrayLike, n: int) -> NDArray[np.float64]:
    """Logits of rates with half an answer added to each side, for models that give answers and no log-probabilities.

    Parameters
    ----------
    counts
        (...), answers of a kind among `n`.
    n
        Answers that were drawn.

    Raises
    ------
    InputError
        If a count is negative or above `n`.

    Examples
    --------
    >>> from bftembed.studies.statistics.labelings import logit_lifts
    >>> logit_lifts([5, 0], 10).round(2).tolist()
    [0.0, -3.04]
    """
    found = np.asarray(counts, dtype=np.float64)
    if n < 1 or (found < 0).any() or (found > n).any():
        msg = f"Counts lie between 0 and the {n} answers that were drawn."
        raise InputError(msg)
    return np.asarray(np.log(found + 0.5) - np.log(n - found + 0.5))


def target_rate(counts: ArrayLike, n: int) -> tuple[float, float, float]:
    """Share of answers that are the teacher's own, over all teachers and replicates, with Wilson's interval.

    Parameters
    ----------
    counts
        (K, K, R): answers of each kind that students gave.
    n
        Answers drawn of each student.
    """
    found = _checked(counts)
    own, total = int(np.einsum("aar->", found)), n * found.shape[0] * found.shape[2]
    return own / total, *wilson(own, total)


def _checked(lifts: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(lifts, dtype=np.float64)
    if values.ndim != 3 or not values.shape[2]:
        msg = f"Lifts are of teachers, answers and replicates, (K, K, R); got an array of shape {values.shape}."
        raise InputError(msg)
    strength(np.moveaxis(values, 2, 0))
    return values


def _interval(strengths: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """Percentile interval of the mean over replicates."""
    n = len(strengths)
    if n < 2:
        return float("nan"), float("nan")
    drawn = np.random.default_rng(seed).integers(n, size=(_DRAWS, n))
    low, high = np.quantile(strengths[drawn].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)
