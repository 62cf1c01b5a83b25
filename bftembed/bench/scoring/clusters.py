"""Bootstrap weights of items that depend on each other: drawn together, by one clustering or by two that cross."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bftembed.bench.scoring.scores import item_weights
from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def group_weights(groups: Sequence[str], *, role: str | None = None) -> NDArray[np.float64]:
    """How often each item is drawn where whole groups are drawn: (`N_DRAWS`, n).

    Parameters
    ----------
    groups
        (n,): names of the groups of the items, e.g. the question of each prompt. The draws of a group depend on the
        names of all groups, not on the order of the items, so that replicates of two models are paired.
    role
        As in `item_weights`.

    Examples
    --------
    >>> from bftembed.bench.scoring.clusters import group_weights
    >>> weights = group_weights(["q1", "q1", "q2"])
    >>> weights.shape, bool((weights[:, 0] == weights[:, 1]).all())
    ((1000, 3), True)
    """
    names, inverse = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    return item_weights(names.tolist(), role=role)[:, inverse]


def pigeonhole_weights(rows: Sequence[str], columns: Sequence[str]) -> NDArray[np.float64]:
    """How often each item is drawn where its row and its column are drawn independently: (`N_DRAWS`, n).

    The pigeonhole bootstrap (Owen 2007, Annals of Applied Statistics 1, 386-411), for items that share either of two
    things, such as the perturbation and the gene. An item counts as often as its row times its column were drawn. It
    is not too narrow for any mixture of effects of rows, of columns and of single items; where the last are most of
    the variance it is too wide, at the utmost by the square root of 3.

    Parameters
    ----------
    rows, columns
        (n,) names each. A name that is a row and a column, as of a gene that is perturbed and read out, is drawn twice.
        The factors are ``group_weights(rows, role="rows")`` and ``group_weights(columns, role="columns")``; a mean over
        columns has to count each as often as it was drawn, see `bftembed.bench.scoring.metrics.auroc_per_group`.

    Raises
    ------
    InputError
        If there are not as many rows as columns.

    Examples
    --------
    >>> from bftembed.bench.scoring.clusters import pigeonhole_weights
    >>> pigeonhole_weights(["TP53", "TP53", "MYC"], ["MDM2", "CDKN1A", "MDM2"]).shape
    (1000, 3)
    """
    if len(rows) != len(columns):
        msg = f"Items have a row and a column each; got {len(rows)} rows and {len(columns)} columns."
        raise InputError(msg)
    return group_weights(rows, role="rows") * group_weights(columns, role="columns")
