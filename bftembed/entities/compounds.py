"""Drugs: their names in other tables, and which names mean one compound."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

_SALT = re.compile(
    r"( (2?hcl|(di)?hydrochloride|(tri|mono|di)?hydrate|(di)?sodium( salt)?|potassium|calcium|magnesium|citrate|"
    r"maleate|malate|fumarate|(bi)?tartrate|l-\(\+\)-tartaric acid|succinate|(di)?phosphate|acetate|(di)?tosylate|"
    r"mesylate|besylate|sulfate|nitrate|bromide|chloride|free base))+$"
)


def drug_names(name: str) -> list[str]:
    """Names under which others may know a compound of a catalogue, in lower case, the likeliest first.

    The name itself, without what stands in parentheses, what stands there (synonyms; not a salt or `... inhibitor`,
    which several share), all of these without salt and water, and with a hyphen more or less.

    Examples
    --------
    >>> drug_names("Tofacitinib (CP-690550) Citrate")[:3]
    ['tofacitinib (cp-690550) citrate', 'tofacitinib citrate', 'cp-690550']
    """
    whole = " ".join(name.replace("?", " ").casefold().split())
    inside = [each.strip() for part in re.findall(r" \(([^()]*)\)", whole) for each in part.split(",")]
    inside = [each for each in inside if not each.endswith("inhibitor") and not _SALT.fullmatch(f" {each}")]
    names = [whole, re.sub(r" \([^()]*\)", "", whole), *inside]
    names += [_SALT.sub("", each) for each in names]
    hyphens = [(r"-", ""), (r"([a-z]) ?(?=\d)", r"\1-"), (r" ", "-")]
    names += [re.sub(before, after, each) for each in names for before, after in hyphens]
    return list(dict.fromkeys(each for each in names if each))


def compounds(names: Sequence[str]) -> NDArray[np.int32]:
    """Number of the compound of each name (n,): names that share one of `drug_names` are salts or synonyms of one."""
    from scipy.sparse.csgraph import connected_components
    from sklearn.feature_extraction.text import CountVectorizer

    shared = CountVectorizer(analyzer=drug_names).fit_transform(names)
    numbers: NDArray[np.int32] = connected_components(shared @ shared.T, directed=False)[1]
    return numbers
