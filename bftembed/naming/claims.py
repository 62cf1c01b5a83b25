"""Claims about a gene set and how they are judged: by a model, on lines of evidence, within rules.

Whether a sentence follows from another one is a question of language, so a model is asked. What a model says is taken
only within rules that it cannot talk itself out of: it has to name one line of the evidence, and the line has to be
about the claim (see `judged`). Words alone cannot decide ("apoptosis", "programmed cell death"), and a model that is
free to say so finds everything supported.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

Verdict = Literal["supported", "not supported", "not checkable"]

_VERDICT = re.compile(
    r"^\W*verdict\W*:\W*(supported|not supported|not checkable)\b(?:[^\d\n]*(\d+))?", re.IGNORECASE | re.MULTILINE
)
_WORD = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")
_LYMPHOCYTE = re.compile(r"\b(T|B|NK)[ -]cells?\b", re.IGNORECASE)  # here the letter is what matters
_STEM = 6
_COMMON_WORDS = """
a about across activity all along also an and any are as associated association at been being biological both
by cell cells cellular complex contribute each either encode encodes encoding enriched essential evidence
factor family for from function functions gene genes go has have human important in including into involved
involvement is it its key known least many may mediate member members most multiple negative none not of on
one or other part participate pathway pathways plays positive process processes protein proteins regulate
regulates regulation related response role several set share shared such support supports term than that the
their them these they this those through to two various via was which while with within
"""
#: Beginnings of words that say nothing of what a claim is about.
_COMMON = frozenset(word[:_STEM] for word in _COMMON_WORDS.split())


class Evidence(NamedTuple):
    """A line that a tool gave; `found` is False where it says that nothing was found."""

    text: str
    found: bool = True


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim, what became of it, and the line of evidence that this rests on (``""`` where it is not checkable)."""

    text: str
    verdict: Verdict = "not checkable"
    evidence: str = ""


def parse_claims(text: str, *, most: int = 5) -> list[str]:
    r"""The first JSON list of texts in an answer, whatever stands around it.

    Parameters
    ----------
    text
        Answer of a model.
    most
        Claims that are kept, the first ones.

    Returns
    -------
    list of str
        Claims on one line each, in order; empty where there is no such list. Nothing else is taken for claims.

    Examples
    --------
    >>> from bftembed.naming.claims import parse_claims
    >>> parse_claims('Claims:\n```json\n["CD3E is part of the T cell receptor."]\n```')
    ['CD3E is part of the T cell receptor.']
    >>> parse_claims("1. CD3E is part of the T cell receptor.")
    []
    """
    decoder = json.JSONDecoder()
    for start in (found.start() for found in re.finditer(r"\[", text)):
        try:
            value, _ = decoder.raw_decode(text, start)
        except (json.JSONDecodeError, RecursionError):
            continue
        if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
            return list(dict.fromkeys(claim for each in value if (claim := " ".join(each.split()))))[:most]
    return []


def judged(claim: str, answer: str, evidence: Sequence[Evidence], genes: Sequence[str]) -> Claim:
    """What a model's answer makes of a claim.

    The first line ``Verdict: supported 2``, ``Verdict: not supported 1`` or ``Verdict: not checkable`` counts; the
    number is that of a line of the evidence, from 1. ``supported`` stands if that line found something, shares a word
    of content with the claim, other than the names of genes, and names one of the genes of the set that the claim
    names, if it names any; ``not supported`` if the line shares such a word or names such a gene, or says that nothing
    was found. All else is ``not checkable``.

    Parameters
    ----------
    claim, answer
        The claim, and what the model said of it.
    evidence
        The lines that it was shown.
    genes
        Symbols of the set.

    Examples
    --------
    >>> from bftembed.naming.claims import Evidence, judged
    >>> lines = [Evidence("GO process T cell receptor signaling: q = 2e-05, 2 of 3 genes (CD3D, CD3E)")]
    >>> judged("CD3E signals through the T cell receptor.", "Verdict: supported 1", lines, ["CD3D", "CD3E"]).verdict
    'supported'
    >>> judged("CD3E repairs DNA.", "Verdict: supported 1", lines, ["CD3D", "CD3E"]).verdict
    'not checkable'
    """
    found = _VERDICT.search(answer)
    said = " ".join(found[1].lower().split()) if found else ""
    line = evidence[int(found[2]) - 1] if found and found[2] and 0 < int(found[2]) <= len(evidence) else None
    if line is None or said == "not checkable":
        return Claim(claim)
    names = {gene.casefold() for gene in genes}
    shares_word = bool(_stems(claim, names) & _stems(line.text, names))
    named = {word.casefold() for word in _WORD.findall(claim)} & names
    shares_gene = bool(named & {word.casefold() for word in _WORD.findall(line.text)})
    if said == "supported" and line.found and shares_word and (shares_gene or not named):
        return Claim(claim, "supported", line.text)
    if said == "not supported" and (shares_word or shares_gene or not line.found):
        return Claim(claim, "not supported", line.text)
    return Claim(claim)


def shares_content(a: str, b: str) -> bool:
    """Whether two texts share a word that says what they are about, compared by the beginnings of words.

    Examples
    --------
    >>> from bftembed.naming.claims import shares_content
    >>> shares_content("Apoptotic signalling", "regulation of apoptosis"), shares_content("a process", "the process")
    (True, False)
    """
    return bool(_stems(a, set()) & _stems(b, set()))


def _stems(text: str, names: set[str]) -> set[str]:
    """Beginnings of the words of content: of three letters or more, and none of `names`."""
    words = (word.casefold() for word in _WORD.findall(_LYMPHOCYTE.sub(r"\1cell", text)))
    stems = {word.removesuffix("s")[:_STEM] for word in words if word not in names and not word.isdigit()}
    return {stem for stem in stems if len(stem) > 2 and stem not in _COMMON}
