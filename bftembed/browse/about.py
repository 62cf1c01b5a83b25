"""What a page tells of each row beside its text, and of all of them together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bftembed.entities import canonical, gene_entities
from bftembed.errors import InputError
from bftembed.profiles.clean import ISSUES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bftembed.browse.rows import Rows
    from bftembed.entities import Facts

Pairs = list[tuple[str, str]]
_GENES = "genes"
_PLACES = {"store", "directory", "adapter_directory"}


def facts_of(rows: Rows, facts: Facts) -> tuple[list[Pairs], str]:
    """What the gene tables on this machine know of each gene, and where it is from; nothing of other rows.

    What stands word for word in the text is left out, but for the full name.
    """
    told: list[Pairs] = [[] for _ in rows.names]
    if rows.noun != _GENES:
        return told, ""
    entities, used = gene_entities(symbols(rows), facts=facts)
    if used == "none":
        return told, ""
    for pairs, entity, text in zip(told, entities, rows.text, strict=True):
        new = [name for name, fact in entity.facts.items() if name == "full_name" or fact not in text]
        pairs += [(name.replace("_", " "), entity.facts[name]) for name in new]
    return told, used


def symbols(rows: Rows) -> list[str]:
    """Canonical symbols of genes, or their own names where they have none."""
    known = rows.frame["bft_gene"] if "bft_gene" in rows.frame else pd.Series(canonical(rows.names))
    return [
        symbol if isinstance(symbol, str) and symbol else name for symbol, name in zip(known, rows.names, strict=True)
    ]


def columns_told(rows: Rows, drawn: Sequence[str]) -> list[Pairs]:
    """Columns of each row as text, but for those of `drawn`, which a page has already."""
    told: list[Pairs] = [[] for _ in rows.names]
    for column in rows.frame.columns:
        if str(column) in drawn:
            continue
        values = rows.frame[column]
        for pairs, value, missing in zip(told, values.astype(str), values.isna(), strict=True):
            if not missing and value:
                pairs.append((str(column), value))
    return told


def notes_of(rows: Rows) -> list[str]:
    """What was mended in each text, or why there is none."""
    if rows.texts is None:
        return [""] * len(rows.frame)
    told = []
    for text, status, issues in zip(rows.text, rows.texts["status"], rows.texts["issues"], strict=True):
        words = [ISSUES.get(issue, issue) for issue in issues.split()] if isinstance(issues, str) else []
        if not text and isinstance(status, str) and status != "ok":
            words.insert(0, f"no usable text ({status})")
        told.append("; ".join(words))
    return told


def flags_of(rows: Rows, checks: Any) -> list[list[str]] | None:
    """What a check of profiles found in the text of each gene, None where it was not checked.

    Parameters
    ----------
    rows
        Genes.
    checks
        `bftembed.quality.ProfileChecks`, its table ``genes``, or the file of ``profiles check --genes-output``.

    Raises
    ------
    InputError
        If it is none of these, the rows are no genes, or it has none of them.
    """
    if checks is None:
        return None
    if rows.noun != _GENES:
        msg = f"Checks are of profiles of genes, and this page has {rows.noun}: leave `checks` out."
        raise InputError(msg)
    table = _table(checks)
    several = "profiles" in table and len(set(table["profiles"])) > 1
    found: dict[str, list[str]] = {}
    for row in table.to_dict("records"):
        said = row["flags"] if isinstance(row["flags"], str) else ""
        label = f"{row['profiles']}: " if several else ""
        found.setdefault(str(row["gene"]), []).extend(f"{label}{flag}" for flag in said.split("; ") if flag)
    made = [found.get(symbol, ["?"]) for symbol in symbols(rows)]
    if not any(flags != ["?"] for flags in made):
        msg = f"`checks` has none of the {len(made):,} genes of this page: give the check of its own profiles."
        raise InputError(msg)
    return made


def _table(checks: Any) -> pd.DataFrame:
    if isinstance(checks, str | Path):
        checks = _read(Path(checks).expanduser())
    table = checks if isinstance(checks, pd.DataFrame) else getattr(checks, "genes", None)
    if not isinstance(table, pd.DataFrame) or not {"gene", "flags"} <= set(table.columns):
        msg = "`checks` is no table of checked profiles: it has a row for each text, with the columns gene and flags."
        raise InputError(msg)
    return table


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, sep="," if path.suffix == ".csv" else "\t", keep_default_na=False)
    except (OSError, ValueError) as error:
        how = "`bftembed profiles check STORE --genes-output FILE.tsv` makes one."
        msg = f"`{path}` cannot be read as checks of profiles ({error}); {how}"
        raise InputError(msg) from error


def origin(info: Mapping[str, Any], genes: Mapping[str, Any] | None = None) -> Pairs:
    """Who wrote the texts, by which recipe, and who encoded them; also of the genes that cells are made of."""
    engine, encoder = info.get("engine", {}), info.get("encoder", {})
    told = {
        "written by": engine.get("model") or engine.get("engine") or ("texts that were given" if encoder else ""),
        "adapter": engine.get("adapter_name", ""),
        "template": info.get("template", ""),
        "recipe": str(info.get("recipe", ""))[:12],
        "encoder": encoder.get("model") or encoder.get("encoder", ""),
        "cells by": info.get("method", ""),
        "weights": info.get("weights", ""),
        "date": str(info.get("date", ""))[:10],
        "bftembed": info.get("bftembed_version", ""),
    }
    beneath = [(f"genes: {name}", value) for name, value in origin(genes)] if genes else []
    return [*((name, _name(value)) for name, value in told.items() if value), *beneath]


def provenance_lines(info: Mapping[str, Any], prefix: str = "") -> Pairs:
    """All that is known of the origin, but for paths on the machine that made it."""
    told: Pairs = []
    for name, value in info.items():
        if isinstance(value, Mapping):
            told += provenance_lines(value, f"{prefix}{name}.")
        elif name not in _PLACES:
            told.append((f"{prefix}{name}", _name(value)))
    return told


def _name(value: Any) -> str:
    """A value as text; of a path on the machine that made it the last part."""
    text = str(value)
    return Path(text).name if Path(text).is_absolute() else text
