"""How near names are to those they should be: among all names, by vectors and by words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bftembed.bench.scoring.metrics import mean
from bftembed.bench.scoring.rouge import rouge
from bftembed.bench.scoring.scores import Score
from bftembed.encoders import encode_cached
from bftembed.likeness import unit
from bftembed.naming.parsing import NO_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bftembed.encoders import Encoder

#: A name among the nearest five per cent of all names counts as found.
NEAR = 0.95


@dataclass(frozen=True, eq=False)
class NameScorer:
    """Scores cleaned names of n sets against their cleaned gold names.

    Parameters
    ----------
    golds
        (n,) gold names.
    background
        Names among which the gold one is looked for; the gold names are added.
    weights
        (n_draws, n) of the bootstrap.
    encoder
        Of the names.
    """

    golds: Sequence[str]
    background: Sequence[str]
    weights: NDArray[np.float64]
    encoder: Encoder

    def values(self, names: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        """Every metric of each of the (n,) names; all are 0 where there is no name (``"none"``).

        ``percentile``: the share of all other names that are further from the name by cosine than the gold one is,
        ties half. The rank alone counts, so that no encoder's range of cosines matters (Hu et al. 2025).
        """
        percentile, cosine = self._by_vectors(names)
        found = {
            "percentile": percentile,
            f"percentile >= {NEAR}": (percentile >= NEAR).astype(float),
            "exact match": np.array([a == b for a, b in zip(self.golds, names, strict=True)], dtype=float),
            "cosine": cosine,
            **rouge(self.golds, names),
        }
        named = np.array([name != NO_NAME for name in names])
        return {metric: np.where(named, values, 0.0) for metric, values in found.items()}

    def scores(self, method: str, names: Sequence[str], *, to_beat: bool = True) -> list[Score]:
        """Mean of every metric, percentile first."""
        return [
            Score(method, metric, np.array([[values.mean()]]), mean(values, self.weights), to_beat)
            for metric, values in self.values(names).items()
        ]

    def _by_vectors(self, names: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        among = sorted({*self.background, *self.golds})
        said = sorted(set(names))
        vectors, _ = encode_cached([*among, *said], self.encoder)
        rows = unit(vectors, centre=np.zeros(vectors.shape[1]))
        cosines = rows[len(among) :] @ rows[: len(among)].T
        place = {name: i for i, name in enumerate(among)}
        row = {name: cosines[i] for i, name in enumerate(said)}
        pairs = [(row[name], row[name][place[gold]]) for gold, name in zip(self.golds, names, strict=True)]
        others = max(len(among) - 1, 1)
        ranks = [((all_ < own).sum() + ((all_ == own).sum() - 1) / 2) / others for all_, own in pairs]
        return np.array(ranks, dtype=float), np.array([own for _, own in pairs], dtype=float)
