"""Samples as tokens: what is supervised, what is cut, and how a batch is laid out."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bftembed.errors import DataError
from bftembed.models.chat import fixed_date, with_system
from bftembed.tune.data.samples import read_samples
from bftembed.tune.loss.places import IGNORED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

log = logging.getLogger("bftembed")


@dataclass(frozen=True)
class DataReport:
    """What became of the samples of a file: counts of samples and tokens."""

    samples: int
    tokens: int
    supervised_tokens: int
    median_supervised: float
    truncated: int
    dropped: int

    def __str__(self) -> str:
        text = f"{self.samples:,} samples, {self.tokens:,} tokens, {self.supervised_tokens:,} of them supervised"
        text += f" (median {self.median_supervised:g} per sample)"
        if self.truncated:
            text += f"; {self.truncated:,} samples cut to the maximum length"
        if self.dropped:
            text += f"; {self.dropped:,} samples dropped, as nothing supervised is left of them"
        return text


class TokenDataset(torch.utils.data.Dataset[dict[str, Any]]):
    """Tokenised samples in flat arrays, five bytes per token: ids (int32) and whether they are supervised (bool)."""

    def __init__(self, encoded: Iterable[tuple[Sequence[int], Sequence[bool]]], *, max_length: int) -> None:
        ids: list[np.ndarray] = []
        masks: list[np.ndarray] = []
        truncated = dropped = 0
        for tokens, supervised in encoded:
            # The first token is predicted from nothing.
            mask = np.asarray(supervised[:max_length], dtype=bool)
            mask[:1] = False
            if not mask.any():
                dropped += 1
                continue
            truncated += len(tokens) > max_length
            ids.append(np.asarray(tokens[:max_length], dtype=np.int32))
            masks.append(mask)
        if not ids:
            msg = (
                f"Nothing is supervised in any of {dropped} samples: their responses are empty, or `max_length` "
                f"({max_length}) cuts them off."
            )
            raise DataError(msg)
        self._borders = np.cumsum([0, *map(len, ids)])
        self._ids, self._mask = np.concatenate(ids), np.concatenate(masks)
        counts = [int(mask.sum()) for mask in masks]
        self.report = DataReport(len(ids), len(self._ids), sum(counts), float(np.median(counts)), truncated, dropped)

    @property
    def highest_token(self) -> int:
        """The largest token id, which has to lie inside the model's vocabulary."""
        return int(self._ids.max())

    @property
    def longest(self) -> int:
        """Tokens of the longest sample, which has to fit into the model's context."""
        return int(np.diff(self._borders).max())

    @property
    def digest(self) -> str:
        """Begin of the SHA-256 of the tokens, of what is supervised and of where samples end."""
        parts = (self._ids, self._mask, self._borders)
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:16]

    def __len__(self) -> int:
        return len(self._borders) - 1

    def __getitem__(self, index: int) -> dict[str, Any]:
        part = slice(self._borders[index], self._borders[index + 1])
        ids = self._ids[part].astype(np.int64)
        return {"input_ids": ids, "labels": np.where(self._mask[part], ids, IGNORED)}


def load_dataset(path: str | Path, tokenizer: Any, *, max_length: int, split: str = "train") -> TokenDataset:
    """Read and tokenise training data; what is cut or dropped is counted in ``.report`` and logged.

    Parameters
    ----------
    path, split
        As for `read_samples`.
    tokenizer
        The model's tokenizer. With a chat template, messages are laid out by it, exactly as a prompt is when the model
        is asked; without, the texts of the turns stand one after another, separated by an empty line.
    max_length
        Tokens that are kept of a sample.

    Raises
    ------
    DataError
        If a row is broken or nothing is supervised.
    """
    dataset = TokenDataset(
        (encode(sample, tokenizer, place) for place, sample in read_samples(path, split=split)), max_length=max_length
    )
    log.info("%s: %s.", path, dataset.report)
    return dataset


def encode(
    sample: list[dict[str, str]] | str, tokenizer: Any, place: str = "the sample"
) -> tuple[list[int], list[bool]]:
    """Tokens of a sample and which of them are supervised: the assistant's turns with their end, or a whole text.

    Nothing is supervised where these say nothing: their end alone would teach the model to be silent.
    """
    says = [sample] if isinstance(sample, str) else [turn["content"] for turn in sample if turn["role"] == "assistant"]
    ids, supervised = _encode(sample, tokenizer, place)
    return ids, supervised if any(map(str.strip, says)) else [False] * len(ids)


def _encode(sample: list[dict[str, str]] | str, tokenizer: Any, place: str) -> tuple[list[int], list[bool]]:
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    if isinstance(sample, str):
        ids = [*tokenizer(sample)["input_ids"], *end]
        return ids, [True] * len(ids)
    if tokenizer.chat_template:
        return _encode_chat(with_system(sample, tokenizer), tokenizer, place)
    # As the engines of this package ask a model without a template.
    prompt = "".join(f"{message['content']}\n\n" for message in sample[:-1])
    ids = list(tokenizer(prompt)["input_ids"]) if prompt else []
    response = [*tokenizer(sample[-1]["content"], add_special_tokens=False)["input_ids"], *end]
    return [*ids, *response], [False] * len(ids) + [True] * len(response)


def _encode_chat(messages: list[dict[str, str]], tokenizer: Any, place: str) -> tuple[list[int], list[bool]]:
    ids: list[int] = []
    supervised: list[bool] = []
    last = len(messages) - 1
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        prompt = render(messages[:index], tokenizer, place, prompt=True)
        whole = render(messages[: index + 1], tokenizer, place, prompt=False)
        shared = _common_prefix(prompt, whole)
        if index == last:
            # Templates of reasoning models open the answer in the prompt ("<think>") and drop that from the finished
            # turn. What is learned has to follow what the model will be given when it is asked.
            whole = prompt + whole[shared:]
            shared = len(prompt)
        if ids != whole[: len(ids)] or shared < len(ids):
            msg = (
                f"The chat template changes earlier turns when later ones follow (found in {place}); "
                "make each turn of the assistant a sample of its own."
            )
            raise DataError(msg)
        turn = _turn_length(whole[shared:], tokenizer)
        # What a template writes after a turn's end, a line break as a rule, comes from no model.
        supervised += [False] * (shared - len(ids)) + [True] * turn + [False] * (len(whole) - shared - turn)
        ids = whole
    return (ids[: shared + turn], supervised[: shared + turn])


def render(messages: list[dict[str, str]], tokenizer: Any, place: str, *, prompt: bool) -> list[int]:
    """Tokens of a chat, with the opening of the answer if it is a `prompt`.

    Raises
    ------
    DataError
        If the chat template refuses the messages, e.g. as the assistant begins or roles do not alternate.
    """
    from jinja2 import TemplateError

    try:
        made = tokenizer.apply_chat_template(
            messages, add_generation_prompt=prompt, tokenize=True, return_dict=True, **fixed_date(tokenizer)
        )
    except (TemplateError, ValueError) as error:
        msg = (
            f"The model's chat template refuses the messages before or with a turn of the assistant in {place}: {error}"
        )
        raise DataError(msg) from error
    return list(made["input_ids"])


def _common_prefix(first: list[int], second: list[int]) -> int:
    size = min(len(first), len(second))
    differ = np.flatnonzero(np.asarray(first[:size]) != np.asarray(second[:size]))
    return int(differ[0]) if len(differ) else size


def _turn_length(ids: list[int], tokenizer: Any) -> int:
    """Tokens of a turn with its end: up to the last end token, or special token that only blanks follow."""
    ends = [tokenizer.eos_token_id] if tokenizer.eos_token_id in ids else tokenizer.all_special_ids
    last = max((place for place, token in enumerate(ids) if token in ends), default=-1) + 1
    blank = tokenizer.eos_token_id in ids or (last and not tokenizer.decode(ids[last:]).strip())
    return last if blank else len(ids)


@dataclass(frozen=True)
class Collator:
    """Lay samples out as a batch.

    Padded to the right to the longest sample, with an attention mask; or, with ``packing``, end to end in one row with
    ``position_ids`` that start at 0 in each sample, by which attention keeps the samples apart.
    """

    pad_token_id: int
    packing: bool = False

    def __call__(self, samples: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """One batch of samples of a `TokenDataset`."""
        ids = [torch.as_tensor(sample["input_ids"]) for sample in samples]
        labels = [torch.as_tensor(sample["labels"]) for sample in samples]
        if self.packing:
            # The last token of one sample does not predict the first of the next.
            labels = [torch.cat([torch.tensor([IGNORED]), row[1:]]) for row in labels]
            positions = torch.cat([torch.arange(len(row)) for row in ids])
            return {
                "input_ids": torch.cat(ids)[None],
                "labels": torch.cat(labels)[None],
                "position_ids": positions[None],
            }
        pad = torch.nn.utils.rnn.pad_sequence
        return {
            "input_ids": pad(ids, batch_first=True, padding_value=self.pad_token_id),
            "labels": pad(labels, batch_first=True, padding_value=IGNORED),
            "attention_mask": pad([torch.ones_like(row) for row in ids], batch_first=True),
        }
