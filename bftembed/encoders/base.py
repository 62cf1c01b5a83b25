"""The contract of text encoders: long texts are split, never cut in silence."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np

from bftembed._progress import Progress, progress
from bftembed.errors import EncoderError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

_SENTENCE = re.compile(r".*?(?:[.!?][\"')\]*_]*(?:\s+|\Z)|\n+|\Z)", re.DOTALL)


class Encoder(ABC):
    """A model that turns texts into vectors.

    A back end implements `describe`, `max_seq_length`, `count_tokens` and `_encode`. Like an engine it loads nothing
    before the first text has to be encoded.

    Attributes
    ----------
    prompt
        Stands before every text that is encoded, e.g. ``"passage: "``.
    query_prompt
        Stands before a text that is searched for, e.g. ``"query: "``.
    spec
        What `get_encoder` makes this encoder from, without its options; ``""`` where it cannot.

    Examples
    --------
    An encoder of your own:

    >>> import numpy as np
    >>> from bftembed.encoders import Encoder
    >>> class Letters(Encoder):
    ...     name = "letters"
    ...     max_seq_length = 1000
    ...     def describe(self):
    ...         return {"encoder": self.name}
    ...     def count_tokens(self, texts):
    ...         return [len(text) for text in texts]
    ...     def _encode(self, texts, *, query):
    ...         return np.array([[text.count(letter) for letter in "ACGT"] for text in texts], dtype=np.float32)
    >>> Letters().encode(["GATTACA"])[0].tolist()
    [[3.0, 1.0, 1.0, 2.0]]
    """

    #: Name of the back end, as in ``"sentence-transformers:MODEL"``.
    name: str
    spec: str = ""
    #: Whether vectors are worth keeping in the cache.
    cached: bool = True
    prompt: str = ""
    query_prompt: str = ""

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
    def max_seq_length(self) -> int:
        """Most tokens of one text with its prompt, special tokens left out."""

    @abstractmethod
    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens left out."""

    @abstractmethod
    def _encode(self, texts: Sequence[str], *, query: bool) -> Iterable[NDArray[np.float32]]:
        """Vectors of texts that fit, with `query_prompt` or `prompt` before each; those of most tokens come first.

        An array of shape (n, d), or arrays of some rows each, in the order of the texts, as they come.
        """

    def record(self) -> dict[str, str]:
        """`describe`, `provenance`, and what `restore_encoder` needs besides: what is kept beside an embedding."""
        query = {"query_prompt": self.query_prompt} if self.query_prompt != self.prompt else {}
        return {**self.describe(), **self.provenance(), "spec": self.spec, **query}

    def encode(
        self, texts: Sequence[str], *, query: bool = False, progress: bool | Progress | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Encode texts of any length.

        A text longer than the model takes is split at sentence ends into parts that fit; its vector is the mean of its
        parts' vectors weighted by their tokens, scaled to the mean of their norms (so that it has unit length where
        the encoder gives unit vectors).

        Parameters
        ----------
        texts
            n non-empty texts.
        query
            Whether they are searched for, and so get `query_prompt` in place of `prompt`.
        progress
            Show a bar; by default a bar on a terminal or in a notebook, else a line in the log every 30 s.

        Returns
        -------
        vectors
            float32, shape (n, d); (0, 0) without texts, since d is not known then.
        split
            Which texts were split; bool, shape (n,).

        Raises
        ------
        EncoderError
            If a text is empty, the prompt leaves no tokens for a text, or the encoder gives something that is no finite
            vector.
        """
        if any(not text.strip() for text in texts):
            msg = "An empty text cannot be encoded; leave it out."
            raise EncoderError(msg)
        if not texts:
            return np.empty((0, 0), dtype=np.float32), np.empty(0, dtype=bool)
        owners, parts, weights = self._parts(texts, query=query)
        # Texts of as many tokens beside each other need no padding; as many characters can be half as many tokens.
        order = np.argsort([-tokens for tokens in weights], kind="stable")
        with nullcontext(progress) if isinstance(progress, Progress) else encoding(len(texts), show=progress) as bar:
            vectors = self._gather([parts[i] for i in order], len(texts), bar, query=query)
        if vectors.shape[0] != len(parts) or vectors.ndim != 2 or not np.isfinite(vectors).all():
            msg = f"The encoder `{self.name}` gave an array of shape {vectors.shape} for {len(parts)} texts, or NaN."
            raise EncoderError(msg)
        back = np.argsort(order)
        return _pool(vectors[back], np.array(owners), np.array(weights, dtype=np.float64), len(texts))

    def _gather(self, parts: Sequence[str], n: int, bar: Progress, *, query: bool) -> NDArray[np.float32]:
        """Vectors of the parts of `n` texts, counted while they come."""
        made = self._encode(parts, query=query)
        blocks: list[NDArray[np.float32]] = []
        done = 0
        for block in [made] if isinstance(made, np.ndarray) else made:
            blocks.append(block)
            before, done = done, done + len(block)
            bar.update(done * n // len(parts) - before * n // len(parts))
        alike = len({block.shape[1:] for block in blocks}) == 1
        return np.concatenate(blocks) if alike else np.empty((len(blocks), 0, 0), dtype=np.float32)

    def _parts(self, texts: Sequence[str], *, query: bool) -> tuple[list[int], list[str], list[int]]:
        """Number of its text, words and tokens of every part."""
        prompt = self.query_prompt if query else self.prompt
        *lengths, taken = self.count_tokens([*texts, prompt])
        if (budget := self.max_seq_length - taken) < 1:
            msg = f"The prompt {prompt[:80]!r} takes all {self.max_seq_length} tokens that `{self.name}` can encode."
            raise EncoderError(msg)
        pieces = [
            [(text, length)] if length <= budget else self._split(text, budget)
            for text, length in zip(texts, lengths, strict=True)
        ]
        owners = [owner for owner, of_text in enumerate(pieces) for _ in of_text]
        parts, tokens = zip(*(piece for of_text in pieces for piece in of_text), strict=True)
        return owners, list(parts), [max(n, 1) for n in tokens]

    def _split(self, text: str, budget: int) -> list[tuple[str, int]]:
        """Parts of at most `budget` tokens, cut at sentence ends, or between words where a sentence is longer."""
        sentences = [sentence for sentence in _SENTENCE.findall(text) if sentence.strip()]
        pieces: list[tuple[str, int]] = []
        for sentence, length in zip(sentences, self.count_tokens(sentences), strict=True):
            units = [(sentence, length)] if length <= budget else self._halve(sentence, budget)
            for unit, tokens in units:
                if pieces and pieces[-1][1] + tokens <= budget:
                    pieces[-1] = (pieces[-1][0] + unit, pieces[-1][1] + tokens)
                else:
                    pieces.append((unit, tokens))
        # Tokens of a joined text need not be the sum of its parts' tokens: what came out too long is cut once more.
        joined = self.count_tokens([piece for piece, _ in pieces])
        return [
            unit
            for (piece, _), tokens in zip(pieces, joined, strict=True)
            for unit in ([(piece, tokens)] if tokens <= budget else self._halve(piece, budget))
        ]

    def _halve(self, text: str, budget: int) -> list[tuple[str, int]]:
        """Cut in the middle, between words where there are any, until every part fits."""
        tokens = self.count_tokens([text])[0]
        if tokens <= budget or len(text) < 2:
            return [(text, tokens)]
        middle = text.rfind(" ", 1, len(text) // 2 + 1)
        middle = middle if middle > 0 else len(text) // 2
        return [part for half in (text[:middle], text[middle:]) if half.strip() for part in self._halve(half, budget)]


def encoding(n: int, *, show: bool | None) -> AbstractContextManager[Progress]:
    """Progress of the encoding of `n` texts."""
    return progress(n, "encoding", "text", show=show)


def _pool(
    vectors: NDArray[np.float32], owners: NDArray[np.int_], weights: NDArray[np.float64], n: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Token-weighted mean of the parts of each text, and which texts have several."""
    split = np.bincount(owners, minlength=n) > 1
    if not split.any():
        return vectors, split
    total = np.bincount(owners, weights, minlength=n)[:, None]
    pooled = np.zeros((n, vectors.shape[1]))
    np.add.at(pooled, owners, vectors * weights[:, None])
    pooled /= total
    norm = np.bincount(owners, weights * np.linalg.norm(vectors, axis=1), minlength=n)[:, None] / total
    length = np.linalg.norm(pooled, axis=1, keepdims=True)
    scaled = pooled * np.divide(norm, length, out=np.ones_like(norm), where=length > 0)
    result = np.empty((n, vectors.shape[1]), dtype=np.float32)
    result[split] = scaled[split]
    result[~split] = vectors[~split[owners]]
    return result, split
