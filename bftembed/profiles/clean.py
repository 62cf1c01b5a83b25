"""From what a model returned to a text that may be embedded; what was mended is said, what cannot be is marked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from bftembed._unicode import writable
from bftembed.engines.reasoning import without_reasoning

Status = Literal["ok", "empty", "degenerate", "error"]

#: What each issue means, for summaries.
ISSUES = {
    "characters": "characters that no file can hold replaced",
    "think": "reasoning removed",
    "unfinished_thought": "ended inside the reasoning",
    "remnants": "chat marks removed",
    "references": "trailing references removed",
    "citations": "numbers of articles in brackets removed",
    "cut": "cut at the token limit, unfinished last sentence dropped",
    "unfinished": "cut at the token limit inside its first sentences, kept as it is",
}
_REMNANTS = re.compile(
    r"<\|[^|<>\n]{1,40}\|?>|<[^|<>\n]{1,40}\|>|<\uff5c[^<>\n]{1,40}\uff5c>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>"
    r"|</?(?:s|bos|eos|pad|unk|answer|response|output|final|solution)>|\[(?:BOS|EOS|PAD)\]|[\u200b\u2060\ufeff]"
    r"|\A\s*assistant\s*\n|\A\s*(?:assistant)?final(?=[A-Z])"
)
_REFERENCES = re.compile(
    r"^[\s#*_>\d.)-]*(?:key |selected |further )?"
    r"(?:references?|bibliography|citations|literature|sources|further reading)[ \t*_]*(?::|$)[ \t*_]*",
    re.IGNORECASE | re.MULTILINE,
)
_PUBMED = re.compile(r"[ \t]*[(\[](?:PMC?IDs?|PubMed(?: IDs?)?)\b[^()\[\]]*[)\]]")
_NUMBERED = re.compile(r"\s*\(?\[?\d{1,3}[\].):]\s+")
_YEAR = r"(?:1[89]|20)\d\d"
#: An identifier, an address, or authors with initials at the beginning.
_CITED = re.compile(
    r"\bdoi\b|\bPMC?ID\b|PubMed|https?:|www\.|\A(?:[A-Z]\. ?)+[A-Z][a-z]|\A[A-Z][\w-]+,? (?:[A-Z]\.? ?){1,3}[,.&]"
)
#: "et al.", (year), Name year or year;volume: in a reference, and in a sentence about one too.
_DATED = re.compile(rf"\bet al\b|\({_YEAR}[a-z]?\)|\b[A-Z][\w.-]*,? {_YEAR}\b|\b{_YEAR};")
_SENTENCE = re.compile(r"\b(?:is|are|was|were|has|have|had|it|this|these|which|who)\b")
_LONGEST_BARE_ITEM = 8  # words of a numbered line that may be a reference without looking like one
_SENTENCE_END = re.compile(r"[.!?][\"')\]*_]*(?=\s|\Z)")
_ITEM_LINE = re.compile(r"^\s*(?:[-*•+]|\d{1,3}[.)])\s+\S.*$", re.MULTILINE)
_TOKEN = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class CleanedText:
    """A text, whether it can be used, and what was mended in it.

    ``issues`` holds keys of ``ISSUES``, in the order of their mending.

    Examples
    --------
    >>> from bftembed.profiles import CleanedText
    >>> CleanedText("TP53 guards the genome.", "ok").issues
    ()
    """

    text: str
    status: Status
    issues: tuple[str, ...] = ()


def clean(text: str, *, finish_reason: str = "stop", generated: bool = True) -> CleanedText:
    """Strip what is not profile from a completion.

    Parameters
    ----------
    text
        As the engine gave it.
    finish_reason
        ``"length"`` where the text was cut at the token limit: its unfinished last sentence (or list item) is dropped.
    generated
        Whether a model wrote it. Annotation may repeat itself, where genes are alike; a model that does has run into a
        loop.

    Examples
    --------
    >>> from bftembed.profiles.clean import clean
    >>> clean("<think>A tumour suppressor.</think>TP53 halts the cell cycle.")
    CleanedText(text='TP53 halts the cell cycle.', status='ok', issues=('think',))
    """
    issues = []
    writable_text = writable(text)
    if writable_text != text:
        issues.append("characters")
    text, found, unfinished = without_reasoning(writable_text)
    issues += ["think"] * found + ["unfinished_thought"] * unfinished
    mends = (("remnants", _without_remnants), ("references", _without_references), ("citations", _without_citations))
    for issue, strip in mends:
        stripped = strip(text)
        if stripped != text:
            issues.append(issue)
            text = stripped
    text = re.sub(r"\n{3,}", "\n\n", text).strip()
    if finish_reason == "length" and text and not _SENTENCE_END.search(text[-4:]):
        text, issue = _whole_sentences(text)
        issues.append(issue)
    status: Status = "ok" if re.search(r"\w", text) else "empty"
    if status == "ok" and generated and repeated_share(text) > 0.5:
        status = "degenerate"
    return CleanedText(text, status, tuple(issues))


def _without_remnants(text: str) -> str:
    """Until there are none: the end of one and the beginning of another may make a third."""
    while (stripped := _REMNANTS.sub("", text)) != text:
        text = stripped
    return text


def _without_references(text: str) -> str:
    """Drop a list of references at the end; a heading that something else follows is left, with all that follows it."""
    for heading in _REFERENCES.finditer(text):
        lines = [line for line in text[heading.end() :].splitlines() if line.strip()]
        if all(map(_is_reference, lines)):
            return text[: heading.start()]
    return text


def _without_citations(text: str) -> str:
    return _PUBMED.sub("", text)


def _is_reference(line: str) -> bool:
    numbered = _NUMBERED.match(line)
    item = line[numbered.end() :] if numbered else line.lstrip(" \t-*•+")
    if _CITED.search(item) or (numbered and len(item.split()) < _LONGEST_BARE_ITEM):
        return True
    return bool(_DATED.search(item)) and (numbered is not None or not _SENTENCE.search(item))


def _whole_sentences(text: str) -> tuple[str, str]:
    """Up to the last whole sentence or list item, where at least half of the text is kept; and the issue."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    ends += [match.end() for match in _ITEM_LINE.finditer(text) if match.end() < len(text)]
    last = max(ends, default=0)
    return (text[:last], "cut") if last >= len(text) // 2 else (text, "unfinished")


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
