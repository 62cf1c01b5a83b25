"""Which family or class of proteins a text puts its gene into, and whether the tables say so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from bftembed.quality.words import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_BINDS_DNA = (
    "DNA[- ]binding|homeobox|homeodomain|forkhead|zinc finger|helix-loop-helix|nuclear receptor|bZIP|leucine zipper"
)
#: What a text may call a protein, and what the tables call it.
_CLASSES = {
    "transcription factor": (
        r"transcription(?:al)? (?:factor|activator|repressor|regulator)",
        rf"transcription(?:al)? (?:co-?)?(?:factor|activat|repress|regulat)|{_BINDS_DNA}",
    ),
    "kinase": (r"(?:\w*kinase)", r"kinase"),
    "phosphatase": (r"(?:\w*phosphatase)", r"phosphatase|phosphohydrolase"),
    "G protein-coupled receptor": (
        r"(?:G[- ]protein[- ]coupled receptor|GPCR)",
        r"G[- ]protein[- ]coupled (?:\w+ ){0,2}receptor|olfactory receptor|taste receptor|GPCR|seven[- ]transmembrane",
    ),
    "receptor": (r"receptor", r"receptor"),
    "channel": (r"channel", r"channel|ionotropic|porin"),
    "transporter": (
        r"(?:\w*transporter|symporter|antiporter|exchanger)",
        r"transport(?:er|ing)|\b(?:sym|anti|uni|co)port|exchanger|carrier|solute|pump|transmembrane transport",
    ),
    "protease": (
        r"(?:\w*(?:protease|peptidase|proteinase))",
        r"proteas|peptidase|proteinase|caspase|cathepsin|proteolytic|secretase|trypsin",
    ),
    "ligase": (r"(?:\w*ligase)", r"ligase|synthetase|ubiquitin-protein transferase|ubiquitin conjugat"),
    "GTPase": (r"(?:\w*GTPase|G protein|GTP[- ]binding protein)", r"GTPase|GTP[- ]binding|G[- ]protein|ras[- ]like"),
    "ATPase": (r"\w*ATPase", r"ATPase|ATP hydrolysis|helicase|AAA\b"),
    "helicase": (r"helicase", r"helicase|unwinding|DEAD"),
    "polymerase": (r"polymerase", r"polymerase"),
    "nuclease": (r"\w*nuclease", r"nuclease|RNase|DNase"),
    "oxidoreductase": (
        r"(?:\w*(?:oxidase|reductase|dehydrogenase|oxygenase|hydroxylase|peroxidase|dismutase|catalase))",
        r"oxidase|reductase|dehydrogenase|oxygenase|hydroxylase|peroxidase|dismutase|catalase|P450|oxidoreduct",
    ),
    "transferase": (r"\w*transferase", r"transferase|kinase|synthase"),
    "hydrolase": (r"\w*(?:hydrolase|esterase|lipase)", r"hydrolase|esterase|lipase|\w+idase\b|phosphatase|protease"),
    "chaperone": (r"(?:co-?)?chaperone", r"chaperon|heat shock|protein folding"),
    "cytokine": (
        r"(?:cytokine|chemokine|interleukin|interferon)",
        r"cytokine|chemokine|interleukin|interferon|colony[- ]stimulating|tumor necrosis factor",
    ),
    "growth factor": (r"growth factor", r"growth factor|neurotroph|TGF"),
    "hormone": (r"(?:neuro)?(?:hormone|peptide hormone)", r"hormone|neuropeptide"),
    "immunoglobulin": (r"(?:antibody|immunoglobulin)", r"immunoglobulin|antibody|\bIg\b"),
    "histone": (r"histone(?: protein)?", r"\bhistones?\b (?:H\d|cluster|family|protein)|nucleosome|core histone"),
    "ribosomal protein": (r"ribosomal protein", r"ribosom"),
    "collagen": (r"collagen", r"collagen"),
    "RNA": (
        r"(?:non-?coding RNA(?: molecule)?|microRNA|miRNA|lncRNA|snoRNA|RNA molecule)",
        r"non-?coding RNA|microRNA|miRNA|lncRNA|small nucleolar|antisense RNA|\bsnRNA",
    ),
    "serine protease inhibitor": (
        r"(?:serpin|protease inhibitor|serine protease inhibitor)",
        r"serpin|prote(?:in)?ase inhibitor|peptidase inhibitor|antitrypsin",
    ),
    "motor protein": (r"motor(?: protein)?", r"\bmotor\b|kinesin|dynein|myosin"),
}
#: What may follow the name of a class where it is what the protein is, and not a part of another name.
_HEAD = (
    r"(?:s?\b(?=\s*(?:[.,;:()\[\n]|\Z|(?:that|which|involved|in|of|for|with|from|located|expressed|found|and|or|whose|by|to|on"
    r"|at|responsible|required|encoded|known|proteins?|enzymes?|genes?|family|superfamily|subfamily|members?|subunit"
    r"|specifically|specific|primarily|mainly|is|has|plays)\b)))"
)
_NOT_BETWEEN = "that|which|of|for|involved|in|to|by|with|and|from|on|binding|gene|located"
_BETWEEN = rf"(?:(?!(?:{_NOT_BETWEEN})\b)[\w/'-]+,? ){{0,7}}?"
_CLASS = re.compile(
    r"\b(?:is|are|was|encodes?|encoding|(?:functions?|acts?|serves?|works?|known) as)\s+"
    r"(?:also |probably |likely |thought to be )*(?:an?|one of the)\s+"
    rf"(?P<before>{_BETWEEN})(?P<name>"
    + "|".join(f"(?P<c{i}>{said})" for i, (said, _) in enumerate(_CLASSES.values()))
    + rf"){_HEAD}",
    re.IGNORECASE,
)
_FAMILY = re.compile(
    r"\b(?:(?:members?|part|one|component) of|belongs? to) (?:the|an?) (?P<of>[^.;:()\n]{2,90}?)"
    r"(?:\([^()\n]{1,40}\)[\w -]{0,30}?)?(?:gene |protein )?(?:super|sub)?famil(?:y|ies)\b"
    r"(?P<named> of [\w -]{3,60}?(?=[.,;:()]| which| that| and|\Z))?"
    r"|\bis an? (?P<a>[^.;:()\n]{2,60}?) (?:super|sub)?family member\b",
    re.IGNORECASE,
)
_CLASS_NAMES = tuple(_CLASSES)
#: Words of a family's name that many families have.
_GENERIC = {
    *(
        "protein",
        "proteins",
        "gene",
        "genes",
        "family",
        "large",
        "small",
        "human",
        "new",
        "novel",
        "type",
        "like",
        "class",
    ),
    *(
        "related",
        "associated",
        "containing",
        "domain",
        "the",
        "of",
        "a",
        "an",
        "and",
        "in",
        "to",
        "highly",
        "conserved",
    ),
    *("mammalian", "major", "broad", "same", "group", "subfamily", "superfamily", "member", "members", "other", "this"),
    *(
        "super",
        "sub",
        "coding",
        "is",
        "are",
        "diverse",
        "evolutionarily",
        "larger",
        "that",
        "by",
        "with",
        "as",
        "specific",
        "dependent",
    ),
}
_SAME = 5  # first letters in which forms of one word agree
#: What a protein only binds or acts on is not what it is.
_PARTNER = re.compile(r"\b[\w-]+(?: [\w-]+)? (?:binding|inhibitor activity|regulator activity|activator activity)\b")
#: Between letters and digits.
_LIMIT = re.compile(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])")


class Evidence(NamedTuple):
    """What is held against a statement: what the gene is said to be, and all words about it."""

    is_said: str
    all: str


def stated_family(text: str, symbol: str = "") -> tuple[str, str] | None:
    """The first family or class that a text puts its gene into.

    Parameters
    ----------
    text
        The text.
    symbol
        Of the gene: a family that only repeats it (``SLC`` of SLC13A3) is passed over.

    Returns
    -------
    kind, name
        ``("class", "kinase")``, or ``("family", words)`` for "a member of the ... family"; None where there is none.

    Examples
    --------
    >>> from bftembed.quality.families import stated_family
    >>> stated_family("ACOX1 is a transcription factor that binds DNA.")
    ('class', 'transcription factor')
    >>> stated_family("This protein is a member of the peptidase C1 family.")
    ('family', 'peptidase C1')
    """
    found = []
    own = set(_specific(_LIMIT.sub(" ", symbol)))
    told = (match for match in _FAMILY.finditer(text) if set(_specific(_LIMIT.sub(" ", _named(match)))) - own)
    if match := next(told, None):
        found.append((match.start(), ("family", _named(match))))
    if match := _CLASS.search(text):
        which = next(i for i in range(len(_CLASSES)) if match[f"c{i}"])
        found.append((match.start(), ("class", _CLASS_NAMES[which])))
    return min(found)[1] if found else None


def family_evidence(facts: Mapping[str, str], names: Iterable[str], symbols: Iterable[str]) -> Evidence:
    """What the tables say that a gene is.

    Functions that are the binding of something are left out: a protein that binds kinases is none.
    """
    functions = "; ".join(_PARTNER.sub("", term) for term in facts.get("molecular_function", "").split("; "))
    summary = facts.get("summary", "")
    said = [match.group() for pattern in (_FAMILY, _CLASS) for match in pattern.finditer(summary)]
    named = " | ".join([*names, *symbols, facts.get("gene_type", ""), functions])
    return Evidence(" | ".join([named, *said]), f"{named} | {summary}")


def supports(evidence: Evidence, stated: tuple[str, str]) -> bool:
    """Whether the tables (or a prompt) put a gene into the class, or have half of the family's words at least.

    Examples
    --------
    >>> from bftembed.quality.families import family_evidence, supports
    >>> oxidase = family_evidence({"molecular_function": "FAD binding"}, ["acyl-CoA oxidase 1"], ["ACOX1"])
    >>> supports(oxidase, ("class", "transcription factor")), supports(oxidase, ("class", "oxidoreductase"))
    (False, True)
    """
    kind, name = stated
    if kind == "class":
        return re.search(_CLASSES[name][1], evidence.is_said, re.IGNORECASE) is not None
    classes = [shown for said, shown in _CLASSES.values() if re.search(rf"\b{said}\Z", name, re.IGNORECASE)]
    if any(re.search(shown, evidence.is_said, re.IGNORECASE) for shown in classes):
        return True
    known = {word[:_SAME] for word in words(_LIMIT.sub(" ", evidence.all))}
    wanted = _specific(_LIMIT.sub(" ", name))
    found = sum(any(_alike(word, other) for other in known) for word in wanted)
    return 2 * found >= len(wanted)


def _alike(word: str, beginning: str) -> bool:
    return word[:_SAME] == beginning or (
        len(beginning) > 2 and not beginning.isdigit() and beginning == word.rstrip("s")
    )


def _named(match: re.Match[str]) -> str:
    said = match["of"] or match["a"]
    said = re.split(r"\b(?:is|are|that|which|by)\b|\bmembers? of (?:the|an?)\b", said)[-1].strip(" ,")
    return said if _specific(said) else (match["named"] or "").removeprefix(" of ")


def _specific(name: str) -> list[str]:
    return [word for word in words(name) if word not in _GENERIC]
