"""Engine and encoder of a run that is done: they say what the real ones say and hand out what workers have made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bftembed.encoders import Encoder
from bftembed.engines import Completion, Engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from bftembed._progress import Progress
    from bftembed.engines import Request, Sampling
    from bftembed.profiles import ProfileStore


class FinishedEngine(Engine):
    """Has no model: all texts are in the store, and the errors of those that failed are repeated.

    Parameters
    ----------
    engine
        The one that the workers had.
    store
        With the texts and errors of the workers.
    """

    def __init__(self, engine: Engine, store: ProfileStore) -> None:
        self._engine, self._store = engine, store
        self.name, self.generates, self.template = engine.name, engine.generates, engine.template

    def _generate(self, requests: list[Request], sampling: Sampling) -> Iterator[list[Completion]]:
        known = self._store.get(request.id for request in requests)
        errors = {key: profile.error for key, profile in known.items()}
        yield [
            Completion(request.id, "", "error", error=errors.get(request.id) or "not answered") for request in requests
        ]

    def describe(self) -> dict[str, str]:
        """As the real one."""
        return self._engine.describe()

    def provenance(self) -> dict[str, str]:
        """As the real one."""
        return self._engine.provenance()

    def in_current_terms(self, described: dict[str, str]) -> dict[str, str]:
        """As the real one."""
        return self._engine.in_current_terms(described)


class FinishedEncoder(Encoder):
    """Has the vectors of the workers; another text is encoded by the real one.

    Parameters
    ----------
    encoder
        The one that the workers had.
    vectors
        By text its vector, float32 (d,), and whether it was split.
    """

    cached = False

    def __init__(self, encoder: Encoder, vectors: Mapping[str, tuple[NDArray[np.float32], bool]]) -> None:
        self._encoder, self._vectors = encoder, vectors
        self.name, self.spec = encoder.name, encoder.spec
        self.prompt, self.query_prompt = encoder.prompt, encoder.query_prompt

    def encode(
        self, texts: Sequence[str], *, query: bool = False, progress: bool | Progress | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Vectors (n, d) of texts, and which of them were split, bool (n,)."""
        if query or not all(text in self._vectors for text in texts):
            return self._encoder.encode(texts, query=query, progress=progress)
        return self._encode(texts, query=query), np.array([self._vectors[text][1] for text in texts], dtype=bool)

    def _encode(self, texts: Sequence[str], *, query: bool) -> NDArray[np.float32]:
        return np.stack([self._vectors[text][0] for text in texts])

    def describe(self) -> dict[str, str]:
        """As the real one."""
        return self._encoder.describe()

    def provenance(self) -> dict[str, str]:
        """As the real one."""
        return self._encoder.provenance()

    @property
    def max_seq_length(self) -> int:
        """As of the real one."""
        return self._encoder.max_seq_length

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """As the real one."""
        return self._encoder.count_tokens(texts)
