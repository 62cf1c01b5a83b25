"""Tables of the diagnostic: a row per corpus and combination of thresholds."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bftembed.tune.diagnosis import estimates as est
from bftembed.tune.diagnosis.bootstrap import percentile_interval

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bftembed.tune.diagnosis.confidences import TokenTrack
    from bftembed.tune.diagnosis.settings import DiagnosisSettings

DIFFERENCE = "biomedical - general"
POOLED = "pooled"


def grid(settings: DiagnosisSettings) -> est.Cells:
    """Every combination of the thresholds."""
    cells = list(itertools.product(range(len(settings.lows)), settings.densities, settings.runs))
    return est.Cells(*map(np.asarray, zip(*cells, strict=True)))


def corpora_table(
    tracks: Mapping[str, Sequence[TokenTrack]], windows: Mapping[str, est.Windows], biomedical: Collection[str]
) -> pd.DataFrame:
    """What was read: a row per corpus."""
    rows = [
        {
            "corpus": name,
            "biomedical": name in biomedical,
            "texts": len(np.unique(windows[name].document)),
            "pieces": len(values),
            "tokens": sum(map(len, values)),
            "windows": len(windows[name].size),
            "median_window": float(np.median(windows[name].size)),
            "mean_confidence": float(np.concatenate([track.confidence for track in values]).mean(dtype=float)),
        }
        for name, values in tracks.items()
    ]
    return pd.DataFrame(rows)


def shares_table(
    corpora: Mapping[str, est.Corpus], biomedical: Collection[str], settings: DiagnosisSettings
) -> pd.DataFrame:
    """Shares of the windows in each group; and biomedical less general, each corpus counting the same."""
    cells = grid(settings)
    columns = {
        name: {
            "texts": np.full(len(cells.low), corpus.texts),
            "windows": corpus.sums.windows,
            "share_a": corpus.sums.n_a / corpus.sums.windows,
            "share_b": corpus.sums.n_b / corpus.sums.windows,
            "share_b_shuffled": corpus.sums.n_b_shuffled / corpus.sums.windows,
            "excess": (corpus.sums.n_b - corpus.sums.n_b_shuffled) / corpus.sums.windows,
            "low_tokens": corpus.low_tokens[cells.low],
        }
        for name, corpus in corpora.items()
    }
    resampled = {name: _resampled(corpus.resampled) for name, corpus in corpora.items()}
    kinds = [[name for name in corpora if (name in biomedical) == kind] for kind in (True, False)]
    if all(kinds):
        ours, others = ({key: np.mean([columns[n][key] for n in names], axis=0) for key in _SHARES} for names in kinds)
        counts = {key: np.sum([each[key] for each in columns.values()], axis=0) for key in ("texts", "windows")}
        columns[DIFFERENCE] = counts | {key: ours[key] - others[key] for key in _SHARES}
        means = [np.mean([resampled[name] for name in names], axis=0) for names in kinds]
        resampled[DIFFERENCE] = means[0] - means[1]
    frames = []
    for name, values in columns.items():
        limits = {}
        for key, drawn in zip(("share_b", "excess"), resampled[name], strict=True):
            limits[f"{key}_lower"], limits[f"{key}_upper"] = percentile_interval(drawn, settings.confidence_level)
        frames.append(pd.DataFrame({"corpus": name, **_thresholds(cells, settings), **values, **limits}))
    return pd.concat(frames, ignore_index=True).astype({"texts": int, "windows": int})


def enrichment_table(
    corpora: Mapping[str, est.Corpus], lexicons: Sequence[str], settings: DiagnosisSettings
) -> pd.DataFrame:
    """Rate of the words of each lexicon in group B over that in group A, per corpus and pooled."""
    cells = grid(settings)
    frames = []
    for name in [*corpora, POOLED]:
        parts = list(corpora.values()) if name == POOLED else [corpora[name]]
        sums = est.added([part.sums for part in parts])
        ratio = est.rate_ratio([part.sums for part in parts])
        limits = percentile_interval(est.rate_ratio([part.resampled for part in parts]), settings.confidence_level)
        values = {
            "windows_a": sums.n_a,
            "windows_b": sums.n_b,
            "matches_a": sums.matches_a,
            "matches_b": sums.matches_b,
            "per_1000_a": _per_1000(sums.matches_a, sums.tokens_a),
            "per_1000_b": _per_1000(sums.matches_b, sums.tokens_b),
            "ratio": np.where(np.isfinite(ratio), ratio, np.nan),
            "ratio_lower": np.where(np.isfinite(ratio), limits[0], np.nan),
            "ratio_upper": np.where(np.isfinite(ratio), limits[1], np.nan),
            "note": _note(sums, ratio, limits),
        }
        columns = {**_thresholds(cells, settings), **values}
        flat = {key: np.broadcast_to(value, ratio.shape).ravel() for key, value in columns.items()}
        frames.append(pd.DataFrame({"corpus": name, "lexicon": np.repeat(lexicons, len(cells.low)), **flat}))
    counts = ["windows_a", "windows_b", "matches_a", "matches_b"]
    return pd.concat(frames, ignore_index=True).astype(dict.fromkeys(counts, int))


def windows_table(windows: Mapping[str, est.Windows], settings: DiagnosisSettings) -> pd.DataFrame:
    """Every window with its group at the chosen thresholds."""
    at = settings.lows.index(settings.low)
    frames = []
    for name, values in windows.items():
        a, b = est.groups(values.low_share[at], values.longest[at], settings.density, settings.run)
        columns = {
            "corpus": name,
            "document": values.document,
            "track": values.track,
            "begin": values.begin,
            "tokens": values.size,
            "low_share": values.low_share[at],
            "longest_run": values.longest[at],
            "group": np.select([a, b], ["A", "B"], default=""),
        }
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def report(shares: pd.DataFrame, enrichment: pd.DataFrame, level: float) -> str:
    """Rows of both tables at one combination of thresholds, for reading."""
    first = pd.DataFrame(
        {
            "": shares["corpus"],
            "texts": shares["texts"].map("{:,}".format),
            "windows": shares["windows"].map("{:,}".format),
            "low tokens": shares["low_tokens"].map("{:.1%}".format),
            "A": shares["share_a"].map("{:.1%}".format),
            "B": shares["share_b"].map("{:.1%}".format),
            f"B, {level:.0%} interval": _intervals(shares["share_b_lower"], shares["share_b_upper"], "{:.1%}"),
            "B if shuffled": shares["share_b_shuffled"].map("{:.1%}".format),
            "excess": _intervals(shares["excess_lower"], shares["excess_upper"], "{:.1%}"),
        }
    )
    second = pd.DataFrame(
        {
            "": enrichment["corpus"],
            "words": enrichment["lexicon"],
            "per 1,000 in A": enrichment["per_1000_a"].map("{:.2f}".format),
            "in B": enrichment["per_1000_b"].map("{:.2f}".format),
            "B / A": enrichment["ratio"].map("{:.2f}".format),
            f"{level:.0%} interval": _intervals(enrichment["ratio_lower"], enrichment["ratio_upper"], "{:.2f}"),
            "note": enrichment["note"],
        }
    )
    return "\n\n".join(
        frame.to_string(index=False).replace("nan%", "   -").replace("nan", "  -") for frame in (first, second)
    )


_SHARES = ("share_a", "share_b", "share_b_shuffled", "excess", "low_tokens")


def _resampled(sums: est.Sums) -> np.ndarray:
    """Share of group B and its excess over shuffled windows, (2, n_resamples, n_cells)."""
    shares: np.ndarray = np.stack([sums.n_b, sums.n_b - sums.n_b_shuffled]) / sums.windows
    return shares


def _thresholds(cells: est.Cells, settings: DiagnosisSettings) -> dict[str, np.ndarray]:
    return {"low": np.asarray(settings.lows)[cells.low], "density": cells.density, "run": cells.run}


def _intervals(lower: pd.Series, upper: pd.Series, form: str) -> list[str]:
    pairs = zip(lower, upper, strict=True)
    return ["none" if np.isnan(low) else f"{form.format(low)} to {form.format(high)}" for low, high in pairs]


def _per_1000(matches: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    return np.where(tokens > 0, 1000 * matches / np.maximum(tokens, 1), np.nan)


def _note(sums: est.Sums, ratio: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Why there is no ratio, or no interval around it; (n_lexicons, n_cells)."""
    none_a, none_b = sums.matches_a == 0, sums.matches_b == 0
    reasons = {
        "no window in group A": sums.n_a == 0,
        "no window in group B": sums.n_b == 0,
        "no match in either group": none_a & none_b,
        "no match in group A": none_a,
        "no corpus has windows in both groups": ~np.isfinite(ratio),
        "no match in group B, so no interval": none_b,
        "too few texts have a group or its matches for an interval": np.isnan(limits).any(axis=0),
    }
    conditions = [np.broadcast_to(condition, ratio.shape) for condition in reasons.values()]
    return np.select(conditions, list(reasons), default="")
