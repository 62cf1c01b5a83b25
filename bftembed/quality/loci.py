"""Where a text says that its gene lies, and whether the table agrees."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_NUMBER = r"(?:1\d|2[0-2]|[1-9]|X|Y)"
_BAND = r"(?:[1-4]\d?(?:\.\d{1,3})?|ter|cen)"


def _place(prefix: str, optional: str = "") -> str:
    """9q21.33, 9q21-q22, Xp22.3 or 9q; with `optional` ``"?"`` also 9."""
    return (
        rf"(?P<{prefix}number>{_NUMBER})(?:(?P<{prefix}arm>[pq])(?P<{prefix}band>{_BAND})?"
        rf"(?:\s?[-\u2013\u2014]\s?(?:{_NUMBER})?(?P<{prefix}arm2>[pq])(?P<{prefix}band2>{_BAND})?)?){optional}"
        r"(?![\w\u2019'])"
    )


_LINK = r"(?:[\s:,#-]|number\b|no\.|bands?\b|region\b|locus\b|location\b|position\b|is\b|at\b|on\b|in\b|the\b|arm\b)*"
_SITE = re.compile(
    rf"\b(?:[Cc]hromosom(?:es?|al)|CHROMOSOME|[Cc]hr\.?){_LINK}{_place('a_', '?')}"
    r"|\bthe (?P<sex>[XY])[ -]chromosome\b"
    rf"|(?<![\w.;:*/-]){_place('b_')}"
)
_ARM_BEFORE = re.compile(r"\b(?P<arm>short|long|p|q)[ -]arms?\s+of\s+(?:the\s+)?(?:human\s+)?\Z", re.IGNORECASE)
_ARM_AFTER = re.compile(rf"\A[\s,(]*{_LINK}(?P<arm>short|long|p|q)[ -]arm\b", re.IGNORECASE)
_BAND_AFTER = re.compile(rf"\A[\s,(]*{_LINK}(?P<arm>[pq])(?P<band>{_BAND})(?!\w)")
#: What lies elsewhere than the gene, or may: said before a place in its sentence, or behind it in its clause.
_ELSEWHERE = re.compile(
    r"pseudo-?gene|delet(?:ed|ion)|\btransloc|\bfus(?:ed|ion)|rearrange|breakpoint|\b(?:mono|tri)somy|duplicat"
    r"|\bloss of\b"
    r"|\bparalog|\bhomolog|\bortholog|\bretro(?:gene|trans)|\bmouse\b|\bmurine\b|\bcop(?:y|ies)\b|\binver(?:ted|sion)"
    r"|\brelated\b|\bsimilar|\b(?:an)?other\b|\b(?:differ|distinct|interact)|\b(?:originally|initially|previously)\b"
    r"|\breported\b|\bthought\b|\b(?:del|inv|t)\(",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")
_CLAUSE = re.compile(r",\s|\sand\s|\sbut\s|\swhile\s")


class Site(NamedTuple):
    """A stretch of a chromosome.

    Attributes
    ----------
    chromosome
        ``"1"`` to ``"22"``, ``"X"``, ``"Y"``.
    low, high
        From -1, the end of the short arm, by 0, the centromere, to 1, the end of the long arm: band q21.33 is 0.2133
        to 0.2134, the long arm 0 to 1, a whole chromosome -1 to 1.
    """

    chromosome: str
    low: float = -1.0
    high: float = 1.0

    @property
    def is_whole(self) -> bool:
        """Whether no arm is told."""
        return (self.low, self.high) == (-1.0, 1.0)

    def meets(self, other: Site) -> bool:
        """Whether both lie on one chromosome and have some of it in common."""
        return self.chromosome == other.chromosome and self.low < other.high and other.low < self.high


def stated_sites(text: str) -> list[Site]:
    """Where a text says that its gene lies, in the order of the text.

    Chromosomes and bands in sentences about something else (a pseudogene, a translocation, a deletion, a paralog, the
    mouse) are left out.

    Examples
    --------
    >>> from bftembed.quality.loci import stated_sites
    >>> stated_sites("It lies on chromosome 9q22, and a pseudogene is found on chromosome 5.")
    [Site(chromosome='9', low=0.22, high=0.23)]
    """
    found = []
    for sentence in _SENTENCE.split(text):
        for match in _SITE.finditer(sentence):
            clause = _CLAUSE.split(sentence[match.end() :], maxsplit=1)[0]
            if not _ELSEWHERE.search(sentence[: match.start()]) and not _ELSEWHERE.search(clause):
                found.append(_site(match, sentence))
    return found


def known_sites(locus: str) -> list[Site]:
    """The places of a locus as NCBI Gene writes it, e.g. ``"9q21.33"``, ``"Xp22.3 or Yp11.3"``, ``"11cen-q22.3"``.

    Examples
    --------
    >>> from bftembed.quality.loci import known_sites
    >>> known_sites("1q21-q23")
    [Site(chromosome='1', low=0.21, high=0.24)]
    """
    parts = re.split(r"\||\bor\b|\band\b", locus.replace("cen", "qcen"))
    matches = (re.match(_place("a_", "?"), part.strip()) for part in parts)
    return [_of(match, "a_") for match in matches if match]


def agrees(stated: Sequence[Site], known: Sequence[Site]) -> tuple[str, str]:
    """What the first statement is worth: of the chromosome, and of arm or band.

    Returns
    -------
    chromosome, band
        ``"right"``, ``"wrong"``, or ``"absent"``: nothing is stated, or nothing known. A band is right if it overlaps
        with the known one, and wrong on another chromosome.

    Examples
    --------
    >>> from bftembed.quality.loci import agrees, known_sites, stated_sites
    >>> agrees(stated_sites("CTSL is located on chromosome 1p36.33."), known_sites("9q21.33"))
    ('wrong', 'wrong')
    """
    if not stated or not known:
        return "absent", "absent"
    first = stated[0]
    detailed = next((site for site in stated if not site.is_whole and site.chromosome == first.chromosome), None)
    chromosome = any(first.chromosome == site.chromosome for site in known)
    band = None if detailed is None else any(detailed.meets(site) for site in known)
    return _worth(chromosome), "absent" if band is None else _worth(band)


def _worth(right: bool) -> str:  # noqa: FBT001
    return "right" if right else "wrong"


def _site(match: re.Match[str], sentence: str) -> Site:
    if match["sex"]:
        return Site(match["sex"])
    site = _of(match, "a_" if match["a_number"] else "b_")
    if not site.is_whole:
        return site
    if after := _BAND_AFTER.match(sentence[match.end() :]):
        return Site(site.chromosome, *_stretch(after["arm"], after["band"]))
    arm = _ARM_BEFORE.search(sentence[: match.start()]) or _ARM_AFTER.match(sentence[match.end() :])
    if arm is None:
        return site
    return Site(site.chromosome, *_stretch("p" if arm["arm"].lower() in {"p", "short"} else "q", ""))


def _of(match: re.Match[str], prefix: str) -> Site:
    number, arm, band, arm2, band2 = (match[f"{prefix}{name}"] for name in ("number", "arm", "band", "arm2", "band2"))
    if not arm:
        return Site(number)
    ends = _stretch(arm, band or "")
    if arm2:
        ends = (*ends, *_stretch(arm2, band2 or ""))
    return Site(number, min(ends), max(ends))


def _stretch(arm: str, band: str) -> tuple[float, ...]:
    """Both ends of a band, or of an arm."""
    if band in {"", "ter", "cen"}:
        low, high = {"": (0.0, 1.0), "ter": (0.0, 1.0), "cen": (0.0, 0.12)}[band]
    else:
        digits = band.replace(".", "")
        low, high = float(f"0.{digits}"), (int(digits) + 1) / 10 ** len(digits)
    return (low, high) if arm == "q" else (-high, -low)
