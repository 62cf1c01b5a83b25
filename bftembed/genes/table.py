"""`GeneTable`: what every known gene name stands for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bftembed.errors import DataError
from bftembed.genes import bridges
from bftembed.genes.claims import SEPARATOR, TIERS, gather, hgnc_claims, resolve, unique_folds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bftembed.genes.ids import ObjectArray

SCHEMA = 2
"""Number of the file layout and of the rules that made it; a file of another number is not read."""


@dataclass(frozen=True, eq=False)
class GeneTable:
    """Approved symbols, previous symbols, aliases and Ensembl ids of one species, resolved once.

    Attributes
    ----------
    rows
        One row per name, names unique: ``name``; ``tier``, the best of approved, ensembl, case, previous, listed,
        alias; ``answer``, the symbol, or ``A|B`` if the name is ambiguous there; ``ensembl``, the Ensembl gene id of a
        symbol (``""`` elsewhere). ``listed`` is a symbol that Ensembl or NCBI use and HGNC does not know.
    digest
        SHA-256 of all rows: two tables with the same digest answer alike.
    version
        Sources of the table, for display.
    species
        ``"human"``.

    Examples
    --------
    >>> from bftembed.datasets import gene_table
    >>> table = gene_table()  # None without the gene tables
    >>> table.species, table.rows.loc[table.rows["name"] == "P53", "answer"].tolist()
    ('human', ['TP53'])
    """

    rows: pd.DataFrame
    digest: str
    version: str
    species: str = "human"

    @classmethod
    def from_frames(
        cls, hgnc: pd.DataFrame, *, ncbi: pd.DataFrame | None = None, ensembl: pd.DataFrame | None = None
    ) -> GeneTable:
        """Build a table of human genes.

        Parameters
        ----------
        hgnc
            ``Approved symbol``, ``Previous symbols``, ``Alias symbols`` (comma separated).
        ncbi
            NCBI gene_info: adds synonyms, and symbols and Ensembl ids that the others lack.
        ensembl
            annotables: ``ensgene``, ``symbol`` and, if there, ``chr``; adds Ensembl ids.

        Raises
        ------
        InputError
            If a column is missing.
        """
        claims = hgnc_claims(hgnc)
        rows = resolve(claims)
        made_of = [f"HGNC ({(rows['tier'] == 'approved').sum():,} symbols)"]
        on_primary = pd.Series(dtype=object)
        if ensembl is not None:
            genes = bridges.ensembl_frame(ensembl)
            claims = gather(claims, *bridges.ensembl_claims(genes, bridges.NameIndex(rows)))
            rows = resolve(claims)
            on_primary = genes.loc[genes["primary"], "ensgene"]
            made_of.append(f"Ensembl ({genes['ensgene'].nunique():,} ids)")
        if ncbi is not None:
            entries = bridges.ncbi_frame(ncbi)
            rows = resolve(gather(claims, *bridges.ncbi_claims(entries, bridges.NameIndex(rows))))
            made_of.append(f"NCBI ({len(entries):,} genes)")
        is_symbol = rows["tier"].isin(["approved", "listed"])
        rows["ensembl"] = rows["name"].where(is_symbol).map(bridges.best_ids(rows, on_primary)).fillna("")
        return cls(rows, _digest(rows), ", ".join(made_of))

    def __len__(self) -> int:
        return len(self.symbols)

    def __contains__(self, symbol: object) -> bool:
        return symbol in self.symbols

    @cached_property
    def symbols(self) -> pd.Index[str]:
        """The canonical symbols: what a name can be mapped to."""
        symbols: pd.Index[str] = pd.Index(self.rows.loc[self.rows["tier"].isin(["approved", "listed"]), "name"])
        return symbols

    @cached_property
    def ensembl_ids(self) -> Mapping[str, str]:
        """Ensembl gene id of each symbol that has one."""
        rows = self.rows[self.rows["ensembl"] != ""]
        return dict(zip(rows["name"], rows["ensembl"], strict=True))

    @cached_property
    def _names(self) -> pd.Index[str]:
        names: pd.Index[str] = pd.Index(self.rows["name"])
        return names

    @cached_property
    def _folds(self) -> tuple[pd.Index[str], ObjectArray]:
        """Case-folded approved and previous symbols, and the answer to each."""
        answers = dict(zip(self.rows["name"], self.rows["answer"], strict=True))
        approved = self.rows.loc[self.rows["tier"] == "approved", "name"]
        previous = self.rows.loc[self.rows["tier"] == "previous", "name"]
        previous = previous[~previous.str.casefold().isin(approved.str.casefold())]
        names = pd.concat([unique_folds(approved), unique_folds(previous)])
        return pd.Index(names.index.tolist(), dtype=object), names.map(answers).to_numpy(dtype=object)

    @cached_property
    def _columns(self) -> tuple[ObjectArray, ObjectArray]:
        return self.rows["tier"].to_numpy(dtype=object), self.rows["answer"].to_numpy(dtype=object)

    def lookup(self, names: ObjectArray) -> tuple[ObjectArray, ObjectArray]:
        """Look names up as they are, then as case slips of approved or previous symbols.

        Parameters
        ----------
        names
            (n,) object array of str; Ensembl ids without version.

        Returns
        -------
        tier, answer
            (n,) object arrays; None where the name is not known. An answer ``A|B`` is ambiguous.
        """
        tiers, answers = self._columns
        row = self._names.get_indexer(pd.Index(names, dtype=object))
        tier, answer = _take(tiers, row), _take(answers, row)
        lost = np.flatnonzero(row < 0)
        fold = pd.Index([str(name).casefold() for name in names[lost]], dtype=object)
        folds, meant = self._folds
        slip = _take(meant, folds.get_indexer(fold))
        answer[lost] = slip
        tier[lost[slip != None]] = "case"  # noqa: E711
        return tier, answer

    def candidates(self, name: str) -> tuple[str, ...]:
        """All symbols that `name` may stand for at its best tier: none, one, or several if it is ambiguous."""
        answer = self.lookup(np.array([name], dtype=object))[1][0]
        return () if answer is None else tuple(str(answer).split(SEPARATOR))

    def save(self, path: Path) -> None:
        """Write the table to one Parquet file."""
        about = {"schema": SCHEMA, "digest": self.digest, "version": self.version, "species": self.species}
        write_parquet(self.rows.astype({"tier": "category"}), path, "bftembed.genes", about)

    @classmethod
    def load(cls, path: Path) -> GeneTable:
        """Read a table that `save` wrote.

        Raises
        ------
        DataError
            If the file is missing, damaged, or of another layout.
        """
        rows, about = read_parquet(path, "bftembed.genes", SCHEMA)
        rows["tier"] = pd.Categorical(rows["tier"], categories=TIERS).astype(object)
        return cls(rows, about["digest"], about["version"], about["species"])


def write_parquet(frame: pd.DataFrame, path: Path, key: str, about: dict[str, Any]) -> None:
    """Write a table with a description that is kept under `key`, see `read_parquet`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(table.replace_schema_metadata({key: json.dumps(about)}), path)


def read_parquet(path: Path, key: str, schema: int) -> tuple[pd.DataFrame, dict[str, str]]:
    """A Parquet file of this package and the description kept in it under `key`; `DataError` if it is not one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        about = json.loads(table.schema.metadata[key.encode()])
    except (OSError, pa.ArrowException, KeyError, TypeError) as error:
        msg = f"{path} is missing or is no compiled gene file ({error}). Delete it: it is made again from its sources."
        raise DataError(msg) from error
    if about["schema"] != schema:
        msg = f"{path} has layout {about['schema']}, this version reads {schema}. Delete it: it is made again."
        raise DataError(msg)
    return table.replace_schema_metadata(None).to_pandas(), about


def _take(values: ObjectArray, row: npt.NDArray[np.intp]) -> ObjectArray:
    out = np.full(len(row), None, dtype=object)
    hit = row >= 0
    out[hit] = values[row[hit]]
    return out


def _digest(rows: pd.DataFrame) -> str:
    cells = rows.to_numpy(dtype=object).ravel().tolist()
    return hashlib.sha256("\t".join(cells).encode()).hexdigest()
