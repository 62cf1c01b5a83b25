"""Texts read once by the untuned model, in parts that a killed run goes on from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bftembed._files import replacing
from bftembed.errors import InputError
from bftembed.tune.diagnosis.confidences import TokenTrack, checked_length, cut, score

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bftembed.engines import TransformersEngine

_PART = 32


def read_texts(
    engine: TransformersEngine, texts: Sequence[str], *, max_length: int, batch_size: int, place: Path
) -> list[TokenTrack]:
    """Confidence of every token of texts, as `bftembed.tune.diagnosis.confidences.confidences` has it.

    Parameters
    ----------
    engine
        The model.
    texts
        Of each, what is beyond `max_length` tokens is left out, as in training.
    max_length, batch_size
        Tokens read of a text, and texts read together.
    place
        Directory for the confidences of 32 texts at a time; those that lie there are not read again.

    Raises
    ------
    InputError
        If no text has a token to predict, or the model reads fewer tokens at once.
    """
    network, tokenizer = engine.load()
    pieces = [piece for piece in cut(tokenizer, texts, checked_length(network, max_length)) if piece.part == 0]
    pieces = [piece for piece in pieces if len(piece.spans)]
    if not pieces:
        msg = f"None of {len(texts)} texts has a token to predict."
        raise InputError(msg)
    place.mkdir(parents=True, exist_ok=True)
    tracks = []
    for begin in range(0, len(pieces), _PART):
        part = pieces[begin : begin + _PART]
        file = place / f"confidence-{begin}.npy"
        if not file.exists():
            read = score(network, part, batch_size=batch_size)
            with replacing(file) as made, made.open("wb") as stream:
                np.save(stream, np.concatenate([track.confidence for track in read]))
        found = np.split(np.load(file), np.cumsum([len(piece.spans) for piece in part])[:-1])
        tracks += [
            TokenTrack(piece.document, piece.part, piece.text, piece.inputs[1:], piece.spans, confidence)
            for piece, confidence in zip(part, found, strict=True)
        ]
    return tracks
