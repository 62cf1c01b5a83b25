"""Where a completion thinks aloud: the marks that public reasoning models put around their reasoning."""

from __future__ import annotations

import re
from typing import NamedTuple

_WORD = (
    r"(?:(?:ant)?think(?:ing)?|thoughts?|reason(?:ing)?|reflection|analysis|scratchpad|rationale|cot|chain_of_thought|"
    r"internal|(?:inner|internal)_monologue|planning)"
)
_BAR = r"[|\uff5c]"


class _Format(NamedTuple):
    begin: re.Pattern[str]
    end: re.Pattern[str]
    #: Whether the end says enough where the beginning stood in the prompt; some formats end as any message does.
    alone: bool


_FORMATS = [
    _Format(re.compile(begin, re.DOTALL), re.compile(end, re.DOTALL), alone)
    for begin, end, alone in (
        # DeepSeek-R1, Qwen3, GLM, SmolLM3, Nemotron, ERNIE, EXAONE; with a prefix Seed-OSS, MiniMax-M3 and LongCat;
        # with a suffix Hunyuan 3 and K2-V2
        (
            rf"(?i:<(?:\w+[:_|])?{_WORD}(?:[:_]\w+)?(?:\s[^<>]*)?>)",
            rf"(?i:</(?:\w+[:_|])?{_WORD}(?:[:_]\w+)?\s*>)",
            True,
        ),
        (r"<unused94>(?:thought\b)?", r"<unused95>", True),  # MedGemma
        (r'<details type="reasoning"[^<>]*>(?:\s*<summary>[^<>]*</summary>)?', r"</details>", False),  # Open WebUI
        (r"\[THINK\]", r"\[/THINK\]", True),  # Mistral
        (r"◁think▷", r"◁/think▷", True),  # Kimi
        (r"<\|open\|>think<\|sep\|>", r"<\|close\|>think<\|sep\|>|<\|open\|>response<\|sep\|>", True),  # Kimi K3
        # OpenThinker and Cohere Command; Apertus; Solar; GLM
        (
            rf"(?i:<{_BAR}(?:begin|start)[_\u2581](?:of[_\u2581])?{_WORD}{_BAR}>)",
            rf"(?i:<{_BAR}end[_\u2581](?:of[_\u2581])?{_WORD}{_BAR}>)",
            True,
        ),
        (r"<\|inner_prefix\|>", r"<\|inner_suffix\|>", True),
        (r"<\|think:start\|>", r"<\|think:end\|>", True),
        (r"<\|think(?:ing)?\|>", r"<(?:/\||\|/)think(?:ing)?\|>|<\|end\|>", False),
        (r"<\|think(?:ing)?\|>", r"<(?:/\||\|/)think(?:ing)?\|>", True),
        (r"\[unused16\]", r"\[unused17\]", True),  # Pangu
        (r"<\|content_thinking\|>", r"<\|end_message\|>|<\|content_text\|>", False),  # Inkling
        (r"<\|channel>(?:thought\b)?", r"<channel\|>", True),  # Gemma 4
        # gpt-oss: every channel but the final one; then the same as it reads where special tokens were dropped
        (
            r"(?:<\|start\|>\w*)?<\|channel\|>(?!final\b)[^<]*(?:<\|message\|>)?",
            r"(?:(?:<\|end\|>)?<\|start\|>\w*)?<\|channel\|>final\b.*?<\|message\|>",
            True,
        ),
        (r"\A\s*(?:analysis|commentary)(?=[A-Z]|.*assistantfinal)", r"assistantfinal", False),
        (r"\A\s*<\|im_start\|>think\b", r"<\|im_start\|>answer\b", True),  # s1
        (r"\A\s*/think\n", r"<\|im_end\|>\s*<\|im_start\|>assistant\b", False),  # HyperCLOVA X
        (r"\A\s*Here(?:'s| is) my thought process:", r"Here(?:'s| is) my response:", False),  # Granite 3.2
    )
]
_SPECIAL = re.compile(r"<\|.*>|<.*\|>|<\uff5c.*\uff5c>", re.DOTALL)


def without_reasoning(text: str) -> tuple[str, bool, bool]:
    """Cut the reasoning out of a completion, in every format that is known.

    Parameters
    ----------
    text
        With the special tokens that mark reasoning, see `is_mark`.

    Returns
    -------
    text
        What is left.
    found
        Whether there was any reasoning.
    unfinished
        Whether the last piece of reasoning has no end, so that no answer follows it.
    """
    found = False
    while True:
        begun = [(match, form) for form in _FORMATS if (match := form.begin.search(text))]
        first, form = min(begun, key=lambda pair: pair[0].start(), default=(None, None))
        limit = first.start() if first else len(text)
        ends = [match for other in _FORMATS if other.alone and (match := other.end.search(text, 0, limit))]
        if ends:  # the beginning stood in the prompt; a further end ends nothing
            end = min(ends, key=lambda match: match.start())
            text = (text[: end.start()] if found else "") + text[end.end() :]
        elif first is None or form is None:
            return text, found, False
        elif (stop := _end_of(form, text, first.end())) is not None:
            text = text[:limit] + text[stop:]
        else:
            return text[:limit], True, True
        found = True


def _end_of(form: _Format, text: str, start: int) -> int | None:
    """Where reasoning that begins before `start` ends: at the end of its own, or at the last one where some lack."""
    marks = [(match.start(), -1, match.end()) for match in form.end.finditer(text, start)]
    marks += [(match.start(), 1, match.end()) for match in form.begin.finditer(text, start)]
    depth, stop = 1, None
    for _, step, end in sorted(marks):
        depth += step
        if step < 0:
            stop = end
        if not depth:
            break
    return stop


def is_mark(token: str) -> bool:
    """Whether a special token may mark reasoning, and so must not be dropped where tokens become text."""
    return bool(_SPECIAL.fullmatch(token)) or any(
        pattern.fullmatch(token) for form in _FORMATS for pattern in (form.begin, form.end)
    )


def opened_in(prompt: str) -> str:
    r"""The end of a rendered prompt that opens the reasoning, where it does; such a completion begins inside of it.

    Examples
    --------
    >>> from bftembed.engines.reasoning import opened_in
    >>> opened_in("<|im_start|>assistant\n<think>\n")
    '<think>\n'
    >>> opened_in("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    ''
    """
    for form in _FORMATS:
        for match in re.finditer(form.begin.pattern.removeprefix(r"\A\s*"), prompt):
            if not prompt[match.end() :].strip():
                return prompt[match.start() :]
    return ""
