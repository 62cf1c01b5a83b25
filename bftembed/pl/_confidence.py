"""Confidences along a text, and the groups of the windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bftembed.errors import InputError
from bftembed.pl._finish import check_save, finish
from bftembed.tune.diagnosis.windows import runs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from bftembed.tune.diagnosis.analysis import Diagnosis
    from bftembed.tune.diagnosis.confidences import TokenTrack

_SHOWN = 60


def confidence(
    diagnosis: Diagnosis,
    *,
    corpus: str | None = None,
    index: int | None = None,
    ax: Sequence[Axes] | None = None,
    show: bool = True,
    save: str | Path | None = None,
) -> tuple[Axes, Axes]:
    """Plot the confidences along one text with its low runs marked, and all windows with their groups.

    Parameters
    ----------
    diagnosis
        Result of `bftembed.tune.diagnose`.
    corpus
        Of which corpus a text is drawn; by default the first.
    index
        Which track of the corpus; by default the one that holds the longest low run.
    ax
        Two axes to draw on.
    show
        Show the figure.
    save
        File to write.

    Returns
    -------
    Axes of the text and of the windows: share of low tokens (x) against the longest low run in tokens (y).

    Raises
    ------
    InputError
        If there is no such corpus or track, `ax` is not a pair, or the file cannot be written.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> import numpy as np, bftembed as bft
    >>> from bftembed.tune.diagnosis.analysis import DiagnosisSettings, analyse
    >>> from bftembed.tune.diagnosis.confidences import TokenTrack
    >>> spans = np.stack([np.arange(40) * 2, np.arange(40) * 2 + 1], axis=1)
    >>> confidence = np.where((np.arange(40) > 20) & (np.arange(40) < 30), 0.01, 0.8).astype(np.float32)
    >>> tracks = {name: [TokenTrack(0, 0, "a " * 40, np.arange(40), spans, confidence)] for name in ("genes", "news")}
    >>> diagnosis = analyse(tracks, biomedical=["genes"], settings=DiagnosisSettings(), lexicons=[])
    >>> text, windows = bft.pl.confidence(diagnosis, show=False)
    >>> text.get_title(loc="left").splitlines()[0]
    'genes, text 1: 1 runs of 6 low tokens or more'
    """
    import matplotlib.pyplot as plt

    check_save(save)
    corpus = next(iter(diagnosis.tracks)) if corpus is None else corpus
    track = _track(diagnosis, corpus, index)
    if ax is None:
        ax = plt.subplots(2, 1, figsize=(7, 6), layout="constrained")[1]
    if len(ax) != 2:
        msg = f"`ax` holds {len(ax)} axes; two are needed, for the text and for the windows."
        raise InputError(msg)
    _draw_track(ax[0], track, diagnosis, corpus)
    _draw_windows(ax[1], diagnosis)
    finish(ax[0], show=show, save=save)
    return ax[0], ax[1]


def _track(diagnosis: Diagnosis, corpus: str, index: int | None) -> TokenTrack:
    if corpus not in diagnosis.tracks:
        msg = f"There is no corpus `{corpus}`; there are {', '.join(diagnosis.tracks)}."
        raise InputError(msg)
    tracks = diagnosis.tracks[corpus]
    if index is None:
        own = diagnosis.windows[diagnosis.windows["corpus"] == corpus]
        index = int(own["track"].to_numpy()[own["longest_run"].to_numpy().argmax()])
    if not 0 <= index < len(tracks):
        msg = f"There is no track {index} in `{corpus}`, which has {len(tracks)}."
        raise InputError(msg)
    return tracks[index]


def _draw_track(ax: Axes, track: TokenTrack, diagnosis: Diagnosis, corpus: str) -> None:
    settings = diagnosis.settings
    low_runs = runs(track.confidence[settings.skip :] < settings.low) + settings.skip
    dense = low_runs[np.diff(low_runs, axis=1)[:, 0] >= settings.run]
    ax.stairs(track.confidence, np.arange(len(track) + 1) - 0.5, color="0.3", baseline=None)
    ax.axhline(settings.low, color="0.6", linestyle=":")
    ax.axvspan(-0.5, settings.skip - 0.5, color="0.9", linewidth=0, zorder=0)
    for first, last in dense:
        ax.axvspan(first - 0.5, last - 0.5, color="C3", alpha=0.25, linewidth=0)
    title = f"{corpus}, text {track.document + 1}: {len(dense)} runs of {settings.run} low tokens or more"
    if len(low_runs):
        first, last = low_runs[np.diff(low_runs, axis=1).argmax()]
        words = " ".join(track.text[track.spans[first, 0] : track.spans[last - 1, 1]].split())
        # A dollar sign would start a formula.
        title += "\nlongest: " + (words[:_SHOWN] + "..." if len(words) > _SHOWN else words).replace("$", r"\$")
    ax.set(yscale="log", ylim=(1e-6, 1.5), xlim=(-0.5, len(track) - 0.5), xlabel="token", ylabel="confidence")
    ax.set_title(title, fontsize="medium", loc="left")


def _draw_windows(ax: Axes, diagnosis: Diagnosis) -> None:
    settings = diagnosis.settings
    for corpus, rows in diagnosis.windows.groupby("corpus", sort=False):
        in_b = (rows["group"] == "B").mean()
        label = f"{corpus}: {in_b:.0%} of {len(rows):,} in B"
        ax.scatter(rows["low_share"], rows["longest_run"], s=12, alpha=0.4, linewidth=0, label=label)
    ax.axvline(settings.density, color="0.6", linestyle=":")
    ax.axhline(settings.run - 0.5, color="0.6", linestyle=":")
    ax.text(0.01, 0.98, f"B: right of the line, {settings.run} tokens or more", transform=ax.transAxes, va="top")
    ax.text(0.01, 0.02, "A: right of the line, fewer", transform=ax.transAxes, va="bottom")
    ax.set_ylim(bottom=0)
    ax.set(xlabel=f"share of tokens below {settings.low:g}", ylabel="longest low run (tokens)")
    ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
