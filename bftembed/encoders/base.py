"""The contract of text encoders: long texts are split, never cut in silence."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from bftembed.errors import EncoderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_SENTENCE = re.compile(r".*?(?:[.!?][\"')\]*_]*(?:\s+|\Z)|\n+|\Z)", re.DOTALL)


class Encoder(ABC):
    """Somebody who turns texts into vectors.

    A back end implements `describe`, `window`, `count_tokens` and `_encode`. Like an engine it starts nothing before
    the first text has to be encoded.
    """

    #: Name of the back end, as in ``"sentence-transformers:MODEL"``.
    name: str

    @abstractmethod
    def describe(self) -> dict[str, str]:
        """Exactly what fixes the vectors, by content, without loading the weights: the key of the cache of vectors."""

    def provenance(self) -> dict[str, str]:
        """What a reader wants to know beside `describe`: names, revisions, versions. No part of a key."""
        return {}

    def in_current_terms(self, described: dict[str, str]) -> dict[str, str]:
        """What an earlier version of this package returned from `describe`, as `describe` would put it now."""
        return described

    def former_descriptions(self) -> list[dict[str, str]]:
        """What earlier versions of this package may have returned from `describe`: their vectors are found so."""
        return []

    @property
    @abstractmethod
    def window(self) -> int:
        """Most tokens of one text, special tokens left out."""

    @abstractmethod
    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens left out."""

    @abstractmethod
    def _encode(self, texts: Sequence[str], *, progress: bool | None) -> NDArray[np.float32]:
        """Vectors (n, d) of texts that fit into the window."""

    def encode(self, texts: Sequence[str], *, progress: bool | None = None) -> tuple[NDArray[np.float32], int]:
        """Encode texts of any length.

        A text longer than the window is split at sentence ends into parts that fit; its vector is the mean of its
        parts' vectors weighted by their tokens, scaled to the mean of their norms (so that it has unit length where
        the encoder gives unit vectors).

        Parameters
        ----------
        texts
            Non-empty texts.
        progress
            Show a bar; by default only on a terminal.

        Returns
        -------
        vectors
            float32, shape (n, d); (0, 0) without texts, since d is not known then.
        n_split
            How many texts were split.

        Raises
        ------
        EncoderError
            If a text is empty or the encoder gives something that is no finite vector.
        """
        if any(not text.strip() for text in texts):
            msg = "An empty text cannot be encoded; leave it out."
            raise EncoderError(msg)
        if not texts:
            return np.empty((0, 0), dtype=np.float32), 0
        lengths = self.count_tokens(texts)
        owners, parts, weights = [], [], []
        for owner, (text, length) in enumerate(zip(texts, lengths, strict=True)):
            pieces = [(text, length)] if length <= self.window else self._split(text)
            for piece, tokens in pieces:
                owners.append(owner)
                parts.append(piece)
                weights.append(max(tokens, 1))
        vectors = self._encode(parts, progress=progress)
        if vectors.shape[0] != len(parts) or vectors.ndim != 2 or not np.isfinite(vectors).all():
            msg = f"The encoder `{self.name}` gave an array of shape {vectors.shape} for {len(parts)} texts, or NaN."
            raise EncoderError(msg)
        return _pool(vectors, np.array(owners), np.array(weights, dtype=np.float64), len(texts))

    def _split(self, text: str) -> list[tuple[str, int]]:
        """Parts of at most `window` tokens, cut at sentence ends, or between words where a sentence is longer."""
        sentences = [sentence for sentence in _SENTENCE.findall(text) if sentence.strip()]
        pieces: list[tuple[str, int]] = []
        for sentence, length in zip(sentences, self.count_tokens(sentences), strict=True):
            units = [(sentence, length)] if length <= self.window else self._halve(sentence)
            for unit, tokens in units:
                if pieces and pieces[-1][1] + tokens <= self.window:
                    pieces[-1] = (pieces[-1][0] + unit, pieces[-1][1] + tokens)
                else:
                    pieces.append((unit, tokens))
        # Tokens of a joined text need not be the sum of its parts' tokens: what came out too long is cut once more.
        joined = self.count_tokens([piece for piece, _ in pieces])
        return [
            unit
            for (piece, _), tokens in zip(pieces, joined, strict=True)
            for unit in ([(piece, tokens)] if tokens <= self.window else self._halve(piece))
        ]

    def _halve(self, text: str) -> list[tuple[str, int]]:
        """Cut in the middle, between words where there are any, until every part fits."""
        tokens = self.count_tokens([text])[0]
        if tokens <= self.window or len(text) < 2:
            return [(text, tokens)]
        middle = text.rfind(" ", 1, len(text) // 2 + 1)
        middle = middle if middle > 0 else len(text) // 2
        return [part for half in (text[:middle], text[middle:]) if half.strip() for part in self._halve(half)]


def _pool(
    vectors: NDArray[np.float32], owners: NDArray[np.int_], weights: NDArray[np.float64], n: int
) -> tuple[NDArray[np.float32], int]:
    """Token-weighted mean of the parts of each text."""
    counts = np.bincount(owners, minlength=n)
    if (counts == 1).all():
        return vectors, 0
    total = np.bincount(owners, weights, minlength=n)[:, None]
    pooled = np.zeros((n, vectors.shape[1]))
    np.add.at(pooled, owners, vectors * weights[:, None])
    pooled /= total
    norm = np.bincount(owners, weights * np.linalg.norm(vectors, axis=1), minlength=n)[:, None] / total
    length = np.linalg.norm(pooled, axis=1, keepdims=True)
    scaled = pooled * np.divide(norm, length, out=np.ones_like(norm), where=length > 0)
    split = counts > 1
    result = np.empty((n, vectors.shape[1]), dtype=np.float32)
    result[split] = scaled[split]
    result[~split] = vectors[~split[owners]]
    return result, int(split.sum())
