"""Parts that workers have written: what is done, its texts into a store, its vectors by text."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed._files import refuse_nul, remove
from bftembed.errors import InputError, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bftembed.profiles import ProfileStore

#: Names of parts, see `bftembed.scale.worker.Batch.part`.
_PART = re.compile(r"[0-9a-f]{32}\.parquet")
_ABANDONED = 3600.0  # seconds


class Parts:
    """Directory of parts.

    Parameters
    ----------
    directory
        Made if it is not there.

    Raises
    ------
    StoreError
        If it cannot be made.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._merged: set[str] = set()
        try:
            refuse_nul(directory)
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"The directory of parts `{directory}` cannot be made: {error}. Choose another one."
            raise StoreError(msg) from error

    def files(self) -> list[Path]:
        """Finished parts by name; other files may lie there too."""
        return sorted(path for path in self.directory.glob("*.parquet") if _PART.fullmatch(path.name))

    def merge(self, store: ProfileStore) -> None:
        """Put the texts of parts that have come since the last call into a store, by key.

        Raises
        ------
        StoreError
            If a part is damaged, or the store cannot be written.
        """
        for path in self.files():
            if path.name not in self._merged:
                try:
                    store.load(path)
                except InputError as error:
                    msg = f"The part `{path}` is damaged: delete it and run again, its names are asked for once more."
                    raise StoreError(msg) from error
                self._merged.add(path.name)

    def done(self, encoder: str) -> set[str]:
        """Keys that need nothing more: encoded by this encoder (its digest), or failed twice."""
        return {
            key
            for path in self.files()
            for key, by, status in zip(*self._columns(path, "key", "encoder", "status"), strict=True)
            if by == encoder and status != "error"
        }

    def vectors(self, encoder: str) -> dict[str, tuple[NDArray[np.float32], bool]]:
        """By text its vector, float32 (d,), by this encoder (its digest), and whether the text was split."""
        return {
            text: (np.asarray(vector, dtype=np.float32), split)
            for path in self.files()
            for text, by, vector, split in zip(*self._columns(path, "text", "encoder", "vector", "split"), strict=True)
            if by == encoder and vector is not None
        }

    def tidy(self) -> None:
        """Remove what killed workers have left unfinished: an hour later, since another run may write here now."""
        for path in self.directory.glob(".*.parquet"):
            if not _PART.fullmatch(path.name.split(".", 2)[-1]):
                continue
            with suppress(OSError):  # finished in the meantime
                if path.stat().st_mtime < time.time() - _ABANDONED:
                    remove(path)

    def _columns(self, path: Path, *names: str) -> Sequence[list[Any]]:
        import pyarrow.parquet as pq

        table = pq.read_table(path, columns=list(names))
        return [table[name].to_pandas().tolist() if name == "vector" else table[name].to_pylist() for name in names]
