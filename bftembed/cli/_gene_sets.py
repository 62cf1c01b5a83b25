"""Gene sets from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bftembed.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


def read_gene_sets(path: Path) -> dict[str, list[str]]:
    """Genes by name of the set, one set a line with tabs between: name, genes; in a .gmt file name, description, genes.

    Raises
    ------
    InputError
        If it is no text, a line has no genes, or a name stands twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"`{path}` cannot be read as gene sets: it is no UTF-8 text ({error})."
        raise InputError(msg) from error
    first_gene = 2 if path.suffix.lower() == ".gmt" else 1
    sets: dict[str, list[str]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, *rest = (field.strip() for field in line.split("\t"))
        genes = [gene for gene in rest[first_gene - 1 :] if gene]
        if not genes or name in sets:
            what = f"names the set `{name}` again" if name in sets else "has no genes after a tab"
            msg = f"`{path}`, line {number} {what}. A line is: name, tab, genes with tabs between them."
            raise InputError(msg)
        sets[name] = genes
    if not sets:
        msg = f"`{path}` holds no gene sets."
        raise InputError(msg)
    return sets
