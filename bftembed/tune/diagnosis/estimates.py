"""Groups of windows over a grid of thresholds: shares, their differences, and rates of words, with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bftembed.tune.diagnosis.bootstrap import resampled_sums
from bftembed.tune.diagnosis.lexicon import token_counts
from bftembed.tune.diagnosis.windows import longest_runs, window_bounds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bftembed.tune.diagnosis.confidences import TokenTrack
    from bftembed.tune.diagnosis.lexicon import Lexicon

_FIXED = 6


class Windows(NamedTuple):
    """The windows of a corpus; one axis of n_windows, before it one of thresholds or lexicons.

    Attributes
    ----------
    track, document, begin, size
        Which track and text, the window's first token in the track, and its number of tokens.
    low_share, longest
        (n_low, n_windows): share of tokens below each threshold, and their longest run.
    shuffled
        (n_low, n_windows): longest run once the confidences of the window are put in random order.
    matches
        (n_lexicons, n_windows): matches that end in the window.
    """

    track: np.ndarray
    document: np.ndarray
    begin: np.ndarray
    size: np.ndarray
    low_share: np.ndarray
    longest: np.ndarray
    shuffled: np.ndarray
    matches: np.ndarray


class Cells(NamedTuple):
    """Every combination of the grid's thresholds, (n_cells,) each; `low` is an index into the thresholds."""

    low: np.ndarray
    density: np.ndarray
    run: np.ndarray


class Sums(NamedTuple):
    """Counts per cell, (..., n_cells) each, of matches (..., n_lexicons, n_cells): all, in group A, in group B."""

    windows: np.ndarray
    n_a: np.ndarray
    n_b: np.ndarray
    n_b_shuffled: np.ndarray
    tokens_a: np.ndarray
    tokens_b: np.ndarray
    matches_a: np.ndarray
    matches_b: np.ndarray


class Corpus(NamedTuple):
    """Counts of a corpus as it is, and of resamples of its texts (NaN where it is one text alone).

    `texts` is how many texts it has, `low_tokens` (n_low,) the mean share of tokens below each threshold.
    """

    texts: int
    low_tokens: np.ndarray
    sums: Sums
    resampled: Sums


def windows_of(
    tracks: Sequence[TokenTrack],
    lexicons: Sequence[Lexicon],
    *,
    window: int,
    stride: int,
    skip: int,
    lows: np.ndarray,
    rng: np.random.Generator,
) -> Windows:
    """Windows of tracks of more than `skip` tokens, with what the groups depend on."""
    parts = []
    spans: list[np.ndarray] = []
    text = None
    for index, track in enumerate(tracks):
        begin, size = window_bounds(len(track) - skip, window, stride)
        begin += skip
        confidence = track.confidence[begin[:, None] + np.arange(size)]
        low = confidence < lows[:, None, None]
        mixed = rng.permuted(confidence, axis=1) < lows[:, None, None]
        if text is not track.text:  # the parts of a text follow one another
            text, spans = track.text, [lexicon.find(track.text) for lexicon in lexicons]
        counts = np.zeros((len(lexicons), len(track) + 1), dtype=np.int64)
        for row, matches in zip(counts, spans, strict=True):
            row[1:] = token_counts(matches, track.spans).cumsum()
        parts.append(
            Windows(
                np.full(len(begin), index),
                np.full(len(begin), track.document),
                begin,
                np.full(len(begin), size),
                low.mean(axis=2),
                np.stack([longest_runs(rows) for rows in low]),
                np.stack([longest_runs(rows) for rows in mixed]),
                counts[:, begin + size] - counts[:, begin],
            )
        )
    return Windows(*(np.concatenate(values, axis=-1) for values in zip(*parts, strict=True)))


def groups(low_share: np.ndarray, longest: np.ndarray, density: float, run: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether a window is in group A (low tokens, but scattered) and in group B (a run of them); in neither if few."""
    many = low_share >= density
    return many & (longest < run), many & (longest >= run)


def count(windows: Windows, cells: Cells, *, n_resamples: int, rng: np.random.Generator) -> Corpus:
    """Count windows, tokens and matches of the groups in every cell, and in resamples of the texts."""
    _, document = np.unique(windows.document, return_inverse=True)
    n = int(document.max()) + 1
    columns = []
    for low, density, run in zip(*cells, strict=True):
        a, b = groups(windows.low_share[low], windows.longest[low], density, run)
        _, b_shuffled = groups(windows.low_share[low], windows.shuffled[low], density, run)
        of_windows = [np.ones_like(a), a, b, b_shuffled, a * windows.size, b * windows.size]
        rows = [*of_windows, *(a * windows.matches), *(b * windows.matches)]
        columns.append([np.bincount(document, weights=row, minlength=n) for row in rows])
    values = np.asarray(columns)  # (n_cells, n_counts, n_documents)
    n_cells, n_counts, _ = values.shape
    resampled = resampled_sums(values.reshape(-1, n).T, n_resamples, rng).reshape(-1, n_cells, n_counts)
    if n < 2:  # every resample of one text is that text
        resampled[:] = np.nan
    return Corpus(n, windows.low_share.mean(axis=1), _sums(values.sum(axis=2)), _sums(resampled))


def added(many: Sequence[Sums]) -> Sums:
    """Counts of several corpora together."""
    return Sums(*(np.sum(values, axis=0) for values in zip(*many, strict=True)))


def rate_ratio(many: Sequence[Sums]) -> np.ndarray:
    """Rate of the words in group B over that in group A, by Mantel and Haenszel where there are several corpora.

    Pooled plainly, a corpus that has both more of group B and more of the words would pass for enrichment. NaN where
    both groups have no match or one has no window; infinite where group A has windows but no match.

    Returns
    -------
    (..., n_lexicons, n_cells) for counts of (..., n_cells).
    """
    above = below = np.zeros(1)
    for sums in many:
        # A corpus that lacks one of the groups says nothing on their ratio.
        tokens_a, tokens_b = sums.tokens_a[..., None, :], sums.tokens_b[..., None, :]
        total = np.maximum(tokens_a + tokens_b, 1)
        above = above + sums.matches_b * tokens_a / total
        below = below + sums.matches_a * tokens_b / total
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(above / below)


def _sums(values: np.ndarray) -> Sums:
    """Counts of shape (..., n_cells, n_counts), named."""
    fixed = [values[..., i] for i in range(_FIXED)]
    words = np.moveaxis(values[..., _FIXED:], -1, -2)
    half = words.shape[-2] // 2
    return Sums(*[*fixed, words[..., :half, :], words[..., half:, :]])
