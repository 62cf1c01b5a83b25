"""Results of one kind of vectors as a table or a matrix with names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bftembed._files import replacing
from bftembed.errors import DataError, InputError
from bftembed.expression import checked_target

if TYPE_CHECKING:
    from pathlib import Path

#: Files of `bftembed.write_vectors`; of these, files that can hold texts in place of vectors.
TABLES = (".csv", ".parquet", ".vec", ".npz", ".safetensors")
_TEXTS = (".csv", ".parquet")


def checked_output(output: Path, *, one_table: bool, vectors: bool = True) -> None:
    """Refuse a result that cannot be written under this name.

    Parameters
    ----------
    output
        .h5ad or .zarr, or a table of vectors.
    one_table
        Whether the result is vectors of one kind, which a table can hold.
    vectors
        Whether there will be vectors, or texts alone.

    Raises
    ------
    InputError
        If the suffix is another one, or the directory does not exist.
    """
    from bftembed.vectors import check_target

    if output.suffix not in TABLES:
        checked_target(output, also=TABLES)
        return
    check_target(output)
    if not one_table:
        msg = f"`{output}` holds vectors of one kind: pass --no-cells for those of genes, or write .h5ad or .zarr."
        raise InputError(msg)
    if not vectors and output.suffix not in _TEXTS:
        msg = f"`{output}` holds vectors, and `--encoder none` leaves texts only: write {' or '.join(_TEXTS)}."
        raise InputError(msg)


def usable(vectors: Any, texts: Any) -> Any:
    """Which rows have a vector, or a text where there are no vectors (d = 0): bool, shape (n,)."""
    import numpy as np

    return np.isfinite(vectors).all(axis=1) if vectors.shape[1] else np.asarray(texts, dtype=object) != ""


def write_texts(names: Any, texts: Any, output: Path) -> None:
    """Write the names that have a text, and the texts.

    Parameters
    ----------
    names
        (n,) texts.
    texts
        (n,) texts, ``""`` for names without one.
    output
        CSV with a header line, or Parquet; columns ``name`` and ``text``.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    import pandas as pd

    frame = pd.DataFrame({"name": list(names), "text": list(texts)}, dtype=object)
    frame = frame[frame["text"] != ""]
    try:
        with replacing(output) as made:
            frame.to_csv(made, index=False) if output.suffix == ".csv" else frame.to_parquet(made, index=False)
    except OSError as error:
        msg = f"`{output}` cannot be written ({error}). Free space, or choose another output."
        raise DataError(msg) from error
