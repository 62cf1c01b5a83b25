"""What an answer to the question for a process says: its name, how sure the model is, or that there is none."""

from __future__ import annotations

import re
from typing import NamedTuple

from bftembed.engines.reasoning import without_reasoning

#: The name that says that no process covers most genes (Hu et al., Nat. Methods 22, 82, 2025).
UNRELATED = "System of unrelated proteins"
#: Stands for a name where there is none.
NO_NAME = "none"
_MAX_WORDS = 12
_FIRST = re.compile(r"^\W*process\W*:\s*(.*)$", re.IGNORECASE)
_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}")
_REFUSAL = re.compile(r"unrelated|no (?:clear|single|common) (?:process|function)")
_NUMBER = r"(?:\d+(?:[.,]\d+)?|\.\d+)"
_RANGE = rf"{_NUMBER}\s*%?\s*(?:-|\u2013|\u2014|to)\s*{_NUMBER}"
_VALUE = re.compile(rf"(?P<range>{_RANGE})|(?<![\w.,-])(?P<value>{_NUMBER})(?:\s*(?P<percent>%)|\s*/\s*(?P<of>\d+))?")
_ALONE = re.compile(rf"^\W*{_NUMBER}\s*%?\W*$")
_AT_END = re.compile(rf"\s*[(\[]\s*(?:confidence\W*)?({_NUMBER}\s*%?)\s*[)\]]\W*$", re.IGNORECASE)


class Named(NamedTuple):
    """What an answer says.

    ``name`` as the model wrote it, without markup (``"none"`` if there is no name), ``confidence`` in [0, 1] or None if
    the answer has none, ``unrelated`` whether it says that no process covers the genes.

    Examples
    --------
    >>> from bftembed.naming import Named
    >>> Named("mismatch repair", 0.9, unrelated=False).name
    'mismatch repair'
    """

    name: str
    confidence: float | None
    unrelated: bool


def parse_name(text: str) -> Named:
    r"""Read an answer to `naming_request`.

    The name stands on the first line that begins with ``Process:`` (in any case and markup), else it is the first line
    if that has at most 12 words. The confidence is the first single number in [0, 1] after the word, per cent and
    fractions converted, or else the number in brackets at the end of the line of the name. A range of numbers, such as
    that of the instructions repeated, is no confidence; a missing one is None and not 0. Reasoning between the marks
    that models put around it is no part of the answer.

    Examples
    --------
    >>> from bftembed.naming import parse_name
    >>> parse_name("**Process:** DNA mismatch repair\nConfidence: 90 %")
    Named(name='DNA mismatch repair', confidence=0.9, unrelated=False)
    >>> parse_name("Process: System of unrelated proteins (0.1)")
    Named(name='System of unrelated proteins', confidence=0.1, unrelated=True)
    """
    text = without_reasoning(text)[0]
    line = _name_line(text)
    at_end = _AT_END.search(line)
    confidence = _stated(text)
    if confidence is None and at_end:
        confidence = _first_value(at_end.group(1))
    name = " ".join((line[: at_end.start()] if at_end else line).strip(" \t*_`\"'.").split())
    if clean_name(name) == NO_NAME:
        name = NO_NAME
    return Named(name, confidence, bool(_REFUSAL.search(clean_name(name))))


def clean_name(text: str) -> str:
    """Bring a name into the form in which names are compared; ``"none"`` if nothing is left.

    Lower case, without brackets and what stands in them, ``/ , " - _`` as spaces, no repeated spaces: what the
    evaluation of GeneAgent does to both sides.

    Examples
    --------
    >>> from bftembed.naming import clean_name
    >>> clean_name("Nucleotide-excision repair, DNA incision (GO:0033683)")
    'nucleotide excision repair dna incision'
    """
    before = None
    while before != text:  # brackets in brackets
        before, text = text, _BRACKETS.sub(" ", text)
    return " ".join(re.sub(r'[/,"_-]', " ", text.lower()).split()) or NO_NAME


def _name_line(text: str) -> str:
    lines = [line.replace("**", "").replace("__", "").strip() for line in text.splitlines()]
    for line in lines:
        if match := _FIRST.match(line):
            return match.group(1)
    first = next((line for line in lines if line), "")
    return first if len(first.split()) <= _MAX_WORDS else NO_NAME


def _stated(text: str) -> float | None:
    """Return the first confidence that is given by name; the number may also stand alone on the next line."""
    for match in re.finditer(r"confidence", text, re.IGNORECASE):
        here, *others = text[match.end() :].split("\n")
        below = next((line for line in others if line.strip()), "")
        where = f"{here} {below}" if _ALONE.match(below) else here
        if (value := _first_value(where)) is not None:
            return value
    return None


def _first_value(text: str) -> float | None:
    for match in _VALUE.finditer(text):
        if match["range"]:
            continue
        value = float(match["value"].replace(",", "."))
        if match["percent"]:
            value /= 100
        elif match["of"] and float(match["of"]):
            value /= float(match["of"])
        if 0 <= value <= 1:
            return value
    return None
