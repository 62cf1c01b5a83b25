"""Where the gradient goes as the window grows: its share on the words that carry knowledge. Nothing is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bftembed.studies.window.weighing import weigh, weighed
from bftembed.tune.diagnosis.bootstrap import percentile_interval, resampled_sums

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bftembed.studies.window.weighing import Weighed
    from bftembed.tune import Objective
    from bftembed.tune.diagnosis.confidences import TokenTrack
    from bftembed.tune.diagnosis.lexicon import Lexicon

#: All lexicons together.
ANY = "any"
_LOW = 0.1


class Tokens(NamedTuple):
    """Confidences of the tokens of texts, read once and used for every window.

    Attributes
    ----------
    logprobs
        (n_tokens,), float32, text after text.
    lengths
        (n_texts,), int64.
    spans
        Name of a lexicon to which tokens overlap one of its words, (n_tokens,), bool; `ANY` is their union.
    """

    logprobs: NDArray[np.float32]
    lengths: NDArray[np.int64]
    spans: dict[str, NDArray[np.bool_]]


def tokens_of(tracks: Sequence[TokenTrack], lexicons: Sequence[Lexicon]) -> Tokens:
    """Confidences of the diagnostic, with the tokens that overlap a word of each lexicon."""
    masks = {lexicon.name: [covered(lexicon.find(track.text), track.spans) for track in tracks] for lexicon in lexicons}
    spans = {name: np.concatenate(parts) for name, parts in masks.items()}
    confidence = np.concatenate([track.confidence for track in tracks])
    return Tokens(
        np.log(np.maximum(confidence, np.finfo(np.float32).tiny)),
        np.asarray([len(track) for track in tracks], dtype=np.int64),
        {**spans, ANY: np.any(list(spans.values()), axis=0)},
    )


def covered(matches: NDArray[np.int64], spans: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which tokens share a character with a match.

    Parameters
    ----------
    matches
        (n_matches, 2), characters, in order and apart from each other.
    spans
        (n_tokens, 2), the characters of each token.

    Examples
    --------
    >>> import numpy as np
    >>> from bftembed.studies.window.companion import covered
    >>> covered(np.array([[4, 8]]), np.array([[0, 3], [3, 6], [6, 8], [8, 9]])).tolist()
    [False, True, True, False]
    """
    if not len(matches):
        return np.zeros(len(spans), dtype=bool)
    following = np.searchsorted(matches[:, 1], spans[:, 0], side="right")
    starts = np.append(matches[:, 0], np.iinfo(np.int64).max)
    found: NDArray[np.bool_] = (starts[following] < spans[:, 1]) & (spans[:, 1] > spans[:, 0])
    return found


def measure(
    tokens: Tokens,
    windows: Sequence[int],
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """Weights of tokens and samples by each objective, and the share of the gradient that the words of lexicons get.

    The share lambda of a lexicon under an objective is the sum of the factors (`Weighed.factor`: token weight x sample
    weight x the token's share in the reduction, all texts being one global batch) of its tokens over the sum of all
    factors. Under ``sft`` that is the lexicon's plain share of the tokens, and the ratio of a share to that one says
    how far an objective turns to these words. A factor multiplies the gradient of a token's log-likelihood, and that
    gradient is the smaller the surer the token: its part in the target's own logit is 1 - c. The second share counts
    factor x (1 - c), the *step* that is taken on a token. Intervals are percentiles of a bootstrap over texts, with the
    same draws for all objectives.

    Parameters
    ----------
    tokens
        See `tokens_of`; texts with no token are left out.
    windows
        Of which the objectives of `bftembed.studies.window.weighing.weighed` are made. The correlation is of an
        objective's token weights with those of the one with the window before.
    resamples, level, seed
        Of the bootstrap.

    Returns
    -------
    JSON: counts, shares of texts within windows, and per objective its statistics; None where there is none, as for the
    share of a lexicon that has no match.
    """
    kept = tokens.lengths > 0
    tokens = tokens._replace(lengths=tokens.lengths[kept])
    objectives = weighed(windows)
    made = {name: weigh(objective, tokens.logprobs, tokens.lengths) for name, objective in objectives.items()}
    shares = _shares(tokens, made, resamples=resamples, level=level, seed=seed)
    return {
        "texts": len(tokens.lengths),
        "tokens": len(tokens.logprobs),
        "median_tokens": float(np.median(tokens.lengths)),
        "within": {str(window): float((tokens.lengths <= window).mean()) for window in windows},
        "span_tokens": {name: int(mask.sum()) for name, mask in tokens.spans.items()},
        "objectives": {name: _statistics(values) | shares[name] for name, values in made.items()},
        "correlations": _correlations(objectives, made),
    }


def _statistics(weighed: Weighed) -> dict[str, float]:
    """Section "weights": means, the share of tokens that get next to nothing, and effective shares (Kish 1965)."""
    return {
        "mean_token_weight": float(weighed.token.mean()),
        "mean_sample_weight": float(weighed.sample.mean()),
        "low": float((weighed.token < _LOW).mean()),
        "effective_tokens": _effective(weighed.factor),
        "effective_samples": _effective(weighed.sample),
    }


def _effective(weights: NDArray[np.float64]) -> float:
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares / len(weights) if squares else 0.0


def _shares(
    tokens: Tokens, made: Mapping[str, Weighed], *, resamples: int, level: float, seed: int
) -> dict[str, dict[str, Any]]:
    """Shares, steps and their ratios to those of SFT, each with its interval, by objective and lexicon."""
    borders = np.concatenate([[0], tokens.lengths.cumsum()[:-1]])
    unsure = -np.expm1(tokens.logprobs.astype(float))
    masks = np.stack([np.ones(len(unsure), dtype=bool), *tokens.spans.values()])
    columns = np.concatenate(
        [
            np.add.reduceat(masks * scale, borders, axis=1)
            for values in made.values()
            for scale in (values.factor, values.factor * unsure)
        ]
    ).T
    draws = resampled_sums(columns, resamples, np.random.default_rng(seed))
    sums = np.concatenate([columns.sum(0)[None], draws]).reshape(resamples + 1, len(made), 2, len(masks))
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = sums[..., 1:] / sums[..., :1]  # (1 + resamples, objective, share or step, lexicon)
        ratios = shares / shares[:, :1]
    limits = [percentile_interval(each[1:], level) for each in (shares, ratios)]
    found: dict[str, dict[str, Any]] = {}
    for i, name in enumerate(made):
        found[name] = {
            f"{what}{kind}": {
                lexicon: [_finite(value) for value in (each[0, i, j, k], *interval[:, i, j, k])]
                for k, lexicon in enumerate(tokens.spans)
                if tokens.spans[lexicon].any()
            }
            for j, what in enumerate(("share", "step"))
            for kind, each, interval in (("", shares, limits[0]), ("_ratio", ratios, limits[1]))
        }
    return found


def _correlations(objectives: Mapping[str, Objective], made: Mapping[str, Weighed]) -> dict[str, float | None]:
    """Pearson correlation of token weights with those of the window before, by objective; None for constant weights."""
    found: dict[str, float | None] = {}
    before: dict[str, str] = {}
    for name, objective in objectives.items():
        kind = objective.model_copy(update={"window": 1}).model_dump_json()
        if (last := before.get(kind)) is not None:
            pair = made[last].token, made[name].token
            constant = any(np.ptp(values) == 0 for values in pair)
            found[name] = None if constant else float(np.corrcoef(*pair)[0, 1])
        before[kind] = name
    return found


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
