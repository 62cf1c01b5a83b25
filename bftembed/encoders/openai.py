"""Vectors from any server that speaks the OpenAI embeddings protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from bftembed._openai import open_client, server_address
from bftembed._optional import require
from bftembed.encoders.base import Encoder
from bftembed.errors import EncoderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_BYTES_PER_TOKEN = 2


class OpenAIEncoder(Encoder):
    """A model behind ``/v1/embeddings``.

    The protocol does not tell the model's tokenizer, so tokens are counted as UTF-8 bytes / 2, which is more than
    tokenizers make of English or of gene names; set `window` to the model's.

    Parameters
    ----------
    model
        ``MODEL@http://host:port/v1``, or the model's name beside `base_url`.
    base_url
        Address of the server; by default what follows ``@``, else ``OPENAI_BASE_URL``.
    api_key
        By default ``OPENAI_API_KEY``; local servers need none.
    window
        Most tokens of one text.
    batch_size
        Texts of one request.
    timeout
        Seconds for one attempt.
    max_retries
        Attempts after the first.
    """

    name = "openai"

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        window: int = 512,
        batch_size: int = 64,
        timeout: float = 120.0,
        max_retries: int = 4,
    ) -> None:
        self._model, self._url = server_address(model, base_url)
        self._client_options: dict[str, Any] = {"api_key": api_key, "timeout": timeout, "max_retries": max_retries}
        self._window = window
        self._batch_size = batch_size

    def describe(self) -> dict[str, str]:
        """Model, address and window."""
        return {"encoder": self.name, "model": self._model, "server": self._url, "window": str(self._window)}

    @property
    def window(self) -> int:
        """Most tokens of one text."""
        return self._window

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """UTF-8 bytes / 2, rounded up: an upper bound for common text."""
        return [-(-len(text.encode()) // _BYTES_PER_TOKEN) for text in texts]

    def _encode(self, texts: Sequence[str], *, progress: bool | None) -> NDArray[np.float32]:
        openai = require("openai")
        rows: list[NDArray[np.float32]] = []
        with open_client(self._url, **self._client_options) as client:
            starts = range(0, len(texts), self._batch_size)
            for start in tqdm(starts, desc="encode", disable=None if progress is None else not progress):
                part = list(texts[start : start + self._batch_size])
                try:
                    answer = client.embeddings.create(model=self._model, input=part, encoding_format="float")
                    found = {item.index: np.asarray(item.embedding, dtype=np.float32) for item in answer.data}
                except openai.OpenAIError as error:
                    msg = f"The server at {self._url} gave no embeddings: {type(error).__name__}: {error}"
                    raise EncoderError(msg) from error
                except (ValueError, AttributeError, TypeError) as error:
                    msg = f"The answer of {self._url} holds no embeddings ({type(error).__name__}: {error})."
                    raise EncoderError(msg) from error
                if set(found) != set(range(len(part))):
                    msg = f"The server at {self._url} gave {len(found)} vectors for {len(part)} texts, or miscounted."
                    raise EncoderError(msg)
                rows += [found[index] for index in range(len(part))]
        if len({row.shape for row in rows}) > 1:
            msg = f"The server at {self._url} gave vectors of different lengths."
            raise EncoderError(msg)
        return np.stack(rows)
