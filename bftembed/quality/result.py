"""`ProfileChecks`: what came out, as tables, text and files."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bftembed._files import replacing
from bftembed._html import Shown
from bftembed.errors import InputError, StoreError
from bftembed.quality.measures import MAIN, Estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

_SEPARATORS = {".tsv": "\t", ".csv": ","}
_COLUMNS = ("measure", *Estimate._fields)
#: What a reader sees; all else stands in the tables.
_SHOWN = (
    MAIN,
    f"{MAIN}, median",
    *("masked reciprocal rank (TF-IDF)", "masked first (TF-IDF)", "reciprocal rank (TF-IDF)", "first (TF-IDF)"),
    *("masked percentile (encoder)", "masked percentile (encoder), median", "masked reciprocal rank (encoder)"),
    *("masked first (encoder)", "reciprocal rank (encoder)", "first (encoder)"),
    *(
        f"{name} {worth}"
        for name in ("chromosome", "band", "full name", "family")
        for worth in (
            "right",
            "wrong",
            "right of stated",
            "right, in prompt",
            "wrong, in prompt",
            "right, not in prompt",
            "wrong, not in prompt",
        )
    ),
    *("unknown symbols", "refusal", "repetition", "copied", "n_words"),
)


@dataclass(frozen=True, eq=False)
class ProfileChecks(Shown):
    """Checks of profile texts of genes.

    Attributes
    ----------
    genes
        One row per text, as of `check_texts`, and ``profiles``, the label of its store. Controls are not in it.
    summary
        ``profiles`` (a label, or a control in brackets), ``measure``, ``value``, ``low``, ``high``, ``n``: means over
        genes with 95 % intervals.
    differences
        ``first``, ``second``, ``measure``, ``value`` (first minus second), ``low``, ``high``, ``n``: over the genes
        that both have. Empty for one store.
    notes
        Sentences that a reader needs: what was left out.

    Examples
    --------
    >>> import bftembed as bft
    >>> checked = bft.quality.check_profiles({"CTSL": "A protease on chromosome 1p36."}, controls=False)
    >>> summary = checked.summary.set_index("measure")["value"]
    >>> float(summary["chromosome wrong"])
    1.0
    """

    genes: pd.DataFrame
    summary: pd.DataFrame
    differences: pd.DataFrame
    notes: Sequence[str] = field(default_factory=list)

    def table(self) -> pd.DataFrame:
        """Measures by store and control, ``value [low, high]`` as text."""
        return _wide(self.summary, self.summary["profiles"])

    def markdown(self) -> str:
        """Tables of means and of differences, and the notes."""
        parts = ["# Checks of profiles", as_markdown(self.table())]
        if len(self.differences):
            shown = _wide(self.differences, _pairs(self.differences))
            parts += ["## Paired differences", as_markdown(shown)]
        return "\n\n".join([*parts, *self.notes]) + "\n"

    def save(self, path: str | Path) -> None:
        """Write means and differences: .tsv or .csv (one table), .json (with the notes) or .md.

        Raises
        ------
        InputError
            If the suffix is another.
        StoreError
            If the file cannot be written.
        """
        target = report_path(path)
        if target.suffix == ".md":
            text = self.markdown()
        elif target.suffix == ".json":
            tables = {"summary": self.summary, "differences": self.differences}
            told = {name: json.loads(frame.to_json(orient="records")) for name, frame in tables.items()}
            text = json.dumps(told | {"notes": list(self.notes)}, indent=1)
        else:
            pairs = self.differences.assign(profiles=_pairs(self.differences)).drop(columns=["first", "second"])
            rows = pd.concat([self.summary, pairs], ignore_index=True)
            text = rows[["profiles", *_COLUMNS]].to_csv(sep=_SEPARATORS[target.suffix], index=False)
        _write(target, text)

    def save_genes(self, path: str | Path) -> None:
        """Write the table of single texts: .tsv or .csv.

        Raises
        ------
        InputError
            If the suffix is another.
        StoreError
            If the file cannot be written.
        """
        target = table_path(path)
        first = ["profiles", "gene", "flags"]
        columns = [*first, *self.genes.columns.drop(first)]
        _write(target, self.genes[columns].to_csv(sep=_SEPARATORS[target.suffix], index=False))

    def _parts(self) -> dict[str, Any]:
        differences = {"paired differences": _wide(self.differences, _pairs(self.differences))}
        notes = "\n".join(self.notes)
        return {"means": self.table(), **(differences if len(self.differences) else {}), "notes": notes}


def report_path(path: str | Path) -> Path:
    """The path of a report.

    Raises
    ------
    InputError
        If its suffix is none that there is a format for.

    Examples
    --------
    >>> from bftembed.quality import report_path
    >>> report_path("check.md").name
    'check.md'
    """
    return _with_suffix(path, "a report", (".md", ".json", *_SEPARATORS))


def table_path(path: str | Path) -> Path:
    """The path of a table of single texts.

    Raises
    ------
    InputError
        If its suffix is none that there is a format for.

    Examples
    --------
    >>> from bftembed.quality import table_path
    >>> table_path("genes.tsv").name
    'genes.tsv'
    """
    return _with_suffix(path, "a table of texts", tuple(_SEPARATORS))


def _with_suffix(path: str | Path, what: str, suffixes: Sequence[str]) -> Path:
    target = Path(path).expanduser()
    if target.suffix not in suffixes:
        msg = f"`{target}`: {what} is written to {', '.join(suffixes)}."
        raise InputError(msg)
    return target


def _write(target: Path, text: str) -> None:
    try:
        with replacing(target) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        msg = f"`{target}` cannot be written: {error}. Free space, or choose another path."
        raise StoreError(msg) from error


def _pairs(differences: pd.DataFrame) -> pd.Series[str]:
    return differences["first"] + " minus " + differences["second"]


def _wide(rows: pd.DataFrame, columns: pd.Series[str]) -> pd.DataFrame:
    shown = rows["measure"].isin(_SHOWN)
    rows, columns = rows[shown], columns[shown]
    text = [_number(value, low, high) for value, low, high in rows[["value", "low", "high"]].itertuples(index=False)]
    wide = pd.DataFrame({"measure": rows["measure"], "column": columns, "text": text})
    wide = wide.pivot_table(index="measure", columns="column", values="text", aggfunc="first").fillna("")
    return wide.reindex(index=[name for name in _SHOWN if name in wide.index], columns=list(dict.fromkeys(columns)))


def _number(value: float, low: float, high: float) -> str:
    return f"{value:.3g}" if pd.isna(low) else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def as_markdown(table: pd.DataFrame) -> str:
    """A table of measures, as `ProfileChecks.table` gives it, in Markdown."""
    head = ["measure", *map(str, table.columns)]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {name} | {' | '.join(row)} |" for name, row in zip(table.index, table.to_numpy(), strict=True)]
    return "\n".join(lines)
