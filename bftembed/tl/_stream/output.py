"""A new .h5ad or .zarr with an embedding in `.obsm`, written chunk by chunk and put in place at the end."""

from __future__ import annotations

import contextlib
import os
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bftembed._files import replacing
from bftembed.errors import DataError
from bftembed.expression import checked_target
from bftembed.expression.hdf5 import Hdf5Output

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

WRITE_BYTES = 24 << 20  # as a chunk of cells by default, which then needs no copy on its way


class ArrayOutput:
    """An embedding in memory, with the interface of `EmbeddingFile`."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.array = np.empty(shape, dtype=np.float32)

    def block(self, start: int, stop: int) -> NDArray[np.float32]:
        """Where to put the rows from `start` to `stop`."""
        return self.array[start:stop]

    def commit(self, start: int, rows: NDArray[np.float32]) -> None:
        """Nothing left to do: `rows` are in place."""


@contextlib.contextmanager
def embedding_file(
    target: Path, key: str, shape: tuple[int, int], *, zarr_format: int = 3, piece_rows: int | None = None
) -> Iterator[EmbeddingFile]:
    """A file that takes the place of `target` at the end of the block; after an error in it the target is as it was.

    Parameters
    ----------
    target
        Path that ends in .h5ad or .zarr, in an existing directory.
    key
        Name of the array in `.obsm`.
    shape
        Of the array, float32, not compressed: such vectors would shrink by a tenth and take longer.
    zarr_format
        2 or 3, for a .zarr.
    piece_rows
        Rows that are written at once, and lie in one file of a .zarr; by default what makes 24 MB.

    Raises
    ------
    InputError
        If `target` cannot be such a file.
    DataError
        If the disk is full or cannot be written.
    """
    is_zarr, complete = checked_target(target), False
    try:
        with replacing(target) as made:
            form = zarr_format if is_zarr else None
            with EmbeddingFile(made, target, key, shape, zarr_format=form, piece_rows=piece_rows) as file:
                yield file
                file.complete()
            complete = True
    except OSError as error:
        if not complete:  # of something that the block reads: what it writes is a DataError
            raise
        raise _cannot_write(target, error) from error


class EmbeddingFile:
    """See `embedding_file`: the file at `path`, which is later to be `target`; a .zarr if it has a `zarr_format`."""

    def __init__(
        self,
        path: Path,
        target: Path,
        key: str,
        shape: tuple[int, int],
        *,
        zarr_format: int | None = None,
        piece_rows: int | None = None,
    ) -> None:
        self.path, self.target, self.is_zarr = path, target, zarr_format is not None
        self.array_path = path / "obsm" / key
        self._n_rows = shape[0]
        self.piece_rows = rows = piece_rows or max(1, min(shape[0], WRITE_BYTES // (4 * shape[1])))
        self._buffers = [np.empty((rows, shape[1]), dtype=np.float32) for _ in range(2)]
        self._base = 0
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="bftembed-write")
        self._storing: Future[None] | None = None
        self._syncing: Future[None] | None = None
        self._synced: set[Path] = set()
        self._hdf5: Hdf5Output | None = None
        try:
            with self._writing():
                self.root = self._open(zarr_format)
                self._array = self._create(key, shape, rows)
        except BaseException:
            self._pool.shutdown()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        # After a failed write, closing fails for the same reason; the first error is the one to report.
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            if self._hdf5 is not None:
                self._hdf5.close()

    def block(self, start: int, stop: int) -> NDArray[np.float32]:
        """An array for the rows from `start` to `stop`, to be handed to `commit`; blocks come in order."""
        if stop - self._base <= len(self._buffers[0]):
            return self._buffers[0][start - self._base : stop - self._base]
        return np.empty((stop - start, self._buffers[0].shape[1]), dtype=np.float32)

    def commit(self, start: int, rows: NDArray[np.float32]) -> None:
        """Take the rows from `start` on; they are stored by a thread, a large piece at a time."""
        while len(rows):
            place = self._buffers[0][start - self._base :][: len(rows)]
            if not np.may_share_memory(place, rows):
                place[:] = rows[: len(place)]
            start, rows = start + len(place), rows[len(place) :]
            if start - self._base == len(self._buffers[0]) or start == self._n_rows:
                self._store(start)

    def complete(self) -> None:
        """Wait for the last rows and bring everything to the disk.

        Raises
        ------
        DataError
            If the disk is full or cannot be written.
        """
        with self._writing():
            for pending in (self._storing, self._syncing):
                if pending is not None:
                    pending.result()
            self._close()
            self._sync(self.path)

    @contextlib.contextmanager
    def filling(self) -> Iterator[Any]:
        """The root group, to add other elements to."""
        with self._writing(), warnings.catch_warnings():
            # Announcements of anndata and zarr about their next versions; nothing that a user could act on here.
            warnings.filterwarnings("ignore", "zarr v3 autosharding")
            warnings.filterwarnings("ignore", "Consolidated metadata is currently not part")
            yield self.root

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            try:
                yield
            finally:
                if self._hdf5 is not None:
                    self._hdf5.check()  # all else follows from what could not be written
        except (OSError, RuntimeError) as error:  # HDF5 raises either
            raise _cannot_write(self.target, error) from error

    def _open(self, zarr_format: int | None) -> Any:
        if self.is_zarr:
            import zarr

            root: Any = zarr.open_group(self.path, mode="w", zarr_format=zarr_format)  # type: ignore[arg-type]
        else:
            self._hdf5 = Hdf5Output(self.path)
            root = self._hdf5.root
        root.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        return root

    def _create(self, key: str, shape: tuple[int, int], rows: int) -> Any:
        group = self.root.create_group("obsm")
        group.attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
        if self.is_zarr:
            # Chunks that happen to be empty are written too: to look for them takes longer than all the rest.
            config, chunks = {"write_empty_chunks": True}, (rows, shape[1])
            array = group.create_array(
                key, shape=shape, dtype="float32", chunks=chunks, compressors=None, config=config
            )
        else:
            array = group.create_dataset(key, shape=shape, dtype="float32")
        array.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        return array

    def _store(self, stop: int) -> None:
        with self._writing():
            if self._storing is not None:
                self._storing.result()
            if self._syncing is None or self._syncing.done():
                self._syncing = self._pool.submit(self._sync, self.path)
            rows = self._buffers[0][: stop - self._base]
            self._storing = self._pool.submit(self._array.__setitem__, slice(self._base, stop), rows)
            self._base = stop
            self._buffers.reverse()

    def _sync(self, path: Path) -> None:
        """Bring what is written to the disk: called all along, so that the disk works while cells are computed.

        The pages of the file are then given back. A result may be larger than memory: it should not push all
        else out of the page cache, and using few pages again is several times faster than taking new ones.
        """
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            # zarr writes a chunk under the suffix .partial first; the name may be gone a moment later.
            if file.suffix != ".partial" and file.is_file() and not (self.is_zarr and file in self._synced):
                with file.open("rb+") as handle:  # Windows brings to the disk only what may be written
                    os.fsync(handle.fileno())
                    if hasattr(os, "posix_fadvise"):
                        os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                self._synced.add(file)

    def _close(self) -> None:
        if self.is_zarr:
            import zarr

            for rest in self.array_path.rglob("*.partial"):  # of a worker that was killed while it wrote
                rest.unlink()
            with self.filling() as root:
                zarr.consolidate_metadata(root.store)
        if self._hdf5 is not None:
            self._hdf5.close()


def write_piece(rows: NDArray[np.float32], start: int, array_path: Path, target: Path) -> int:
    """Write rows of the array of a .zarr, from `start` on, in another process than that of its `EmbeddingFile`.

    Raises
    ------
    DataError
        If the disk is full or cannot be written, or this machine does not see the file.
    """
    import zarr

    try:
        zarr.open_array(array_path, mode="r+", config={"write_empty_chunks": True})[start : start + len(rows)] = rows
    except FileNotFoundError as error:
        msg = (
            f"A worker of the cluster does not see {str(target)!r}, where the result is being written: choose an "
            "output= in a directory that all machines share, or an .h5ad, which this process writes alone."
        )
        raise DataError(msg) from error
    except OSError as error:
        raise _cannot_write(target, error) from error
    return len(rows)


def _cannot_write(target: Path, error: Exception) -> DataError:
    state = "is unchanged" if target.exists() else "was not made"
    reason = " ".join(str(error).split())  # those of HDF5 have several lines
    msg = f"{str(target)!r} cannot be written ({reason}). It {state}. Free space, or choose another output=."
    return DataError(msg)
