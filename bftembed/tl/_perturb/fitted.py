"""Effects of measured parts, what cross-validation chose, and predictions of conditions of any parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from bftembed._warn import warn
from bftembed.entities import near_name
from bftembed.errors import InputError
from bftembed.likeness import (
    SHRINKAGES,
    TEMPERATURES,
    Effects,
    additive_effects,
    average_weight,
    cross_validated,
    voted,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bftembed.tl._perturb.likes import Likes
    from bftembed.tl._perturb.screen import Part, Screen

    Floats = NDArray[np.float64]

_SHOWN = 5
_LEAST_SHOWN = 0.005


class Predicted(NamedTuple):
    """Changes and their s.d. (n, g), and a frame of what they rest on, a row per condition."""

    change: Floats
    std: Floats
    basis: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a screen tells.

    Attributes
    ----------
    likes, dose_width
        How alike parts are.
    parts, known
        The p measured parts, and which of them have a vector.
    effects
        Of the parts.
    temperature, shrinkage, average
        Of the vote, as in `bftembed.likeness.additive`.
    results
        Errors of the cross-validation, a row per candidate.
    noise, unseen
        (g,) sampling variance of a change, and variance of the effect of an unseen part about its prediction: NaN if
        none could be held out.
    """

    likes: Likes
    dose_width: float
    parts: list[Part]
    known: NDArray[np.bool_]
    effects: Effects
    temperature: float
    shrinkage: float
    average: float
    results: pd.DataFrame
    noise: Floats
    unseen: Floats

    @classmethod
    def of(
        cls, screen: Screen, likes: Likes, *, temperature: float | None, shrinkage: float | None, dose_width: float
    ) -> Fitted:
        """Choose what is not given by cross-validation, and estimate the effects.

        Raises
        ------
        InputError
            If fewer than two parts have a vector.

        Warns
        -----
        BftembedWarning
            If parts have no vector, or none can be held out.
        """
        parts = sorted({part for each in screen.parts for part in each}, key=str)
        known = likes.has([part.name for part in parts])
        _check_known(parts, known)
        has = has_parts(screen.parts, parts)
        usable = ~has[:, ~known].any(axis=1)
        voting = [part for part, one in zip(parts, known, strict=True) if one]

        def kernel(t: float) -> Floats:
            return likes.weights(voting, voting, temperature=t, dose_width=dose_width)

        temperatures = TEMPERATURES if temperature is None else (temperature,)
        shrinkages = SHRINKAGES if shrinkage is None else (shrinkage,)
        choice = cross_validated(
            has[np.ix_(usable, known)],
            screen.change[usable],
            screen.noise[usable],
            kernel,
            groups=[part.name for part in voting],
            temperatures=temperatures,
            shrinkages=shrinkages,
        )
        if np.isnan(choice.usual):
            warn(
                "No perturbation can be held out: each condition shares a gene or drug with all others, or has one "
                "without a vector. Without a shrinkage given, unseen ones get the training mean; their s.d. is NaN: "
                "add conditions of others."
            )
        noise = screen.noise.mean(axis=0)
        return cls(
            likes,
            dose_width,
            parts,
            known,
            additive_effects(has, screen.change, screen.noise),
            choice.temperature,
            choice.shrinkage,
            average_weight(kernel(choice.temperature)),
            _results(choice.errors, choice.usual, temperatures, shrinkages),
            noise,
            choice.unseen,
        )

    def predict(self, conditions: Sequence[tuple[Part, ...]]) -> Predicted:
        """Predict conditions, the parts of which are measured or have a vector."""
        parts = sorted({part for each in conditions for part in each}, key=str)
        x = has_parts(conditions, parts).astype(float)
        row = {part: i for i, part in enumerate(self.parts)}
        seen = np.array([part in row for part in parts])
        own = [row[part] for part in parts if part in row]
        weights = self.likes.weights(parts, self.parts, temperature=self.temperature, dose_width=self.dose_width)
        deviations, share = voted(
            weights[:, self.known], self.effects.deviations[self.known], self.shrinkage, self.average
        )
        deviations[seen] = self.effects.deviations[own]
        size = x.sum(axis=1)
        change = size[:, None] * self.effects.mean + x @ deviations
        posterior = np.einsum("ij,jk,ik->i", x[:, seen], self.effects.spread[np.ix_(own, own)], x[:, seen])
        n_unseen = x[:, ~seen].sum(axis=1)
        variance = (
            np.where(n_unseen > 0, np.outer(self.unseen, n_unseen), 0.0).T + (1 + posterior[:, None]) * self.noise
        )
        mean_share = np.where(seen, 0.0, _of_the_mean(share))
        at = {part: i for i, part in enumerate(parts)}
        rests_on = ["; ".join(self._in_words(part, share[at[part]]) for part in each) for each in conditions]
        basis = pd.DataFrame(
            {"rests_on": rests_on, "mean_share": (x @ mean_share) / size, "n_unseen": n_unseen.astype(int)}
        )
        return Predicted(change, np.sqrt(variance), basis)

    def refuse_unknown(self, conditions: Sequence[tuple[Part, ...]], labels: Sequence[str] = ()) -> None:
        """`InputError` that names parts that were neither measured nor have a vector, as `labels` of conditions do."""
        parts = sorted({part for each in conditions for part in each} - set(self.parts), key=str)
        has = self.likes.has([part.name for part in parts])
        if unknown := [part for part, one in zip(parts, has, strict=True) if not one]:
            typed = [_as_typed(part, conditions, labels) for part in unknown[:5]]
            shown = ", ".join(typed) + (", ..." if len(unknown) > 5 else "")
            what = "vector in `similarity`" if self.likes.rows else "text in the tables on this machine"
            names = [*(self.likes.rows or {}), *(part.name for part in self.parts)]
            near = near_name(typed[0].partition(" (read as ")[0], names)
            msg = (
                f"{len(unknown)} genes or drugs were neither measured nor have a {what}: {shown}.{near} Mend the "
                "names, or give similarity= with vectors of them."
            )
            raise InputError(msg)

    def _in_words(self, part: Part, share: Floats) -> str:
        if part in self.parts:
            return f"{part}: measured itself"
        names = [str(each) for each, one in zip(self.parts, self.known, strict=True) if one]
        nearest = [i for i in np.argsort(-share, kind="stable")[:_SHOWN] if share[i] >= _LEAST_SHOWN]
        words = [f"{names[i]} {100 * share[i]:.0f} %" for i in nearest]
        rest = share.sum() - share[nearest].sum()
        words += [f"{len(share) - len(nearest)} others {100 * rest:.0f} %"] if rest >= _LEAST_SHOWN else []
        return f"{part}: " + ", ".join([*words, f"training mean {100 * _of_the_mean(share):.0f} %"])


def _as_typed(part: Part, conditions: Sequence[tuple[Part, ...]], labels: Sequence[str]) -> str:
    """A part, or the condition that it was read from where that does not show its name."""
    for label, each in zip(labels, conditions, strict=False):
        if part in each and part.name.casefold() not in label.casefold():
            return f"{label} (read as {'+'.join(map(str, each))})"
    return str(part)


def _of_the_mean(share: Floats) -> Any:
    """What is left for the training mean, (n,) of shares (n, p): not below zero by rounding."""
    return np.maximum(1 - share.sum(axis=-1), 0.0)


def has_parts(conditions: Sequence[tuple[Part, ...]], parts: Sequence[Part]) -> NDArray[np.bool_]:
    """Which condition has which part, (n, p)."""
    row = {part: i for i, part in enumerate(parts)}
    has = np.zeros((len(conditions), len(parts)), dtype=bool)
    for i, each in enumerate(conditions):
        has[i, [row[part] for part in each]] = True
    return has


def _check_known(parts: Sequence[Part], known: NDArray[np.bool_]) -> None:
    without = [str(part) for part, one in zip(parts, known, strict=True) if not one]
    shown = ", ".join(without[:5]) + (", ..." if len(without) > 5 else "")
    if known.sum() < 2:
        lacking = f" (without: {shown})" if without else ""
        msg = (
            f"Of {len(parts)} genes or drugs that were measured {int(known.sum())} have a vector or text{lacking}; two "
            "are needed. Check `similarity`, `how` and the names of the conditions."
        )
        raise InputError(msg)
    if without:
        warn(f"{len(without)} of {len(parts)} genes or drugs have no vector or text, and no vote: {shown}.")


def _results(errors: Floats, usual: float, temperatures: Sequence[float], shrinkages: Sequence[float]) -> pd.DataFrame:
    rows = [(t, s, errors[i, j]) for i, t in enumerate(temperatures) for j, s in enumerate(shrinkages)]
    table = pd.DataFrame(rows, columns=["temperature", "shrinkage", "mse"])
    return table.assign(gain=1 - table["mse"] / usual if usual > 0 else usual)
