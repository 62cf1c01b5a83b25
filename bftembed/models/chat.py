"""From messages to the tokens of a prompt, through a tokenizer's chat template."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def knows_system_role(tokenizer: Any) -> bool:
    """Whether a chat template takes a system message: some refuse it (Gemma), others drop it in silence."""
    from jinja2 import TemplateError

    probe = [{"role": "system", "content": "PROBE-SYSTEM"}, {"role": "user", "content": "probe"}]
    try:
        return "PROBE-SYSTEM" in tokenizer.apply_chat_template(probe, tokenize=False)
    except TemplateError:
        return False


def with_system(messages: Sequence[dict[str, str]], tokenizer: Any) -> list[dict[str, str]]:
    """The messages; the system's text stands in front of the user's where the chat template knows no system role."""
    if messages[0]["role"] != "system" or len(messages) == 1 or knows_system_role(tokenizer):
        return list(messages)
    first, second = messages[:2]
    return [{**second, "content": f"{first['content']}\n\n{second['content']}".strip()}, *messages[2:]]


def prompt_ids(messages: Sequence[dict[str, str]], tokenizer: Any) -> list[int]:
    """Tokens of a prompt, up to where the answer begins; a tokenizer without chat template gets plain paragraphs."""
    if not tokenizer.chat_template:
        return list(tokenizer("".join(f"{message['content']}\n\n" for message in messages))["input_ids"])
    ids = tokenizer.apply_chat_template(
        with_system(messages, tokenizer), add_generation_prompt=True, tokenize=True, return_dict=True
    )
    return list(ids["input_ids"])
