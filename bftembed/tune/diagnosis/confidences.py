"""Teacher forcing: the probability that a model gives to each token of a text, having read what stands before it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed._progress import progress
from bftembed.errors import InputError, ModelError
from bftembed.models.causal import context_window

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger("bftembed")


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Part of a text that a model reads at once: one token of context, then the tokens to predict.

    Attributes
    ----------
    document, part
        Which text, and which part of it.
    text
        The whole text.
    inputs
        (1 + n,), int32: the context, which is the token that opens a text where the tokenizer adds one, else the token
        before; then the tokens.
    spans
        (n, 2), int32: first character of each token in `text`, and the one after its last.
    """

    document: int
    part: int
    text: str
    inputs: np.ndarray
    spans: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class TokenTrack:
    """Confidences along a text, or along one part of a text that is longer than a model reads at once.

    Attributes
    ----------
    document, part
        Which text, and which part of it.
    text
        The whole text.
    token_ids
        (n,), int32.
    spans
        (n, 2), int32: first character of each token in `text`, and the one after its last.
    confidence
        (n,), float32, in [0, 1]: the model's probability of the token.
    """

    document: int
    part: int
    text: str
    token_ids: np.ndarray
    spans: np.ndarray
    confidence: np.ndarray

    def __len__(self) -> int:
        return len(self.token_ids)


def confidences(
    model: Any, tokenizer: Any, texts: Sequence[str], *, batch_size: int = 8, max_length: int | None = None
) -> list[TokenTrack]:
    """Confidence of every token of plain texts, by teacher forcing.

    The first token of a text is predicted only if the tokenizer opens texts with a token of its own. A text of more
    than `max_length` tokens is cut into parts that do not overlap, each read on its own; how many is logged. Logits are
    made in chunks and never held for a whole batch.

    Parameters
    ----------
    model
        A causal language model of transformers, or a PEFT model; its forward is extended by `add_logprob_head`.
    tokenizer
        Its tokenizer, a fast one.
    texts
        Plain texts; all of a text is predicted.
    batch_size
        Texts read together.
    max_length
        Tokens that the model reads at once; by default as many as it can.

    Returns
    -------
    One track per text in the order of the texts, or several in a row for a text that was cut. A text with nothing to
    predict has an empty track.

    Raises
    ------
    InputError
        If `batch_size` is below 1, or `max_length` is below 2 or beyond the model's context.
    ModelError
        If the tokenizer does not say which characters a token stands for.
    """
    return score(model, cut(tokenizer, texts, checked_length(model, max_length)), batch_size=batch_size)


def checked_length(model: Any, max_length: int | None) -> int:
    """Tokens that a model reads at once: `max_length`, or all of its context."""
    context = context_window(model) or 1 << 30
    if max_length is not None and not 2 <= max_length <= context:
        msg = f"{max_length} tokens cannot be read at once; between 2 and the model's context of {context} can."
        raise InputError(msg)
    return max_length or context


def cut(tokenizer: Any, texts: Sequence[str], max_length: int) -> list[Piece]:
    """Tokenise texts and cut them into pieces of at most `max_length` tokens, the one of context included."""
    if not getattr(tokenizer, "is_fast", False):
        msg = f"`{type(tokenizer).__name__}` does not say which characters a token stands for; a fast tokenizer does."
        raise ModelError(msg)
    opening = _opening(tokenizer)
    pieces: list[Piece] = []
    n_cut = 0
    for document, text in enumerate(texts):
        encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ids = np.asarray([*opening, *encoding["input_ids"]], dtype=np.int32)
        spans = np.asarray(encoding["offset_mapping"], dtype=np.int32).reshape(-1, 2)[1 - len(opening) :]
        n_cut += len(ids) > max_length
        for part, begin in enumerate(range(0, max(len(spans), 1), max_length - 1)):
            predicted = slice(begin, begin + max_length - 1)
            context = ids[:1] if opening else ids[begin : begin + 1]
            inputs = np.concatenate([context, ids[1:][predicted]])
            pieces.append(Piece(document, part, text, inputs, spans[predicted]))
    if n_cut:
        log.info(
            "%s of %s texts have more than %s tokens to predict and were cut.",
            *(f"{number:,}" for number in (n_cut, len(texts), max_length - 1)),
        )
    return pieces


def score(model: Any, pieces: Sequence[Piece], *, batch_size: int = 8) -> list[TokenTrack]:
    """Let a model read pieces, the longest first; the tracks come in the order of the pieces."""
    from bftembed.tune.loss.head import add_logprob_head

    if batch_size < 1:
        msg = f"`batch_size` is {batch_size}; it has to be at least 1."
        raise InputError(msg)
    add_logprob_head(model)
    model.eval()
    # The longest first: where memory does not suffice, that shows at once.
    order = sorted((i for i, piece in enumerate(pieces) if len(piece.spans)), key=lambda i: -len(pieces[i].spans))
    values = [np.empty(0, dtype=np.float32)] * len(pieces)
    with progress(len(order), "confidences", "text") as bar:
        for begin in range(0, len(order), batch_size):
            batch = order[begin : begin + batch_size]
            for index, confidence in zip(batch, _read(model, [pieces[i].inputs for i in batch]), strict=True):
                values[index] = confidence
            bar.update(len(batch))
    return [
        TokenTrack(p.document, p.part, p.text, p.inputs[1:], p.spans, confidence)
        for p, confidence in zip(pieces, values, strict=True)
    ]


def _read(model: Any, inputs: list[np.ndarray]) -> list[np.ndarray]:
    import torch

    from bftembed.tune.data.dataset import Collator
    from bftembed.tune.loss.head import supervised_logprobs
    from bftembed.tune.loss.places import located

    # Every token is supervised; padding is masked, so that any id will do for it.
    samples = [{"input_ids": ids.astype(np.int64), "labels": ids.astype(np.int64)} for ids in inputs]
    batch = {key: value.to(model.device) for key, value in located(Collator(pad_token_id=0)(samples)).items()}
    with torch.inference_mode():
        values, lengths = supervised_logprobs(model, batch)
    flat = values.logprobs.clamp(max=0).exp().float().cpu().numpy()
    return np.split(flat, np.cumsum(lengths.cpu().numpy())[:-1])


def _opening(tokenizer: Any) -> list[int]:
    """The token that the tokenizer puts before a text, if it does."""
    ids = tokenizer("a")["input_ids"]
    return [ids[0]] if ids and tokenizer.bos_token_id is not None and ids[0] == tokenizer.bos_token_id else []
