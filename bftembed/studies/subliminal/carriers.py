"""What teachers write and students learn from: lists that have nothing to do with what a teacher likes."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bftembed import data
from bftembed.datasets import NAME_SOURCES, gene_table
from bftembed.errors import DataError
from bftembed.studies.subliminal.words import gives_away

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

_PER_LIST, _MOST = 5, 10
#: Share of the lists that may give an animal away: beyond it the filter is broken.
_GIVEN_AWAY = 0.01
_SEPARATOR = re.compile(r"[\s,;]+")
_FORMS = (
    "Each line is a list of {what}. Write one more line of {n}, separated by commas, and nothing else.\n\n{examples}",
    "{examples}\n\nGo on with one line like these: {n} {what}, commas between them, no other words.",
    "These are {what}:\n{examples}\nAnswer with {n} more in one line, separated by commas. Do not explain.",
)


@dataclass(frozen=True)
class Kind:
    """Lists of one kind: what items are called, which there are, and which of them stand in prompts."""

    what: str
    items: Collection[str]
    shown: Sequence[str]

    def prompts(self, n: int, examples: int, seed: int) -> list[str]:
        """`n` requests to go on with lists, the same ones for a seed."""
        draws = random.Random(seed)

        def line() -> str:
            return ", ".join(draws.choices(self.shown, k=_PER_LIST))

        return [
            draws.choice(_FORMS).format(
                what=self.what, n=_PER_LIST, examples="\n".join(line() for _ in range(examples))
            )
            for _ in range(n)
        ]

    def is_list(self, text: str) -> bool:
        """Whether a text is a list of 2 to 10 items and nothing else; one that was cut may end in a separator."""
        items = _SEPARATOR.split(text.strip(" \n\t,;."))
        return 2 <= len(items) <= _MOST and all(item in self.items for item in items)


def kind_of(name: str) -> Kind:
    """The kind of lists of a name.

    Parameters
    ----------
    name
        ``"numbers"``, 0 to 999 (of three digits in prompts), or ``"genes"``, the approved symbols of the gene tables.

    Raises
    ------
    DataError
        If the gene tables are not available.

    Examples
    --------
    >>> from bftembed.studies.subliminal.carriers import kind_of
    >>> numbers = kind_of("numbers")
    >>> numbers.is_list("12, 999, 7"), numbers.is_list("12, 1000"), numbers.is_list("Sure: 12, 13")
    (True, False, False)
    """
    if name == "numbers":
        every = [str(number) for number in range(1000)]
        return Kind("numbers of three digits", frozenset(every), every[100:])
    table = gene_table()
    if table is None:
        msg = "Lists of genes need the gene tables: `bftembed data fetch genes` brings them, or set BFTEMBED_MIRROR."
        raise DataError(msg)
    symbols = sorted(map(str, table.symbols))
    return Kind("human gene symbols", frozenset(symbols), symbols)


class Lists(NamedTuple):
    """Which answers are lists (and give nothing away), and how many were dropped since they name an animal."""

    kept: list[bool]
    given_away: int

    @property
    def share(self) -> float:
        """Share of answers that are lists."""
        return (sum(self.kept) + self.given_away) / max(len(self.kept), 1)


def filtered(texts: Sequence[str], kind: Kind, animals: Sequence[str]) -> Lists:
    """Keep what is a list and names none of the animals.

    Raises
    ------
    DataError
        If more than 1 % of the lists name an animal: then the filter lets through what it should not.
    """
    lists = [kind.is_list(text) for text in texts]
    named = [is_list and gives_away(text, animals) for is_list, text in zip(lists, texts, strict=True)]
    if sum(named) > _GIVEN_AWAY * sum(lists):
        first = texts[named.index(True)]
        msg = (
            f"{sum(named)} of {sum(lists)} lists of {kind.what} name an animal of the study, the first is `{first}`: "
            "the filter is broken, or the kind of lists cannot be used with these animals."
        )
        raise DataError(msg)
    return Lists([a and not b for a, b in zip(lists, named, strict=True)], sum(named))


def shared(lists: Mapping[str, Sequence[bool]]) -> list[int]:
    """Prompts that every teacher answered with a list.

    Examples
    --------
    >>> from bftembed.studies.subliminal.carriers import shared
    >>> shared({"owl": [True, True, False], "fox": [True, False, True]})
    [0]
    """
    return [number for number, kept in enumerate(zip(*lists.values(), strict=True)) if all(kept)]


def shuffled(texts: Sequence[str], seed: int) -> list[str]:
    """The same items, each text with as many as before, dealt anew within and across texts."""
    draws = random.Random(seed)
    parts = [_SEPARATOR.split(text.strip(" \n\t,;.")) for text in texts]
    items = [item for part in parts for item in part]
    draws.shuffle(items)
    dealt = iter(items)
    return [", ".join(next(dealt) for _ in part) for part in parts]


def sources(name: str) -> dict[str, str]:
    """Checksums of what a kind of lists is made of, for the settings of a cell."""
    if name == "numbers":
        return {}
    files = [file for source in NAME_SOURCES if data.available(source) for file in data.get_manifest(source).files]
    return {file.name: file.sha256 for file in files}
