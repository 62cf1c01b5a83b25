"""Vectors as a table: a name and d numbers a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bftembed._files import replacing
from bftembed.errors import DataError, InputError
from bftembed.expression import checked_target

if TYPE_CHECKING:
    from pathlib import Path

TABLES = {".csv", ".parquet"}


def checked_output(output: Path, *, one_table: bool) -> None:
    """Refuse a result that cannot be written under this name.

    Parameters
    ----------
    output
        .h5ad or .zarr, or a table of vectors.
    one_table
        Whether the result is vectors of one kind, which a table can hold.

    Raises
    ------
    InputError
        If the suffix is another one, or the directory does not exist.
    """
    if output.suffix not in TABLES:
        checked_target(output, also=sorted(TABLES))
        return
    if not output.parent.is_dir():
        msg = f"There is no directory {str(output.parent)!r} for output={str(output)!r}; make it first."
        raise InputError(msg)
    if not one_table:
        msg = f"`{output}` holds vectors of one kind: pass --no-cells for those of genes, or write .h5ad or .zarr."
        raise InputError(msg)


def usable(vectors: Any, texts: Any) -> Any:
    """Which rows have a vector, or a text where there are no vectors (d = 0): bool, shape (n,)."""
    import numpy as np

    return np.isfinite(vectors).all(axis=1) if vectors.shape[1] else np.asarray(texts, dtype=object) != ""


def write_vectors(names: Any, vectors: Any, texts: Any, output: Path) -> None:
    """Write the rows that have a vector, or a text where there are no vectors.

    Parameters
    ----------
    names
        (n,) texts.
    vectors
        (n, d) float32, NaN rows for names without a vector.
    texts
        (n,) texts, ``""`` for names without one: written where there are no vectors (d = 0).
    output
        CSV with a header line, or Parquet; columns ``name``, ``d0``, ``d1`` ..., or ``name`` and ``text``.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    import numpy as np
    import pandas as pd

    texts = np.asarray(texts, dtype=object)
    known = usable(vectors, texts)
    columns = [f"d{i}" for i in range(vectors.shape[1])]
    frame = pd.DataFrame(vectors[known], columns=columns, index=pd.Index(np.asarray(names, dtype=object)[known]))
    frame = frame.rename_axis("name").reset_index()
    if not columns:
        frame["text"] = texts[known]
    try:
        with replacing(output) as made:
            frame.to_csv(made, index=False) if output.suffix == ".csv" else frame.to_parquet(made, index=False)
    except OSError as error:
        msg = f"`{output}` cannot be written ({error}). Free space, or choose another output."
        raise DataError(msg) from error
