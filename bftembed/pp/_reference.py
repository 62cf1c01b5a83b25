"""What is usual for each gene: mean, s.d. and detection of its log-normalised expression."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bftembed._files import replacing
from bftembed._html import Shown
from bftembed._near import near_file
from bftembed.errors import DataError, InputError
from bftembed.expression import opened, write_anndata

if TYPE_CHECKING:
    from numpy.typing import NDArray

_COLUMNS = ("gene", "batch", "n_cells", "mean", "sd", "detection", "level", "highly_variable")
_NUMBERS = ("mean", "sd", "detection", "level")
_MAKE = "make one with bft.pp.reference(adata)"


@dataclass(frozen=True, eq=False)
class Reference(Shown):
    """Mean, s.d. and detection of the log-normalised expression of each gene, of all cells or of each batch.

    Made by :func:`bftembed.pp.reference`, or from a table of that form (``Reference(table)``).

    Parameters
    ----------
    table
        One row for each gene of each batch, the genes of one batch after those of another, in the same order:

        ``gene`` : str
            Canonical name where it is known (``var["bft_gene"]``), else that of ``var_names``.
        ``batch`` : str
            ``""`` throughout where there are no batches.
        ``n_cells`` : int
            Cells of the batch.
        ``mean``, ``sd`` : float
            Of ``log(1 + counts per 10,000)``; the s.d. is that of a sample (n - 1), as in `scanpy.pp.scale`.
        ``detection`` : float
            Share of the cells in which the gene is not zero.
        ``level`` : float
            Mean of ``exp(expression) - 1``: counts per 10,000. By it, data that are normalised otherwise are noticed.
        ``highly_variable`` : bool
            The same in all batches.

    Raises
    ------
    InputError
        If the table is not of this form, or no highly variable gene varies in a batch.

    Examples
    --------
    >>> import anndata, numpy as np
    >>> import bftembed as bft
    >>> adata = anndata.AnnData(np.array([[1, 0, 3], [0, 2, 2], [4, 1, 0]], dtype=np.float32))
    >>> reference = bft.pp.reference(adata)
    >>> reference.genes.tolist(), reference.detection.round(2).tolist()
    (['0', '1', '2'], [[0.67, 0.67, 0.67]])
    """

    table: pd.DataFrame

    def __post_init__(self) -> None:
        _check_table(self.table)

    @cached_property
    def batches(self) -> tuple[str, ...]:
        """Names of the batches; ``("",)`` where there are none."""
        return tuple(map(str, self.table["batch"].drop_duplicates()))

    @cached_property
    def genes(self) -> pd.Index:
        """Names of the genes, each once: (n_genes,)."""
        return pd.Index(self.table["gene"].iloc[: len(self.table) // len(self.batches)].astype(str), name="gene")

    @property
    def n_cells(self) -> NDArray[np.int64]:
        """Cells of each batch: (n_batches,)."""
        return self._of_batches("n_cells")[:, 0].astype(np.int64)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean log-normalised expression: (n_batches, n_genes)."""
        return self._of_batches("mean")

    @property
    def sd(self) -> NDArray[np.float64]:
        """Standard deviation of the log-normalised expression: (n_batches, n_genes)."""
        return self._of_batches("sd")

    @property
    def detection(self) -> NDArray[np.float64]:
        """Share of cells in which the gene is not zero: (n_batches, n_genes)."""
        return self._of_batches("detection")

    @property
    def level(self) -> NDArray[np.float64]:
        """Mean counts per 10,000: (n_batches, n_genes)."""
        return self._of_batches("level")

    @property
    def highly_variable(self) -> NDArray[np.bool_]:
        """Which genes vary most: (n_genes,)."""
        return np.asarray(self._of_batches("highly_variable")[0], dtype=bool)

    def _of_batches(self, column: str) -> NDArray[Any]:
        return self.table[column].to_numpy().reshape(len(self.batches), -1)

    def __repr__(self) -> str:
        batches = f" in {len(self.batches)} batches" if self.batches != ("",) else ""
        varying = f"{int(self.highly_variable.sum()):,} highly variable"
        return f"Reference({len(self.genes):,} genes, {varying}, of {int(self.n_cells.sum()):,} cells{batches})"

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, which takes the place of an older one once it is complete.

        Parameters
        ----------
        path
            ``.parquet`` (the table), or ``.h5ad`` (the table in ``uns``).

        Raises
        ------
        InputError
            If the name ends otherwise, or the directory does not exist.
        DataError
            If the file cannot be written.
        """
        target = _checked_path(path)
        if not target.parent.is_dir():
            msg = f"There is no directory {str(target.parent)!r} for the reference; make it first."
            raise InputError(msg)
        if target.suffix == ".h5ad":
            import anndata

            write_anndata(anndata.AnnData(uns={"bft": {"X_bft": {"reference": self.table}}}), target)
            return
        try:
            with replacing(target) as made:
                self.table.to_parquet(made, index=False)
        except OSError as error:
            msg = f"`{target}` cannot be written ({error}). Free space, or choose another place."
            raise DataError(msg) from error

    @classmethod
    def read(cls, path: str | os.PathLike[str], *, use_rep: str | None = None) -> Reference:
        """Read it from a file that `write` made, or from an AnnData file of cells embedded by contrast.

        Parameters
        ----------
        path
            ``.parquet`` or ``.h5ad``.
        use_rep
            Of an ``.h5ad`` with several embeddings by contrast: key of the one whose reference is meant.

        Raises
        ------
        InputError
            If there is no such file, or none or several references in it.
        DataError
            If the file is damaged.

        Examples
        --------
        >>> import anndata, tempfile
        >>> import bftembed as bft
        >>> reference = bft.pp.reference(anndata.AnnData(np.array([[1, 0, 3], [0, 2, 2]], dtype=np.float32)))
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     reference.write(f"{directory}/reference.parquet")
        ...     again = bft.pp.Reference.read(f"{directory}/reference.parquet")
        >>> again.table.equals(reference.table)
        True
        """
        source = _checked_path(path)
        if not source.exists():
            make = f"{_MAKE} and write it with reference.write(path)."
            msg = f"There is no file {str(source)!r}; {make}{near_file(source)}"
            raise InputError(msg)
        try:
            found = pd.read_parquet(source) if source.suffix == ".parquet" else _in_uns(source, use_rep)
        except InputError:
            raise
        except Exception as error:  # pyarrow, h5py and anndata raise errors that have no common base
            reason = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')[:200]}"
            msg = f"`{source}` cannot be read as a reference ({reason}): write or copy it again."
            raise DataError(msg) from error
        try:
            return cls(found)
        except InputError as error:
            msg = f"`{source}` holds no usable reference. {error}"
            raise InputError(msg) from error

    @classmethod
    def of(cls, value: Any) -> Reference:
        """A reference as it is, from a table such as ``uns["bft"]["X_bft"]["reference"]``, or from a file.

        Raises
        ------
        InputError
            If it is none of these.
        DataError
            If the file is damaged.
        """
        if isinstance(value, Reference):
            return value
        if isinstance(value, str | os.PathLike):
            return cls.read(value)
        if isinstance(value, pd.DataFrame):
            return cls(value)
        msg = f"`reference` is a Reference, its table or the path of one, not a {type(value).__name__}; {_MAKE}."
        raise InputError(msg)

    def _parts(self) -> dict[str, Any]:
        variable = int(self.table.drop_duplicates("gene")["highly_variable"].sum())
        counts = {"genes": len(self.genes), "highly variable": variable}
        return {**counts, "batches": list(filter(None, self.batches)), "table": self.table}


def _check_table(table: Any) -> None:
    if not isinstance(table, pd.DataFrame):
        msg = f"A reference is made of a table, a DataFrame, not of a {type(table).__name__}: {_MAKE}."
        raise InputError(msg)
    missing = [name for name in _COLUMNS if name not in table.columns]
    if missing:
        msg = f"A reference has the columns {', '.join(_COLUMNS)}; {', '.join(missing)} are missing: {_MAKE}."
        raise InputError(msg)
    for kind, names in (("numbers", (*_NUMBERS, "n_cells")), ("True and False", ("highly_variable",))):
        is_kind = pd.api.types.is_numeric_dtype if kind == "numbers" else pd.api.types.is_bool_dtype
        if bad := [name for name in names if not is_kind(table[name])]:
            msg = f"The column {bad[0]!r} of a reference holds {kind}, not {table[bad[0]].dtype}: {_MAKE}."
            raise InputError(msg)
    batches = table["batch"].drop_duplicates()
    if not _is_regular(table, batches):
        msg = (
            "A reference has the same genes in the same order for each batch, each once, numbers that are not "
            "negative, the same `n_cells` (above zero) throughout a batch, and the same `highly_variable` in all; this "
            f"table does not: {_MAKE}, and change nothing of it."
        )
        raise InputError(msg)
    chosen = table["highly_variable"].to_numpy(dtype=bool)
    varies = (table["sd"].to_numpy(dtype=float) > 0) & chosen
    if not chosen.any() or not varies.reshape(len(batches), -1).any(axis=1).all():
        what = (
            "a batch in which all s.d. are zero among highly variable genes"
            if chosen.any()
            else "no highly variable gene"
        )
        msg = f"This reference has {what}: nothing can be compared with it; {_MAKE} of cells that differ."
        raise InputError(msg)


def _is_regular(table: pd.DataFrame, batches: pd.Series[Any]) -> bool:
    """Whether all batches have the same genes, each once, and numbers that can be."""
    genes = table["gene"].astype(str).to_numpy()
    n_genes = len(table) // max(len(batches), 1)
    first = genes[:n_genes]
    if (
        n_genes == 0
        or len(set(first)) < n_genes
        or not np.array_equal(genes, np.tile(first, len(batches)))
        or not np.array_equal(table["batch"].astype(str), np.repeat(batches.astype(str).to_numpy(), n_genes))
    ):
        return False
    cells = table["n_cells"].to_numpy(dtype=float, na_value=np.nan).reshape(-1, n_genes)
    chosen = table["highly_variable"].to_numpy().reshape(-1, n_genes)
    for name in _NUMBERS:  # one after the other: the table may be large
        numbers = table[name].to_numpy(dtype=float, na_value=np.nan)
        if not ((numbers >= 0) & (numbers < np.inf)).all():
            return False
    return bool(
        ((cells > 0) & (cells < np.inf)).all() and (cells == cells[:, :1]).all() and (chosen == chosen[0]).all()
    )


def _checked_path(path: str | os.PathLike[str]) -> Path:
    target = Path(path).expanduser()
    if target.suffix not in {".parquet", ".h5ad"}:
        msg = f"The file of a reference ends in .parquet or .h5ad, not as `{target}`."
        raise InputError(msg)
    return target


def _in_uns(source: Path, use_rep: str | None) -> Any:
    """The table in ``uns["bft"][key]["reference"]``."""
    from anndata.io import read_elem

    with opened(source) as parts:
        known = parts.uns.get("bft", {})
        keys = [key for key in known if hasattr(known[key], "keys") and "reference" in known[key]]
        if use_rep is not None:
            keys = [key for key in keys if key == use_rep]
        if len(keys) != 1:
            found = (
                f"the references of {', '.join(keys)}: read one, reference=bft.pp.Reference.read({str(source)!r}, "
                f"use_rep={keys[0]!r}); for the command line write that to a file with Reference.write"
                if keys
                else f"no reference: {_MAKE}"
            )
            msg = f"`{source}` holds {found}."
            raise InputError(msg)
        return read_elem(known[keys[0]]["reference"])
