"""Embeddings of perturbations: gene knock-outs, knock-downs, activations and their combinations, and drugs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

from bftembed import datasets
from bftembed.errors import InputError
from bftembed.genes import map_names
from bftembed.profiles import Entity
from bftembed.tl._entities import TextOptions, TextSource, drug_facts, embed_entities, to_anndata
from bftembed.tl._keys import checked_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

#: What a prompt calls each kind of perturbation.
_PHRASES = {
    "knockout": "knock-out of",
    "knockdown": "knock-down of",
    "activation": "transcriptional activation (overexpression) of",
}
CONTROLS = ("control", "ctrl", "non-targeting", "NT", "DMSO", "DMSO_TF", "vehicle", "untreated")


@dataclass(frozen=True, slots=True)
class Condition:
    """A perturbation, where it happened and how strong."""

    label: str
    parts: tuple[str, ...]
    dose: str = ""
    cell_line: str = ""

    @property
    def row(self) -> str:
        """Name of the row."""
        return " | ".join(part for part in (self.label, self.dose, self.cell_line) if part)


def embed_perturbations(
    perturbations: AnnData | Sequence[str],
    *,
    how: str = "knockdown",
    key: str = "perturbation",
    dose_key: str | None = None,
    cell_line_key: str | None = None,
    control: Sequence[str] = CONTROLS,
    separator: str = "+",
    facts: str = "auto",
    key_added: str = "X_bft",
    **options: Unpack[TextOptions],
) -> AnnData:
    """Embed perturbations by the profile of each.

    Parameters
    ----------
    perturbations
        Names (``"KLF1"``, ``"KLF1+MAP2K6"``, ``"vorinostat"``), or an AnnData with one in ``obs[key]`` of each cell.
    how
        ``"knockout"``, ``"knockdown"``, ``"activation"`` (genes), or ``"drug"``.
    key
        Column of ``obs`` with the perturbation.
    dose_key, cell_line_key
        Columns of ``obs`` with dose and cell line; each combination that occurs is a row then.
    control
        Names that stand for no perturbation; they get no row, and count as nothing in a combination.
    separator
        Between the parts of a combination.
    facts
        ``"auto"`` puts what the tables at hand know of the genes or drugs into the prompt, ``"none"`` nothing.
    key_added
        Key of the result.
    options
        ``engine``, ``encoder``, ``template``, ``sampling``, ``store``, ``profiles``, ``progress`` as in
        :func:`bftembed.tl.embed_genes`.

    Returns
    -------
    AnnData
        One row per perturbation, sorted. ``X`` and ``obsm[key_added]``: float32, shape (n, d);
        ``obs``: ``perturbation``, ``parts``, ``how``, ``dose``, ``cell_line``, ``bft_profile``;
        ``uns["bft"][key_added]["entities"]``: provenance.

    Raises
    ------
    InputError
        If a column is missing, nothing but controls is there, or `how` is unknown.

    Examples
    --------
    >>> import bftembed as bft
    >>> pert = bft.tl.embed_perturbations(["KLF1", "KLF1+MAP2K6"], how="activation")  # doctest: +SKIP
    """
    checked_key(key_added)
    if how not in {*_PHRASES, "drug"}:
        msg = f"`how` is 'knockout', 'knockdown', 'activation' or 'drug', got {how!r}."
        raise InputError(msg)
    keys = [column for column in (key, dose_key, cell_line_key) if column]
    rows = [(str(name),) for name in perturbations] if not hasattr(perturbations, "obs") else _rows(perturbations, keys)
    fields = [field for field, column in (("dose", dose_key), ("cell_line", cell_line_key)) if column]
    conditions = conditions_of(rows, fields=fields, control=control, separator=separator)
    source = TextSource(**options)
    entities, used = perturbation_entities(conditions, how, facts)
    result = embed_entities(
        entities,
        source,
        names=[condition.label for condition in conditions],
        facts=used,
        how=how,
        n_controls=len(dict.fromkeys(rows)) - len(conditions),
    )
    columns = {
        "perturbation": [c.label for c in conditions],
        "parts": [" + ".join(c.parts) for c in conditions],
        "how": [how] * len(conditions),
        "dose": [c.dose for c in conditions],
        "cell_line": [c.cell_line for c in conditions],
    }
    return to_anndata([c.row for c in conditions], result, columns, key_added=key_added)


def conditions_of(
    rows: Sequence[tuple[str, ...]],
    *,
    fields: Sequence[str] = (),
    control: Sequence[str] = CONTROLS,
    separator: str = "+",
) -> list[Condition]:
    """Different conditions of (perturbation, *fields) rows, sorted, controls left out."""
    skip = {name.casefold() for name in control}
    conditions = []
    for row in dict.fromkeys(rows):
        parts = tuple(p.strip() for p in row[0].split(separator) if p.strip() and p.strip().casefold() not in skip)
        if parts:
            conditions.append(Condition(row[0], parts, **dict(zip(fields, row[1:], strict=False))))
    if not conditions:
        found = ", ".join(sorted({row[0] for row in rows})[:5]) or "none at all"
        msg = f"There is no perturbation but controls ({found})."
        raise InputError(msg)
    return sorted(conditions, key=lambda condition: condition.row)


def perturbation_entities(conditions: Sequence[Condition], how: str, facts: str) -> tuple[list[Entity], str]:
    """Entities of conditions, and what their facts come from."""
    return _drug_entities(conditions, facts) if how == "drug" else _gene_entities(conditions, how, facts)


def _rows(adata: Any, keys: Sequence[str]) -> list[tuple[str, ...]]:
    if missing := [key for key in keys if key not in adata.obs]:
        msg = f"`adata.obs` has no column {missing}; it has {', '.join(map(str, adata.obs.columns)) or 'none'}."
        raise InputError(msg)
    frame = adata.obs[list(keys)].drop_duplicates().dropna()
    return [tuple(map(str, row)) for row in frame.itertuples(index=False, name=None)]


def _gene_entities(conditions: Sequence[Condition], how: str, facts: str) -> tuple[list[Entity], str]:
    genes = sorted({part for condition in conditions for part in condition.parts})
    table = datasets.gene_table()
    symbols = map_names(genes, table).symbols if table else genes
    canonical = {gene: gene if symbol is None else str(symbol) for gene, symbol in zip(genes, symbols, strict=True)}
    known = datasets.gene_facts() if facts == "auto" else None
    entities = []
    for condition in conditions:
        parts = [canonical[part] for part in condition.parts]
        what = f"{_PHRASES[how]} {' and '.join(parts)}" + (" together" if len(parts) > 1 else "")
        where = f" in {condition.cell_line} cells" if condition.cell_line else ""
        dose = f" ({condition.dose})" if condition.dose else ""
        lines = {}
        for part in parts if known else ():
            of_gene = known.of(part) if known else {}
            if text := " ".join(
                re.sub(r"(?<![.!?])$", ".", of_gene[f]) for f in ("full_name", "summary") if f in of_gene
            ):
                lines[part] = text
        entities.append(Entity("perturbation", what + dose + where, lines))
    return entities, f"sha256:{known.digest}" if known else "none"


def _drug_entities(conditions: Sequence[Condition], facts: str) -> tuple[list[Entity], str]:
    known, used = drug_facts(facts)
    entities = []
    for condition in conditions:
        lines: dict[str, str] = {}
        for part in condition.parts:
            for name, value in known.get(part.casefold(), {}).items():
                lines[name if len(condition.parts) == 1 else f"{part}, {name}"] = value
        if condition.dose:
            lines["dose"] = condition.dose
        if condition.cell_line:
            lines["cell line"] = condition.cell_line
        entities.append(Entity("drug", " combined with ".join(condition.parts), lines))
    return entities, used
