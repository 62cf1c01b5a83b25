"""Any gene name to one canonical symbol, entry by entry, with the rule that did it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from bftembed._html import Shown
from bftembed.errors import InputError
from bftembed.genes.claims import SEPARATOR
from bftembed.genes.ids import clean_names, excel_candidates, is_ensembl_id, is_number, strip_version
from bftembed.genes.orthologs import map_orthologs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bftembed.genes.ids import BoolArray, ObjectArray
    from bftembed.genes.orthologs import Orthologs
    from bftembed.genes.table import GeneTable

GeneIdType: TypeAlias = Literal["auto", "ensembl", "symbol"]
MAPPED = (
    "approved",
    "ensembl",
    "case",
    "previous",
    "listed",
    "alias",
    "excel",
    "ortholog",
    "unmapped species",
    "as given",
)
"""Rules that give a symbol, the strongest first; the others are ambiguous, unknown, missing."""
_KEPT = {"unmapped species": "no table of orthologs", "as given": "no gene table"}
_TITLE_CASE = re.compile(r"[A-Z](?=[^A-Z]*[a-z])[^A-Z]*")


@dataclass(frozen=True, eq=False)
class MappingResult(Shown):
    """What became of each name.

    Attributes
    ----------
    frame
        One row per name, in the order given: ``original``, as it came; ``symbol`` or None; ``rule``, one of `MAPPED` or
        ambiguous, unknown, missing; ``candidates``, a tuple of symbols, filled only where the rule is ambiguous.
    mouse_like
        (n,) bool array: names declared human that look like genes of a mouse, which are Ensembl ids of the mouse, and
        ``Cd4``-like names that match a human symbol by case alone.

    Examples
    --------
    >>> from bftembed.datasets import gene_table
    >>> from bftembed.genes import map_names
    >>> result = map_names(["TP53", "MARCH1", "no gene"], gene_table())
    >>> result.n_mapped, result.frame["rule"].tolist()
    (2, ['approved', 'previous', 'unknown'])
    """

    frame: pd.DataFrame
    mouse_like: BoolArray

    @property
    def symbols(self) -> ObjectArray:
        """(n,) object array of str or None; a copy."""
        return self.frame["symbol"].to_numpy(dtype=object, copy=True)

    @property
    def n_mapped(self) -> int:
        """Number of names with a symbol."""
        return int(self.frame["symbol"].notna().sum())

    def counts(self) -> dict[str, int]:
        """Number of names by rule; rules that did nothing are left out."""
        found = self.frame["rule"].value_counts()
        order = (*MAPPED, "ambiguous", "unknown", "missing")
        return {rule: int(found[rule]) for rule in order if rule in found.index}

    @property
    def ambiguous(self) -> dict[str, tuple[str, ...]]:
        """Candidates of each ambiguous name."""
        rows = self.frame[self.frame["rule"] == "ambiguous"]
        return {str(name): found for name, found in zip(rows["original"], rows["candidates"], strict=True)}

    def representatives(self, totals: npt.NDArray[Any] | None = None) -> npt.NDArray[np.intp]:
        """The name that stands for the gene of each name, where several names are one gene.

        A weak match never displaces a strong one: the name with the first rule of `MAPPED` stands for the gene (a case
        slip of a previous symbol counts after an alias), among equal ones that with the largest total, then the first.

        Parameters
        ----------
        totals
            (n,) e.g. the counts of each column; NaN loses against any number.

        Returns
        -------
        (n,) positions; a name's own where it stands for its gene, -1 where it has no symbol.
        """
        frame = self.frame
        slip = (frame["rule"] == "case") & (_folded(frame["original"]) != _folded(frame["symbol"]))
        place = frame["rule"].mask(slip, "alias").map({rule: i for i, rule in enumerate(MAPPED)}) + 0.5 * slip
        order = pd.DataFrame({"gene": frame["symbol"], "place": place, "total": 0.0 if totals is None else totals})
        order = order.dropna(subset="gene").sort_values(["place", "total"], ascending=[True, False], kind="stable")
        first = order.index.to_series().groupby(order["gene"]).transform("first")
        return first.reindex(frame.index, fill_value=-1).to_numpy(dtype=np.intp)

    def report(self) -> str:
        """One line: names in, mapped and by which rule, ambiguous, unknown."""
        counts = self.counts()
        kept = {rule: counts.pop(rule, 0) for rule in _KEPT}
        by_rule = ", ".join(f"{n:,} {rule}" for rule, n in counts.items() if rule in MAPPED)
        mapped = f"{self.n_mapped - sum(kept.values()):,} mapped" + (f" ({by_rule})" if by_rule else "")
        mapped += "".join(f", {n:,} kept as they are ({_KEPT[rule]})" for rule, n in kept.items() if n)
        missing = f", {counts['missing']:,} missing" if "missing" in counts else ""
        lost = f"{counts.get('ambiguous', 0):,} ambiguous, {counts.get('unknown', 0):,} unknown{missing}"
        return f"{len(self.frame):,} gene names: {mapped}, {lost}"

    def _parts(self) -> dict[str, Any]:
        return {"names": len(self.frame), "mapped": self.n_mapped, "by rule": self.counts(), "table": self.frame}


def _folded(names: pd.Series[Any]) -> pd.Series[str]:
    return names.astype(str).str.strip().str.casefold()


def map_names(
    names: Iterable[Any],
    table: GeneTable | None,
    *,
    species: str = "human",
    gene_id_type: GeneIdType = "auto",
    orthologs: Orthologs | None = None,
) -> MappingResult:
    """Map gene names to canonical symbols, each name on its own.

    Rules, the first that fits: approved symbol; Ensembl gene id, with or without version; case slip of an approved
    symbol; previous symbol; a symbol that only Ensembl or NCBI list; alias; case slip of a previous symbol; a symbol
    that a spreadsheet made a date. A bare number is no name, though a source may list it as an alias.
    A name that is a previous symbol (or alias) of several genes is ambiguous: its candidates are given, none is chosen.

    Parameters
    ----------
    names
        n names; text, or missing values (NaN, None, blank). ``"NA"`` is a name.
    table
        Without one, names are passed through unchanged (rule ``as given``), all but bare numbers.
    species
        ``"human"`` or ``"mouse"``. Mouse names get their human symbol by `orthologs` (rule ``ortholog``), and never by
        their spelling; without `orthologs` they stay as they are (rule ``unmapped species``).
    gene_id_type
        ``"auto"`` tells ids and symbols apart name by name; ``"ensembl"`` or ``"symbol"`` makes all others unknown.
    orthologs
        DataFrame with the columns ``mouse`` and ``human``, or a mapping of mouse names to human ones.

    Raises
    ------
    InputError
        If `species` or `gene_id_type` is none of the above.

    Examples
    --------
    >>> from bftembed.datasets import gene_table
    >>> from bftembed.genes import map_names
    >>> mapped = map_names(["ENSG00000141510", "MARCH1", "1-Mar"], gene_table())
    >>> mapped.frame["rule"].tolist()
    ['ensembl', 'previous', 'ambiguous']
    """
    if species not in ("human", "mouse"):
        msg = f"`species` must be 'human' or 'mouse', not {species!r}."
        raise InputError(msg)
    if gene_id_type not in ("auto", "ensembl", "symbol"):
        msg = f"`gene_id_type` must be 'auto', 'ensembl' or 'symbol', not {gene_id_type!r}."
        raise InputError(msg)
    original = list(names)
    clean, missing = clean_names(original)
    ids = np.array([is_ensembl_id(name) for name in clean], dtype=bool)
    tried = ~missing & (np.True_ if gene_id_type == "auto" else ids if gene_id_type == "ensembl" else ~ids)
    keys = clean.copy()
    keys[ids] = [strip_version(name) for name in clean[ids]]
    if species == "mouse" and orthologs is not None:
        answer = np.full(len(clean), None, dtype=object)
        answer[tried] = map_orthologs(keys[tried], orthologs, table)
        return _result(original, answer, np.where(missing, "missing", "ortholog"))
    if species == "mouse" or table is None:
        rule = np.where(missing, "missing", "as given" if species == "human" else "unmapped species")
        keep = clean.copy()
        keep[missing | np.array([is_number(name) for name in clean], dtype=bool)] = None
        return _result(original, keep, rule, whole=True)
    answer, rule = _human(keys, tried, table)
    rule[missing] = "missing"
    looks_mouse = [
        key.startswith("ENSMUSG") if is_id else how == "case" and _TITLE_CASE.fullmatch(key) is not None
        for key, is_id, how in zip(keys, ids, rule, strict=True)
    ]
    return _result(original, answer, rule, mouse_like=np.array(looks_mouse, dtype=bool))


def _human(keys: ObjectArray, tried: BoolArray, table: GeneTable) -> tuple[ObjectArray, ObjectArray]:
    tier, answer = table.lookup(keys)
    tier[~tried] = answer[~tried] = None
    for i in np.flatnonzero(tried & (answer == None)):  # noqa: E711
        if old := excel_candidates(keys[i]):
            answer[i], tier[i] = _repair(old, table), "excel"
    return answer, tier


def _repair(old: tuple[str, ...], table: GeneTable) -> str | None:
    """All genes that one of the old names stands for; an alias counts only where no better name is known."""
    tier, answer = table.lookup(np.array(old, dtype=object))
    official = np.isin(tier, ["approved", "previous"])
    found = answer[official] if official.any() else answer[answer != None]  # noqa: E711
    return SEPARATOR.join(sorted({symbol for one in found for symbol in one.split(SEPARATOR)})) or None


def _result(
    original: list[Any],
    answer: ObjectArray,
    rule: ObjectArray,
    *,
    whole: bool = False,
    mouse_like: BoolArray | None = None,
) -> MappingResult:
    """`whole`: an answer is a name as it came, not one of ours that may be ``A|B``."""
    several = np.array([not whole and isinstance(a, str) and SEPARATOR in a for a in answer], dtype=bool)
    candidates = np.empty(len(original), dtype=object)
    candidates[:] = [tuple(a.split(SEPARATOR)) if many else () for a, many in zip(answer, several, strict=True)]
    unknown = pd.isna(answer) & (rule != "missing")
    symbol = answer.copy()
    symbol[several] = None
    raw = np.empty(len(original), dtype=object)
    raw[:] = original
    columns = {
        "original": raw,
        "symbol": symbol,
        "rule": np.where(several, "ambiguous", np.where(unknown, "unknown", rule)),
        "candidates": candidates,
    }
    none = np.zeros(len(original), dtype=bool)
    return MappingResult(pd.DataFrame(columns), none if mouse_like is None else mouse_like)
