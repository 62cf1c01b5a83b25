"""Files of the user that tasks read: given by name, e.g. ``bench run --file pairs=pairs.csv``."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from bftembed._near import near_file
from bftembed.errors import DataError, NotGivenError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_GIVEN: ContextVar[dict[str, Path] | None] = ContextVar("given", default=None)


@contextmanager
def given_files(files: Mapping[str, str | Path]) -> Iterator[None]:
    """Make files known by name, as long as the context lasts.

    Raises
    ------
    DataError
        If one of them is not there, or is a directory.

    Examples
    --------
    >>> import tempfile
    >>> from bftembed.data import given_file, given_files
    >>> with tempfile.NamedTemporaryFile() as file, given_files({"pairs": file.name}):
    ...     given_file("pairs").exists()
    True
    """
    paths = {name: Path(path).expanduser() for name, path in files.items()}
    if folders := [str(path) for path in paths.values() if path.is_dir()]:
        msg = f"`{', '.join(folders)}` is a directory; give a file."
        raise DataError(msg)
    if lost := [str(path) for path in paths.values() if not path.is_file()]:
        msg = f"There is no file {', '.join(lost)}.{near_file(Path(lost[0]))}"
        raise DataError(msg)
    token = _GIVEN.set({**(_GIVEN.get() or {}), **paths})
    try:
        yield
    finally:
        _GIVEN.reset(token)


def given_file(name: str) -> Path:
    """Path of the file that the user gave under this name.

    Raises
    ------
    NotGivenError
        If none was given.

    Examples
    --------
    >>> from bftembed.data import given_file, given_files
    >>> with given_files({"labels": __file__}):
    ...     given_file("labels").suffix
    '.py'
    """
    path = (_GIVEN.get() or {}).get(name)
    if path is None:
        msg = f"This needs a file of yours: give it as `--file {name}=PATH` (in Python `files={{{name!r}: PATH}}`)."
        raise NotGivenError(msg)
    return path


def is_given(name: str) -> bool:
    """Whether the user gave a file under this name.

    Examples
    --------
    >>> from bftembed.data import given_files, is_given
    >>> with given_files({"labels": __file__}):
    ...     is_given("labels"), is_given("something else")
    (True, False)
    """
    return name in (_GIVEN.get() or {})
