"""How alike parts of conditions are: by vectors or words of their names, and by dose."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bftembed.entities import canonical
from bftembed.errors import InputError
from bftembed.likeness import drug_words, gene_words, soft, unit
from bftembed.vectors import read_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bftembed.tl._perturb.screen import Part

_DIMENSION = re.compile(r"d?\d+")
_NAME_COLUMNS = ("name", "perturbation", "bft_gene", "symbol", "gene")


class Likes:
    """Unit vectors of genes or drugs by name.

    Parameters
    ----------
    similarity
        ``"tfidf"``, an AnnData with a row per gene, drug or perturbation, a DataFrame by name, or the path of one.
    drugs
        Whether the names are of drugs, compared without case.

    Raises
    ------
    InputError
        If `similarity` is none of these.
    """

    def __init__(self, similarity: Any, *, drugs: bool) -> None:
        self.drugs = drugs
        self.rows: dict[str, int] | None = None
        if isinstance(similarity, str) and similarity == "tfidf":
            return
        names, vectors = _table(similarity)
        self.rows = {}
        if not drugs:
            names += [[str(symbol or name) for symbol, name in zip(canonical(names[0]), names[0], strict=True)]]
        for aliases in names:
            for row, name in enumerate(aliases):
                self.rows.setdefault(name.casefold() if drugs else name, row)
        self.vectors = unit(vectors)

    def unit(self, names: Sequence[str]) -> Any:
        """Rows of unit length (n, d), dense or sparse; zero for a name without a vector."""
        if self.rows is None:
            return (drug_words if self.drugs else gene_words)(names)
        found = np.zeros((len(names), self.vectors.shape[1]), dtype=np.float32)
        for i, name in enumerate(names):
            if (row := self.rows.get(name)) is not None:
                found[i] = self.vectors[row]
        return found

    def has(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """Which names have a vector, (n,)."""
        return np.asarray(abs(self.unit(names)).sum(axis=1)).ravel() > 0

    def weights(
        self, rows: Sequence[Part], columns: Sequence[Part], *, temperature: float, dose_width: float
    ) -> NDArray[np.float64]:
        """Weights (n_rows, n_columns) of parts: 0 where one of the two has no vector.

        ``exp((cosine - 1) / temperature)``, times ``exp(-(difference of log10 doses / dose_width)^2 / 2)`` where both
        have a dose.
        """
        from sklearn.utils.extmath import safe_sparse_dot

        one, other = (self.unit([part.name for part in parts]) for parts in (rows, columns))
        cosines = safe_sparse_dot(one, other.T, dense_output=True)
        doses = [np.array([np.nan if p.dose is None else p.dose for p in parts]) for parts in (rows, columns)]
        apart = np.nan_to_num(doses[0][:, None] - doses[1])
        known = np.outer(*(self.has([part.name for part in parts]) for parts in (rows, columns)))
        return np.where(known, soft(cosines, temperature) * np.exp(-((apart / dose_width) ** 2) / 2), 0.0)


def _table(given: Any) -> tuple[list[list[str]], NDArray[np.float64]]:
    """Names, by how surely they are meant, and vectors of the rows of a table."""
    if isinstance(given, str | os.PathLike):
        given = _read(Path(given).expanduser())
    if hasattr(given, "obsm"):
        frame, vectors = given.obs, given.obsm.get("X_bft", given.X)
    elif isinstance(given, pd.DataFrame):
        frame = given
        columns = [column for column in given.columns if _DIMENSION.fullmatch(str(column))]
        vectors = (given[columns] if columns else given.select_dtypes("number")).to_numpy()
    else:
        msg = (
            "`similarity` is 'tfidf', the AnnData of bft.embed, a DataFrame of vectors by name, or the path of one "
            f"(h5ad, or a file of bft.write_vectors); got {type(given).__name__}."
        )
        raise InputError(msg)
    vectors = np.asarray(vectors.toarray() if hasattr(vectors, "toarray") else vectors, dtype=np.float64)
    if vectors.ndim != 2 or 0 in vectors.shape:
        msg = f"The table of `similarity` has no vectors: its shape is {vectors.shape}. Give columns of numbers."
        raise InputError(msg)
    names = [[str(name) for name in frame.index]]
    names += [[str(name) for name in frame[column]] for column in _NAME_COLUMNS if column in frame]
    return names, vectors


def _read(path: Path) -> Any:
    if not path.exists():
        msg = f"`similarity` is 'tfidf' or the path of a table of vectors; there is no file {str(path)!r}."
        raise InputError(msg)
    if path.suffix == ".parquet":  # as .csv: columns of text may stand beside those of numbers
        return pd.read_parquet(path)
    if path.suffix == ".csv":
        return pd.read_csv(path, index_col=0, keep_default_na=False, na_values=["", "nan"])
    return read_table(path, "similarity")
