"""Effects of unseen perturbations by a vote of the training perturbations that are like them: nothing is trained.

``score(P, G) = (sum_q,h K(P, q) L(G, h) (y_qh - p_h)) / (sum_q,h K(P, q) L(G, h) + s k)`` over the pairs (q, h) of
training perturbation and read-out gene that were measured, with their answers ``y`` (0 or 1). ``K`` is
``exp((cosine - 1) / t)`` of the vectors of the perturbed genes; ``L`` is 1 for the read-out itself and
``c exp((cosine - 1) / u)`` for other read-outs, or 0. ``p_h`` is the share of yes of a read-out in train; ``s`` says
how many average training perturbations (of weight ``k``) an answer of "as usual" counts. The score of a row depends on
that row and the training rows alone. Without other read-outs, this ranks as the weighted mean of the answers that the
same gene gave under similar perturbations, the control that Wu et al. (2025) call retrieval.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bftembed.bench.scoring.metrics import auroc_per_group
from bftembed.likeness import soft

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

_PRIOR = 1.0
_DECIMALS = 6  # beyond are the last bits of float32, which would order perturbations that are alike
_OTHERS = 0.3
TEMPERATURES = (0.05, 0.1, 0.2, 0.5)


class Rows(NamedTuple):
    """Rows (n,) of perturbation and read-out gene, as indices into the entities, and whether the answer is yes."""

    pert: NDArray[np.intp]
    gene: NDArray[np.intp]
    label: NDArray[np.bool_]

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Rows:
        """Some of the rows."""
        return Rows(self.pert[rows], self.gene[rows], self.label[rows])


class Setting(NamedTuple):
    """Of a vote: ``t``, ``s``, ``u`` and ``c`` of the formula; ``c = 0`` asks no other read-outs."""

    t: float
    s: float = 1.0
    u: float = 0.1
    c: float = 0.0


class _Table(NamedTuple):
    """Training rows as a table of perturbations by read-outs: what was measured, and how it differs from usual."""

    perts: NDArray[np.intp]
    genes: NDArray[np.intp]
    measured: Floats
    unusual: Floats


def vote(unit: Any, train: Rows, test: Rows, setting: Setting) -> NDArray[np.float64]:
    """Answer rows by the vote of the training rows.

    Parameters
    ----------
    unit
        (n_entities, d) rows of unit length, an array or sparse (see `bftembed.likeness.unit`), or a tuple of views,
        whose cosines are averaged.
    train, test
        Rows of entities. The labels of `test` are not looked at.
    setting
        Of the vote.

    Returns
    -------
    (n_test,) scores, above 0 where yes is more likely than usual for the read-out.
    """
    table = _tabled(train, test)
    return next(_votes(unit, table, test, [setting], lambda: cosines(unit, table.genes, table.genes)))


def tuned(
    unit: Any, train: Rows, settings: Sequence[Setting], *, n_repeats: int = 1, seed: int = 0
) -> tuple[Setting, NDArray[np.float64]]:
    """The best of some settings by five-fold cross-validation over training perturbations.

    Parameters
    ----------
    unit, train
        As in `vote`.
    settings
        The first of equals is taken.
    n_repeats, seed
        Of the cross-validation.

    Returns
    -------
    best
        The setting with the largest mean.
    means
        (n_settings,): mean over the folds of the AUROC per gene.
    """
    perts, scores = np.unique(train.pert), []
    alike = cache(lambda: cosines(unit, np.unique(train.gene), np.unique(train.gene)))
    for repeat in range(n_repeats):
        order = np.random.default_rng(seed + repeat).permutation(perts)
        for held in np.array_split(order, 5):
            out = np.isin(train.pert, held)
            kept, asked = train.take(~out), train.take(out)
            table = _tabled(kept, asked)
            scores.append([auroc_per_gene(asked, guess) for guess in _votes(unit, table, asked, settings, alike)])
    means = np.nanmean(scores, axis=0)
    return settings[int(np.argmax(means))], means


def chosen(unit: Any, train: Rows) -> Setting:
    """A setting for any vectors, from training rows: the temperature, then whether and which other read-outs count."""
    best, _ = tuned(unit, train, [Setting(t) for t in TEMPERATURES])
    others = [best._replace(u=u, c=_OTHERS) for u in TEMPERATURES]
    return tuned(unit, train, [best, *others])[0]


def auroc_per_gene(rows: Rows, guess: NDArray[np.float64]) -> float:
    """AUROC within each read-out gene with both labels, averaged (NaN without any)."""
    return float(auroc_per_group(rows.label, guess, rows.gene)[0])


def _tabled(train: Rows, test: Rows) -> _Table:
    perts, row = np.unique(train.pert, return_inverse=True)
    genes = np.union1d(train.gene, test.gene)
    column = np.searchsorted(genes, train.gene)
    measured, yes = np.zeros((2, len(perts), len(genes)), dtype=np.float32)
    measured[row, column] = 1
    yes[row, column] = train.label
    usual = (yes.sum(axis=0) + _PRIOR * train.label.mean()) / (measured.sum(axis=0) + _PRIOR)
    return _Table(perts, genes, measured, measured * (yes - usual))


def _votes(
    unit: Any, table: _Table, test: Rows, settings: Sequence[Setting], alike: Callable[[], Floats]
) -> Iterator[NDArray[np.float64]]:
    """One answer per setting; what two of them share is computed once where they follow each other.

    ``alike`` gives the cosines between the genes of the table, if they are asked for.
    """
    asked, row = np.unique(test.pert, return_inverse=True)
    column = np.searchsorted(table.genes, test.gene)
    near, among = cosines(unit, asked, table.perts), cosines(unit, table.perts, table.perts)
    np.fill_diagonal(among, np.nan)
    known: dict[str, Any] = {}
    for setting in settings:
        if known.get("t") != setting.t:
            weights = soft(near, setting.t)
            known.pop("of_others", None)
            known |= {
                "t": setting.t,
                "above": weights @ table.unusual,
                "below": weights @ table.measured,
                "average": float(np.nanmean(soft(among, setting.t))) if len(table.perts) > 1 else 1.0,
            }
        above, below = known["above"], known["below"]
        if setting.c:
            if known.get("u") != setting.u:
                others = soft(alike(), setting.u)
                np.fill_diagonal(others, 0)
                known |= {"u": setting.u, "others": others}
                known.pop("of_others", None)
            if "of_others" not in known:
                known["of_others"] = above @ known["others"], below @ known["others"]
            above, below = (
                mine + setting.c * theirs for mine, theirs in zip((above, below), known["of_others"], strict=True)
            )
        scores = above / (below + setting.s * known["average"])
        yield np.round(scores[row, column].astype(np.float64), _DECIMALS)


def cosines(unit: Any, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Floats:
    """Cosines (n_rows, n_columns) of some of the unit vectors, dense or sparse; of several views their mean."""
    from sklearn.utils.extmath import safe_sparse_dot

    if isinstance(unit, tuple):
        return np.asarray(np.mean([cosines(view, rows, columns) for view in unit], axis=0), dtype=np.float32)
    return np.asarray(safe_sparse_dot(unit[rows], unit[columns].T, dense_output=True), dtype=np.float32)
