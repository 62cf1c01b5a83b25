"""From what a model returned to a text that may be embedded; what was mended is said, what cannot be is marked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "empty", "degenerate", "error"]

_THINK = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
# Reasoning models whose template opens the block in the prompt return its end alone.
_THINK_END = re.compile(r"\A.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_REMNANTS = re.compile(r"<\|[^|<>\n]{1,40}\|>|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|\A\s*assistant\s*\n")
_REFERENCES = re.compile(
    r"^[\s#*_>\d.)-]*(?:key |selected |further )?(?:references?|bibliography|citations|literature|further reading)"
    r"[ \t*_]*(?::|$).*",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
_SENTENCE_END = re.compile(r"[.!?][\"')\]*_]*(?=\s|\Z)")
_TOKEN = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A text, whether it can be used, and what was mended in it.

    ``issues`` holds any of ``think``, ``remnants``, ``references``, ``cut`` (unfinished last sentence dropped) and
    ``unfinished`` (cut off, but without a sentence to fall back to).
    """

    text: str
    status: Status
    issues: tuple[str, ...] = ()


def clean(text: str, *, finish_reason: str = "stop") -> Cleaned:
    """Strip what is not profile from a completion.

    Parameters
    ----------
    text
        As the engine gave it.
    finish_reason
        ``"length"`` where the text was cut at the token limit: its unfinished last sentence is dropped.
    """
    issues = []
    for issue, pattern in (
        ("think", _THINK),
        ("think", _THINK_END),
        ("remnants", _REMNANTS),
        ("references", _REFERENCES),
    ):
        stripped = pattern.sub("", text)
        if stripped != text:
            issues.append(issue)
            text = stripped
    text = re.sub(r"\n{3,}", "\n\n", text).strip()
    if finish_reason == "length" and not _SENTENCE_END.search(text[-4:]):
        ends = [match.end() for match in _SENTENCE_END.finditer(text)]
        if ends and ends[-1] >= len(text) // 2:
            text = text[: ends[-1]]
            issues.append("cut")
        else:
            issues.append("unfinished")
    status: Status = "ok" if re.search(r"\w", text) else "empty"
    if status == "ok" and repeated_share(text) > 0.5:
        status = "degenerate"
    return Cleaned(text, status, tuple(dict.fromkeys(issues)))


def repeated_share(text: str, n: int = 5) -> float:
    """Share of a text's words (and punctuation marks) that lie in an n-gram which stood in the text before.

    Texts shorter than 2 n words have share 0, but for one unbroken word of more than 100 characters (share 1).
    """
    tokens = _TOKEN.findall(text.lower())
    if len(tokens) < 2 * n:
        return float(any(len(token) > 100 for token in tokens))
    seen: set[tuple[str, ...]] = set()
    covered = [False] * len(tokens)
    for start in range(len(tokens) - n + 1):
        gram = tuple(tokens[start : start + n])
        if gram in seen:
            covered[start : start + n] = [True] * n
        seen.add(gram)
    return sum(covered) / len(tokens)
