"""An HDF5 file that is being written, on a disk that may become full.

HDF5 does not survive a write that fails: it keeps what it could not write, and crashes the process when that is closed
or collected, which may be minutes later (h5py 3.16; so ended six of six processes that met full disks again and again).
So it is never told. It writes through a file of Python, which keeps the first error and takes whatever comes after it;
whoever writes asks for that error.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class Hdf5Output:
    """A new HDF5 file; `root` is its h5py file.

    Parameters
    ----------
    path
        The file; an older one is overwritten.

    Raises
    ------
    OSError
        If it cannot be made; as a context manager, or by `check`, if something could not be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     with Hdf5Output(Path(directory) / "a.h5") as root:
    ...         root["numbers"] = [1, 2, 3]
    """

    def __init__(self, path: Path) -> None:
        import h5py

        self._file = _LatchedFile(path)
        try:
            self.root: Any = h5py.File(self._file, "w")
            self.check()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Any:
        return self.root

    def __exit__(self, *_: object) -> None:
        self.close()  # what went wrong after a failed write, such as reading back what is not there, follows from it

    def check(self) -> None:
        """Raise the error of the first write that failed."""
        if self._file.error is not None:
            raise self._file.error

    def close(self) -> None:
        """Write what HDF5 still holds, and raise the first error that there was."""
        try:
            self.root.close()
        except (OSError, RuntimeError):
            self.check()  # it only follows from that
            raise
        finally:
            self._file.close()
        self.check()


class _LatchedFile(io.RawIOBase):
    """A file that can always be written: after the first error, nothing is."""

    def __init__(self, path: Path) -> None:
        self._raw = path.open("w+b", buffering=0)
        self.error: OSError | KeyboardInterrupt | None = None

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def readinto(self, buffer: Any) -> int:
        """All that is asked for; zeros where nothing was written."""
        view, done = memoryview(buffer).cast("B"), 0
        while done < len(view) and (n := self._raw.readinto(view[done:])):
            done += n
        view[done:] = bytes(len(view) - done)
        return len(view)

    def write(self, data: Any) -> int:
        view, done = memoryview(data).cast("B"), 0
        try:
            while self.error is None and done < len(view):
                done += self._raw.write(view[done:])
        except (OSError, KeyboardInterrupt) as error:
            self.error = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        size = self.tell() if size is None else size
        try:
            if self.error is None:
                self._raw.truncate(size)
        except OSError as error:
            self.error = error
        return size

    def close(self) -> None:
        try:
            self._raw.close()
        except OSError as error:
            self.error = self.error or error
        super().close()
