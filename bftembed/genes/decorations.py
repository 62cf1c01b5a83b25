"""What stands before or behind the gene names of a list: genome prefixes, second ids, numbers of copies."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bftembed.genes.ids import strip_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bftembed.genes.table import GeneTable

_BETWEEN = re.compile(r"[^A-Za-z0-9]+")
_MOST = 2000  # names that are looked at
_SHARE = 0.2  # of the names that are genes without it: half of a mixture of species has symbols no table knows


@dataclass(frozen=True, slots=True)
class Decoration:
    """A prefix or suffix that names have in common.

    Attributes
    ----------
    text
        As it stands in the first of the names, e.g. ``"GRCh38_"``.
    pattern
        Regular expression (Python, pandas and ``sed -E``) that matches it where it stands: ``^GRCh38_``.
    others
        What other names have in its place, e.g. ``"mm10___"`` where two species are mixed.
    """

    text: str
    pattern: str
    others: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """``"prefix"`` or ``"suffix"``."""
        return "prefix" if self.pattern.startswith("^") else "suffix"


def find_decoration(names: Sequence[str], table: GeneTable) -> Decoration | None:
    """The prefix or suffix without which most of `names` are known.

    Parameters
    ----------
    names
        (n,) names that the table does not know.
    table
        Names of genes.

    Returns
    -------
    What most names carry, or None where no prefix or suffix turns at least a fifth of them into genes. Digits may
    differ from name to name (``TP53|7157``, ``ENSG00000141510_TP53``).

    Examples
    --------
    >>> find_decoration(["GRCh38_TP53", "GRCh38_MYC", "mm10___Trp53"], table)  # doctest: +SKIP
    Decoration(text='GRCh38_', pattern='^GRCh38_', others=('mm10___',))
    """
    names = list(dict.fromkeys(names))[:: max(1, len(names) // _MOST)]
    found: dict[str, dict[str, str]] = defaultdict(dict)  # by pattern: name to the text that is there
    exact: Counter[str] = Counter()  # by pattern: genes as they are written, not by another case
    cores: dict[str, set[str]] = defaultdict(set)  # by pattern: what is left
    cuts = [cut for name in names for cut in _cuts(name)]
    tiers = table.lookup(np.array([strip_version(core) for *_, core in cuts], dtype=object))[0]
    for (name, text, pattern, core), tier in zip(cuts, tiers, strict=True):
        if tier is not None and len(core) > 1:
            found[pattern][name] = text
            exact[pattern] += tier != "case"
            cores[pattern].add(core)
    # NM_000546, NM_005228, ...: what all have in common is no gene, though NM may be an alias of one
    found = {each: names_of for each, names_of in found.items() if 2 * len(cores[each]) > len(names_of)}
    if not found:
        return None
    pattern = max(found, key=lambda each: (exact[each], len(found[each]), -len(each)))
    texts = found[pattern]
    if len(texts) < _SHARE * len(names):
        return None
    first = next(iter(texts.values()))
    if set(texts.values()) == {first}:
        pattern = f"^{_escape(first)}" if pattern.startswith("^") else f"{_escape(first)}$"
    rest = [name for name in names if not re.search(pattern, name)]
    return Decoration(first, pattern, _common(rest) if pattern.startswith("^") else ())


def _cuts(name: str) -> list[tuple[str, str, str, str]]:
    """Name, text, pattern and rest for every prefix and suffix that ends at other than letters and digits."""
    cuts = []
    for between in _BETWEEN.finditer(name):
        before, after = name[: between.end()], name[between.start() :]
        if len(before) < len(name):
            cuts.append((name, before, f"^{_shape(before)}", name[between.end() :]))
        if len(after) < len(name):
            cuts.append((name, after, f"{_shape(after)}$", name[: between.start()]))
    return cuts


def _shape(text: str) -> str:
    return re.sub(r"\d+", "[0-9]+", _escape(text))


def _escape(text: str) -> str:
    """Escape what is special in Python and in sed alike; `re.escape` also escapes blanks and hyphens."""
    return re.sub(r"([.^$*+?()\[\]{}|\\])", r"\\\1", text)


def _common(names: Sequence[str]) -> tuple[str, ...]:
    """The prefix that most of the names have, if there is one."""
    first = Counter(name[: between.end()] for name in names if (between := _BETWEEN.search(name)))
    return tuple(text for text, n in first.most_common(1) if n > len(names) / 2)
