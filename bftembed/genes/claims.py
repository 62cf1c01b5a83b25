"""What each source says about a name, and which of its claims counts.

A claim is a row ``name, tier, symbol``: "`name` is a previous symbol of `symbol`". Tiers are in order of authority.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from bftembed.errors import InputError
from bftembed.genes.ids import is_number

if TYPE_CHECKING:
    from collections.abc import Sequence

TIERS = ("approved", "ensembl", "case", "previous", "listed", "alias")
SEPARATOR = "|"


def need_columns(frame: pd.DataFrame, columns: Sequence[str], source: str) -> pd.DataFrame:
    """The named columns as text, missing entries as ``""``.

    Raises
    ------
    InputError
        If a column is not there.
    """
    if lost := [column for column in columns if column not in frame.columns]:
        msg = f"The {source} table has no column {lost}; its columns are {list(map(str, frame.columns))}."
        raise InputError(msg)
    part = frame.loc[:, list(columns)]
    return part.astype(object).where(part.notna(), "").astype(str)


def claim(names: pd.Series[str], tier: str, symbols: pd.Series[str]) -> pd.DataFrame:
    """Claims from two aligned columns; a symbol ``A|B`` makes one claim for each, empty ones and numbers make none."""
    frame = pd.DataFrame({"name": names.to_numpy(), "symbol": symbols.to_numpy()}).dropna().astype(str)
    frame["symbol"] = frame["symbol"].str.split(SEPARATOR, regex=False)
    frame = frame.explode("symbol")
    frame = frame[(frame["name"] != "") & (frame["symbol"] != "") & ~frame["name"].map(is_number).astype(bool)]
    return frame.assign(tier=tier)[["name", "tier", "symbol"]]


def gather(*frames: pd.DataFrame) -> pd.DataFrame:
    """Frames of the same columns below each other, at least one of them with rows.

    Empty ones are left out, since pandas lets their column types through to the result.
    """
    return pd.concat([frame for frame in frames if len(frame)])


def split_claims(names: pd.Series[str], separator: str, tier: str, symbols: pd.Series[str]) -> pd.DataFrame:
    """Claims from a column that holds lists of names as text."""
    pairs = pd.DataFrame({"name": names.str.split(separator, regex=True).to_numpy(), "symbol": symbols.to_numpy()})
    pairs = pairs.explode("name")
    return claim(pairs["name"].str.strip(), tier, pairs["symbol"])


def hgnc_claims(frame: pd.DataFrame) -> pd.DataFrame:
    """Approved, previous and alias symbols of the HGNC table (columns as HGNC's download page names them)."""
    source = need_columns(frame, ["Approved symbol", "Previous symbols", "Alias symbols"], "HGNC")
    approved = source["Approved symbol"].str.strip()
    return gather(
        claim(approved, "approved", approved),
        split_claims(source["Previous symbols"], r",\s*", "previous", approved),
        split_claims(source["Alias symbols"], r",\s*", "alias", approved),
    )


def unique_folds(symbols: pd.Series[str]) -> pd.Series[str]:
    """Symbols indexed by their case-folded form, without those that only case tells apart."""
    folded = pd.Series(symbols.to_numpy(), index=symbols.str.casefold().to_numpy(), dtype=object)
    return folded[~folded.index.duplicated(keep=False)]


def resolve(claims: pd.DataFrame) -> pd.DataFrame:
    """One row per name: the best tier that knows it, and its symbol there, or ``A|B`` if that tier names several.

    A name that is no approved symbol but differs from one by case alone is a slip of it, whatever else it may alias.

    Returns
    -------
    pandas.DataFrame
        Columns ``name``, ``tier``, ``answer``; sorted by name, names unique.
    """
    claims = claims.drop_duplicates()
    folds = unique_folds(claims.loc[claims["tier"] == "approved", "symbol"])
    loose = claims.loc[claims["tier"].isin(["previous", "alias"]), "name"].drop_duplicates()
    slips = claim(loose, "case", loose.str.casefold().map(folds))
    claims = gather(claims, slips)
    rank = claims["tier"].map({tier: i for i, tier in enumerate(TIERS)})
    claims = claims[rank == rank.groupby(claims["name"]).transform("min")].sort_values(["name", "symbol"])
    several = claims["name"].duplicated(keep=False)
    joined = claims[several].groupby(["name", "tier"]).agg({"symbol": SEPARATOR.join}).reset_index()
    rows = gather(claims[~several], joined).rename(columns={"symbol": "answer"})
    return rows.sort_values("name", ignore_index=True)[["name", "tier", "answer"]]
