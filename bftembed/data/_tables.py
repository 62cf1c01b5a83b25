"""Readers of tables: csv, tsv and spreadsheets, into pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bftembed._optional import require

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


def read_csv(path: Path, **options: Any) -> pd.DataFrame:
    """Read a csv file, also a compressed one; `options` are those of `pandas.read_csv`.

    A column's type is found from all its rows at once, not chunk by chunk, so that it never depends on the file's
    length.
    """
    import pandas as pd

    frame: pd.DataFrame = pd.read_csv(path, **{"low_memory": False, **options})
    return frame


def read_tsv(path: Path, **options: Any) -> pd.DataFrame:
    """Read a tab-separated file as `read_csv` does."""
    return read_csv(path, **{"sep": "\t", **options})


def read_xlsx(path: Path, **options: Any) -> pd.DataFrame | dict[str, pd.DataFrame]:
    """Read a spreadsheet: a table, or sheet name to table with ``sheet_name: null``.

    Raises
    ------
    MissingExtraError
        If openpyxl is not installed.
    """
    require("openpyxl")
    import pandas as pd

    frames: pd.DataFrame | dict[str, pd.DataFrame] = pd.read_excel(path, engine="openpyxl", **options)
    return frames
