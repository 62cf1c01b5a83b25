"""From messages to the tokens of a prompt, through a tokenizer's chat template."""

from __future__ import annotations

import logging
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger("bftembed")

#: The day that templates are given which ask for today's (the one that Llama's takes where it cannot ask): a prompt
#: that changed with the calendar would give other texts under an unchanged key.
_TODAY = datetime(2024, 7, 26)
_CODES = {f"%{code}": _TODAY.strftime(f"%{code}") for code in "aAbBdeHIjmMpSyY"} | {"%-d": "26", "%-m": "7"}
_MACRO = "".join(f" | replace('{code}', '{value}')" for code, value in _CODES.items())
_MACRO = f"{{%- macro strftime_now(format) -%}}{{{{ format{_MACRO} }}}}{{%- endmacro -%}}"


def fixed_date(tokenizer: Any) -> dict[str, Any]:
    """Arguments of ``apply_chat_template`` that fix the date which a chat template writes into the prompt."""
    template = tokenizer.get_chat_template()
    return {"chat_template": _MACRO + template} if "strftime_now" in template else {}


def knows_system_role(tokenizer: Any) -> bool:
    """Whether a chat template takes a system message: some refuse it (Gemma), others drop it in silence."""
    from jinja2 import TemplateError

    probe = [{"role": "system", "content": "PROBE-SYSTEM"}, {"role": "user", "content": "probe"}]
    try:
        return "PROBE-SYSTEM" in tokenizer.apply_chat_template(probe, tokenize=False, **fixed_date(tokenizer))
    except TemplateError:
        return False


def with_system(messages: Sequence[dict[str, str]], tokenizer: Any) -> list[dict[str, str]]:
    """The messages; the system's text stands in front of the user's where the chat template knows no system role."""
    if messages[0]["role"] != "system" or len(messages) == 1 or knows_system_role(tokenizer):
        return list(messages)
    first, second = messages[:2]
    return [{**second, "content": f"{first['content']}\n\n{second['content']}".strip()}, *messages[2:]]


def prompt_text(
    messages: Sequence[dict[str, str]], tokenizer: Any, *, raw: str = "", prefix: str = ""
) -> tuple[str, bool]:
    """The text of a prompt, and whether the tokenizer is to put its special tokens around it.

    A tokenizer without chat template gets plain paragraphs, which the log says once. Raw text that begins with the
    token that begins texts, as a chat that was laid out before, does not get it twice.

    Raises
    ------
    InputError
        If the chat template refuses the dialogue, e.g. two turns of the user after each other.
    """
    from jinja2 import TemplateError

    if raw:
        return raw, not (tokenizer.bos_token and raw.startswith(tokenizer.bos_token))
    if not tokenizer.chat_template:
        _say_plain(tokenizer.name_or_path)
        return "".join(f"{message['content']}\n\n" for message in messages) + prefix, True
    messages = with_system(messages, tokenizer)
    how = {"add_generation_prompt": True, "tokenize": False, **fixed_date(tokenizer)}
    try:
        text = tokenizer.apply_chat_template(messages, **how)
    except TemplateError as error:
        roles = ", ".join(message["role"] for message in messages)
        msg = f"The model's chat template does not take a dialogue of the roles {roles}: {error}"
        raise InputError(msg) from error
    return text + prefix, False


@cache
def _say_plain(name: str) -> None:
    log.info(
        "`%s` has no chat template, as base models have none: chats are put to it as plain paragraphs. "
        "In benchmarks `--preset harness` asks such a model without a chat.",
        name,
    )


def prompt_ids(messages: Sequence[dict[str, str]], tokenizer: Any, *, raw: str = "", prefix: str = "") -> list[int]:
    """Tokens of a prompt, up to where the answer begins."""
    text, special = prompt_text(messages, tokenizer, raw=raw, prefix=prefix)
    return text_ids([text], tokenizer, special=special)[0]


def text_ids(texts: Sequence[str], tokenizer: Any, *, special: bool) -> list[list[int]]:
    """Tokens of texts that go on: without the end token that some tokenizers put behind every text."""
    ids = [list(each) for each in tokenizer(list(texts), add_special_tokens=special)["input_ids"]]
    if not special:
        return ids
    marks = {*tokenizer.all_special_ids} - {tokenizer.unk_token_id}
    behind = next(n for n, token in enumerate(reversed(tokenizer("a")["input_ids"])) if token not in marks)
    return [each[: len(each) - behind] for each in ids]


def end_token(tokenizer: Any, *, raw: bool = False) -> int | None:
    """The token that ends an answer: what a chat template puts behind the assistant's turn, else the end of a text."""
    from jinja2 import TemplateError

    if tokenizer.chat_template and not raw:
        probe = [{"role": "user", "content": "probe"}, {"role": "assistant", "content": "PROBE-ANSWER"}]
        try:
            text = tokenizer.apply_chat_template(probe, tokenize=False, **fixed_date(tokenizer))
        except TemplateError:
            text = ""
        behind = tokenizer(text.rpartition("PROBE-ANSWER")[2], add_special_tokens=False)["input_ids"]
        known = tokenizer.added_tokens_decoder
        if behind and behind[0] in known and known[behind[0]].special:
            return int(behind[0])
    return None if tokenizer.eos_token_id is None else int(tokenizer.eos_token_id)
