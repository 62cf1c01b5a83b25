"""Write-then-rename: a file or directory under its final name is complete."""

from __future__ import annotations

import contextlib
import errno
import glob
import shutil
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_STALE_S = 3600.0


def make_directory(directory: Path) -> None:
    """Make a directory with those above it, where it is not there yet.

    Raises
    ------
    InputError
        If it cannot be made.
    """
    try:
        refuse_nul(directory)
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"The directory `{directory}` cannot be made: {error}. Choose another one."
        raise InputError(msg) from error


def refuse_nul(path: Path) -> None:
    """Say of a path with a NUL byte what is said of others that cannot be: Python raises a ValueError.

    Raises
    ------
    OSError
        If there is one.
    """
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "a path cannot have a NUL byte", str(path))


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give a temporary path beside `target`; what was written there takes the target's place at the end.

    The temporary name keeps the suffix and is different in every call, so that several processes and threads may
    write the same target: the last one wins, and each of them whole. After an error the target is as it was and the
    temporary path is gone.

    Parameters
    ----------
    target
        File or directory to write; missing parent directories are made.

    Raises
    ------
    OSError
        If it cannot be written or renamed.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     with replacing(Path(directory) / "a.txt") as made:
    ...         _ = made.write_text("whole")
    ...     (Path(directory) / "a.txt").read_text()
    'whole'
    """
    refuse_nul(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    made = target.with_name(f".{uuid.uuid4().hex[:12]}.{target.name}")
    try:
        yield made
        _move(made, target)
    finally:
        remove(made)


def _move(made: Path, target: Path) -> None:
    if not (target.is_dir() and made.is_dir()):  # a file never takes the place of a directory: that is an OSError
        made.replace(target)
        return
    # A directory cannot be replaced in one step: the old one is set aside and removed last.
    aside = made.with_name(f"{made.name}.old")
    target.rename(aside)
    try:
        made.rename(target)
    except OSError:
        aside.rename(target)
        raise
    remove(aside)


def remove(path: Path) -> None:
    """Remove a file or a directory with all in it, where there is one; what cannot be removed stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):  # what could not be written can often not be removed either
        path.unlink(missing_ok=True)


def remove_stale(target: Path) -> None:
    """Remove what killed writers of `target` left beside it; a live one has written within the last hour."""
    for made in target.parent.glob(f".{'?' * 12}.{glob.escape(target.name)}"):
        with contextlib.suppress(FileNotFoundError):  # another process was quicker
            if time.time() - made.stat().st_mtime > _STALE_S:
                remove(made)
