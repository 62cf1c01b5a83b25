"""The teacher-forcing diagnostic: where a model's low confidences stand together, and on what words.

After *Aligning LLMs with Biomedical Knowledge using Balanced Fine-Tuning*, arXiv 2511.21075: windows whose
low-confidence tokens are scattered (group A) tend to be variation of style, windows where they stand together (group B)
to be knowledge that the model lacks. The paper's thresholds are not public, so every result comes over a grid of them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed._warn import warn
from bftembed.errors import InputError
from bftembed.tune.diagnosis import estimates as est
from bftembed.tune.diagnosis import tables
from bftembed.tune.diagnosis.confidences import checked_length, cut, score
from bftembed.tune.diagnosis.lexicon import default_lexicons
from bftembed.tune.diagnosis.result import Diagnosis
from bftembed.tune.diagnosis.settings import DiagnosisSettings

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bftembed.tune.diagnosis.confidences import Piece, TokenTrack
    from bftembed.tune.diagnosis.lexicon import Lexicon

__all__ = ["Diagnosis", "DiagnosisSettings", "analyse", "diagnose", "draw_pieces", "read_tracks"]
log = logging.getLogger("bftembed")
#: Corpora whose median windows differ in length by more than this factor are not compared without a warning.
_UNEQUAL = 1.25


def diagnose(
    corpora: Mapping[str, Sequence[str]],
    *,
    biomedical: Collection[str],
    model: str = "default",
    adapter: str | None = None,
    settings: DiagnosisSettings | None = None,
    lexicons: Sequence[Lexicon] | None = None,
    batch_size: int = 8,
    device: str | None = None,
    dtype: str | None = None,
) -> Diagnosis:
    """Compare how a model's low confidences stand in biomedical and in general text.

    Each window of a text is described by the share of its tokens that have a confidence below `settings.low` and by the
    longest run of them. With a share of at least `settings.density` it is in group B (dense) if the run has at least
    `settings.run` tokens, else in group A (sparse); with a smaller share it is in neither. Reported are the share of
    the windows that are in group B, the mean share of the biomedical corpora less that of the general ones, and per
    1,000 tokens the rate of the words of each lexicon in B over that in A, all over the grid of thresholds and with
    intervals from a bootstrap over texts, since the windows of a text are not independent.

    Parameters
    ----------
    corpora
        Name to plain texts.
    biomedical
        Names of those that are biomedical; the others are general.
    model, adapter, device, dtype
        As for `bftembed.engines.TransformersEngine`.
    settings
        Windows, thresholds, lengths of texts; see `DiagnosisSettings`.
    lexicons
        Words to count; by default `bftembed.tune.diagnosis.lexicon.default_lexicons`.
    batch_size
        Texts read together.

    Raises
    ------
    InputError
        If there is no corpus, a name in `biomedical` is not one of them, or a corpus has no text that is long enough.
    ModelError
        If there is no such model, or its log-probabilities cannot be taken.

    Examples
    --------
    >>> from bftembed.tune import diagnose
    >>> from bftembed.tune.diagnosis.settings import DiagnosisSettings
    >>> corpora = {
    ...     "genes": ["TP53 encodes a tumor suppressor that arrests the cell cycle when DNA is damaged."],
    ...     "news": ["The council met on Monday to talk about roads, schools and the budget of next year."],
    ... }
    >>> settings = DiagnosisSettings(skip=2, min_tokens=8, resamples=100)  # of two short texts
    >>> diagnosis = diagnose(corpora, biomedical=["genes"], settings=settings, lexicons=[])
    >>> diagnosis.table()["corpus"].tolist()
    ['genes', 'news', 'biomedical - general']
    """
    from bftembed.engines import TransformersEngine

    settings = settings or DiagnosisSettings()
    _check_names(corpora, biomedical)
    lexicons = default_lexicons() if lexicons is None else lexicons
    engine = TransformersEngine(model, adapter=adapter, device=device, dtype=dtype)
    network, tokenizer = engine.load()
    tracks = {
        name: read_tracks(network, tokenizer, texts, name=name, settings=settings, batch_size=batch_size)
        for name, texts in corpora.items()
    }
    return analyse(
        tracks,
        biomedical=biomedical,
        settings=settings,
        lexicons=lexicons,
        model={**engine.describe(), **engine.provenance()},
    )


def read_tracks(
    model: Any, tokenizer: Any, texts: Sequence[str], *, name: str, settings: DiagnosisSettings, batch_size: int = 8
) -> list[TokenTrack]:
    """Confidences of the pieces of a corpus that `draw_pieces` gives."""
    context = checked_length(model, settings.length + 1 if settings.length else None)
    return score(model, draw_pieces(tokenizer, texts, context, name=name, settings=settings), batch_size=batch_size)


def draw_pieces(
    tokenizer: Any, texts: Sequence[str], max_length: int, *, name: str, settings: DiagnosisSettings
) -> list[Piece]:
    """Texts cut and drawn as the settings say; what is left out is logged.

    With ``settings.length`` each text is cut into segments of exactly so many tokens, each read on its own, and what
    is left over is left out: windows of corpora can then be compared, as the longest run grows with the length of the
    window and confidences grow with what stands before. With ``settings.limit`` the first segments of all texts (in
    random order) come before their second ones, and so on.

    Raises
    ------
    InputError
        If no text is long enough.
    """
    pieces = cut(tokenizer, texts, max_length)
    kept = [piece for piece in pieces if len(piece.spans) >= settings.shortest]
    if not kept:
        raise _too_short(name, settings.shortest, max((len(piece.spans) for piece in pieces), default=0))
    drawn = kept if settings.limit is None else _first(kept, settings.limit, settings.seed)
    counts = f"{len(texts):,} texts in {len(pieces):,} pieces, {len(drawn):,} of them used"
    left_out = f"{len(pieces) - len(kept):,} have fewer than {settings.shortest:,} tokens"
    log.info("%s: %s; %s.", name, counts, left_out)
    return drawn


def analyse(
    tracks: Mapping[str, Sequence[TokenTrack]],
    *,
    biomedical: Collection[str],
    settings: DiagnosisSettings | None = None,
    lexicons: Sequence[Lexicon] | None = None,
    model: Mapping[str, str] | None = None,
) -> Diagnosis:
    """`diagnose` from confidences computed before, e.g. by `bftembed.tune.diagnosis.confidences.confidences`.

    Parameters
    ----------
    tracks
        Name of each corpus to its tracks; those that are too short are left out.
    biomedical, settings, lexicons
        As for `diagnose`.
    model
        What is to be kept about the model.

    Raises
    ------
    InputError
        As for `diagnose`.
    """
    settings = settings or DiagnosisSettings()
    _check_names(tracks, biomedical)
    lexicons = default_lexicons() if lexicons is None else lexicons
    lows, cells = np.asarray(settings.lows), tables.grid(settings)
    used, windows, counted = {}, {}, {}
    for index, (name, values) in enumerate(tracks.items()):
        used[name] = [track for track in values if len(track) >= settings.shortest]
        if not used[name]:
            raise _too_short(name, settings.shortest, max(map(len, values), default=0))
        # A stream of its own for each corpus, so that they are resampled independently.
        rng = np.random.default_rng([settings.seed, index])
        windows[name] = est.windows_of(
            *(used[name], lexicons),
            window=settings.window,
            stride=settings.step,
            skip=settings.skip,
            lows=lows,
            rng=rng,
        )
        counted[name] = est.count(windows[name], cells, n_resamples=settings.resamples, rng=rng)
    _warn_unequal(windows, settings.skip)
    return Diagnosis(
        settings=settings,
        model=dict(model or {}),
        corpora=tables.corpora_table(used, windows, biomedical),
        shares=tables.shares_table(counted, biomedical, settings),
        enrichment=tables.enrichment_table(counted, [lexicon.name for lexicon in lexicons], settings),
        windows=tables.windows_table(windows, settings),
        tracks=used,
    )


def _check_names(corpora: Collection[str], biomedical: Collection[str]) -> None:
    if not corpora:
        msg = "There is no corpus to diagnose."
        raise InputError(msg)
    if unknown := [name for name in biomedical if name not in corpora]:
        msg = f"`{unknown[0]}` is called biomedical but is not one of the corpora: {', '.join(corpora)}."
        raise InputError(msg)


def _too_short(name: str, shortest: int, longest: int) -> InputError:
    return InputError(f"No text of `{name}` has {shortest} tokens to predict: the longest has {longest}.")


def _first(pieces: list[Piece], limit: int, seed: int) -> list[Piece]:
    documents = sorted({piece.document for piece in pieces})
    order = np.random.default_rng(seed).permutation(len(documents))
    rank = dict(zip(documents, order.tolist(), strict=True))
    drawn = sorted(pieces, key=lambda piece: (piece.part, rank[piece.document]))[:limit]
    return sorted(drawn, key=lambda piece: (piece.document, piece.part))


def _warn_unequal(windows: Mapping[str, est.Windows], skip: int) -> None:
    sizes = {name: float(np.median(values.size)) for name, values in windows.items()}
    short, long = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
    if sizes[long] > _UNEQUAL * sizes[short]:
        msg = (
            f"The median window has {sizes[short]:g} tokens in `{short}` and {sizes[long]:g} in `{long}`, and longer "
            f"windows have longer runs by chance. Pass a `length` that both have, e.g. {int(sizes[short]) + skip}."
        )
        warn(msg)
