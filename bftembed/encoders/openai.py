"""Vectors from any server that speaks the OpenAI embeddings protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed._near import check_number
from bftembed._openai import open_client, said_by, server_address
from bftembed._optional import require
from bftembed.encoders.base import Encoder
from bftembed.errors import EncoderError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

_BYTES_PER_TOKEN = 2


class OpenAIEncoder(Encoder):
    """A model behind ``/v1/embeddings``.

    The protocol does not tell the model's tokenizer, so tokens are counted as UTF-8 bytes / 2, which is more than
    tokenizers make of English or of gene names; set `max_seq_length` to the model's.

    Parameters
    ----------
    model
        ``MODEL@http://host:port/v1``, or the model's name beside `base_url`.
    base_url
        Address of the server; by default what follows ``@``, else ``OPENAI_BASE_URL``.
    api_key
        By default ``OPENAI_API_KEY``; local servers need none.
    max_seq_length
        Most tokens of one text with its prompt.
    prompt
        Words before every text, e.g. ``"passage: "``; the server adds none.
    query_prompt
        Words before a text that is searched for, e.g. ``"query: "``; by default `prompt`.
    batch_size
        Texts of one request.
    timeout
        Seconds for one attempt.
    max_retries
        Attempts after the first.

    Examples
    --------
    >>> from bftembed.encoders import get_encoder
    >>> encoder = get_encoder("openai:BAAI/bge-m3@http://localhost:8000/v1", max_seq_length=8192)  # not asked yet
    >>> encoder.count_tokens(["TP53 guards the genome."])
    [12]
    """

    name = "openai"

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        max_seq_length: int = 512,
        prompt: str = "",
        query_prompt: str | None = None,
        batch_size: int = 64,
        timeout: float = 120.0,
        max_retries: int = 4,
    ) -> None:
        check_number("max_seq_length", max_seq_length, least=1, whole=True)
        check_number("batch_size", batch_size, least=1, whole=True)
        check_number("timeout", timeout, least=0, above=True)
        check_number("max_retries", max_retries, least=0, whole=True)
        self._model, self._url = server_address(model, base_url)
        self._client_options: dict[str, Any] = {"api_key": api_key, "timeout": timeout, "max_retries": max_retries}
        self.spec = f"{self.name}:{self._model}@{self._url}"
        self.prompt, self.query_prompt = prompt, prompt if query_prompt is None else query_prompt
        self._max_seq_length = max_seq_length
        self._batch_size = batch_size

    def describe(self) -> dict[str, str]:
        """Model, address, length at which texts are split, and the prompt where there is one."""
        described = {"encoder": self.name, "model": self._model, "server": self._url}
        # Kept under its first name: cached vectors are found by it.
        return {**described, "window": str(self._max_seq_length), **({"prompt": self.prompt} if self.prompt else {})}

    @property
    def max_seq_length(self) -> int:
        """Most tokens of one text with its prompt."""
        return self._max_seq_length

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """UTF-8 bytes / 2, rounded up: an upper bound for common text."""
        return [-(-len(text.encode()) // _BYTES_PER_TOKEN) for text in texts]

    def _encode(self, texts: Sequence[str], *, query: bool) -> Iterator[NDArray[np.float32]]:
        openai = require("openai")
        prompt = self.query_prompt if query else self.prompt
        lengths: set[tuple[int, ...]] = set()
        with open_client(self._url, **self._client_options) as client:
            for start in range(0, len(texts), self._batch_size):
                part = [prompt + text for text in texts[start : start + self._batch_size]]
                try:
                    answer = client.embeddings.create(model=self._model, input=part, encoding_format="float")
                    found = {item.index: np.asarray(item.embedding, dtype=np.float32) for item in answer.data}
                except openai.OpenAIError as error:
                    msg = f"The server at {self._url} gave no embeddings: {said_by(error)}"
                    raise EncoderError(msg) from error
                except (ValueError, AttributeError, TypeError) as error:
                    msg = f"The answer of {self._url} holds no embeddings ({type(error).__name__}: {error})."
                    raise EncoderError(msg) from error
                if set(found) != set(range(len(part))):
                    msg = f"The server at {self._url} gave {len(found)} vectors for {len(part)} texts, or miscounted."
                    raise EncoderError(msg)
                lengths |= {vector.shape for vector in found.values()}
                if len(lengths) > 1:
                    msg = f"The server at {self._url} gave vectors of different lengths."
                    raise EncoderError(msg)
                yield np.stack([found[index] for index in range(len(part))])
