"""Closed questions: reading and checking them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from bftembed._optional import require
from bftembed.errors import DataError, InputError
from bftembed.tune.data.samples import checked_messages, read_rows
from bftembed.tune.grpo.rewards import CHOICE_SETS, parse_answer

if TYPE_CHECKING:
    from collections.abc import Sequence


class Question(TypedDict):
    """A closed question: a text or chat messages that end with the user's turn, the right answer, all choices."""

    prompt: str | list[dict[str, str]]
    answer: str
    choices: list[str]


def read_questions(path: str | Path) -> list[Question]:
    """Questions from JSON lines, Parquet or a Hugging Face dataset on disk.

    A row has ``prompt`` (a text or messages) and ``answer``; or ``messages`` that end with the assistant's turn, which
    is left out, and ``answer``, as the corpora of ``bftembed corpus build`` have. ``choices`` may be missing where the
    answer is one of yes, no, maybe; A, B, C, D; increase, decrease.

    Raises
    ------
    DataError
        If the file is missing or holds no question, or a row is broken or its answer is none of its choices; the
        message names the row.
    """
    questions = [checked(place, row) for place, row in read_rows(Path(path).expanduser(), "train")]
    if not questions:
        msg = f"`{path}` holds no questions."
        raise DataError(msg)
    return questions


def checked(place: str, row: Any) -> Question:
    """A question with messages and choices as they should be, from a row; `place` names it in messages.

    Raises
    ------
    DataError
        As `read_questions`.
    """
    where = f"{place[0].upper()}{place[1:]}"
    if not isinstance(row, dict) or not isinstance(row.get("answer"), str) or not (row.keys() & {"prompt", "messages"}):
        found = ", ".join(map(repr, row)) if isinstance(row, dict) else f"a {type(row).__name__}"
        msg = f"{where} has {found or 'nothing'}; a question needs `prompt` or `messages`, and a text as `answer`."
        raise DataError(msg)
    answer = row["answer"]
    choices = row.get("choices")
    if choices is None:
        choices = next((known for known in CHOICE_SETS if answer in known), None)
    if not isinstance(choices, list | tuple) or not all(isinstance(choice, str) for choice in choices):
        known = "; ".join(", ".join(some) for some in CHOICE_SETS)
        msg = f"Give the `choices` of the answer {answer!r} in {place} as a list of texts; it is none of {known}."
        raise DataError(msg)
    if answer not in choices:
        msg = f"The answer {answer!r} in {place} is none of its choices, {list(choices)}."
        raise DataError(msg)
    try:
        parse_answer("", choices)
    except InputError as error:
        msg = f"The choices in {place} cannot be used: {error}"
        raise DataError(msg) from error
    return {"prompt": _prompt(place, row), "answer": answer, "choices": list(choices)}


def _prompt(place: str, row: dict[str, Any]) -> str | list[dict[str, str]]:
    prompt = row.get("prompt")
    if isinstance(prompt, str) and prompt.strip():
        return prompt
    if prompt is None:
        messages = checked_messages(place, row.get("messages"))[:-1]
    else:
        turns = prompt if isinstance(prompt, list) else [prompt]
        messages = checked_messages(place, [*turns, {"role": "assistant", "content": ""}])[:-1]
    if not messages or messages[-1]["role"] not in {"user", "tool"}:
        msg = f"The prompt in {place} does not end with a turn of the user, which is what is answered."
        raise DataError(msg)
    return messages


def as_dataset(questions: Sequence[Question], model: Any, tokenizer: Any, *, max_new_tokens: int) -> Any:
    """The questions as TRL takes them: all chats, or all texts where the tokenizer has no chat template.

    Raises
    ------
    DataError
        If a question is broken.
    InputError
        If a question leaves no tokens for the answer.
    ModelError
        If the tokenizer makes tokens that the model does not have.
    """
    datasets = require("datasets")
    from bftembed.models.causal import check_vocabulary, context_window
    from bftembed.models.chat import with_system
    from bftembed.tune.data.dataset import render

    rows = [checked(f"question {number}", question) for number, question in enumerate(questions, 1)]
    highest = longest = 0
    for number, row in enumerate(rows, 1):
        chat = [{"role": "user", "content": row["prompt"]}] if isinstance(row["prompt"], str) else row["prompt"]
        if tokenizer.chat_template:
            row["prompt"] = chat = with_system(chat, tokenizer)
            ids = render(chat, tokenizer, f"question {number}", prompt=True)
        else:
            # As the engines of this package ask a model without a template.
            row["prompt"] = "".join(f"{message['content']}\n\n" for message in chat)
            ids = tokenizer(row["prompt"])["input_ids"]
        highest, longest = max(highest, *ids), max(longest, len(ids))
    check_vocabulary("The questions hold", highest, model)
    window = context_window(model)
    if window and longest + max_new_tokens > window:
        msg = (
            f"The longest question has {longest} tokens; with {max_new_tokens} new ones that exceeds the "
            f"model's window of {window}. Shorten the question, or lower `max_new_tokens`."
        )
        raise InputError(msg)
    return datasets.Dataset.from_list(rows)
