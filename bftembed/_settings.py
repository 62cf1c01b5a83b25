"""Settings of a session: how much is said, where the cache is, how many threads are used."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any, Literal

from bftembed._html import Shown
from bftembed._near import did_you_mean
from bftembed.errors import InputError

Verbosity = Literal["error", "warning", "info", "debug"]

_LEVELS = {"error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}
_SETTINGS = ("verbosity", "cache_dir", "threads")
_NAMES: list[Verbosity] = ["error", "warning", "info", "debug"]


class _Handler(logging.StreamHandler[Any]):
    """Messages to the current `sys.stderr`, where the user has not configured logging."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        return sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers:
            super().emit(record)


class Settings(Shown):
    """Settings of this session, as ``bft.settings``.

    Attributes
    ----------
    verbosity : str
        ``"error"``, ``"warning"``, ``"info"`` (default: a summary line per call) or ``"debug"``; 0 to 3 may be
        assigned too, and 4, which is ``"debug"`` for scanpy. Messages go to the logger ``bftembed``: to the error
        stream, or where logging is configured to.
    cache_dir : pathlib.Path
        Directory of downloads, converted models, vectors and the default profile store: as assigned, else
        ``BFTEMBED_CACHE``, else the user cache directory of the platform.
    threads : int or None
        CPU threads of language models and encoders; None leaves the choice to ``OMP_NUM_THREADS``, else to torch.

    Examples
    --------
    >>> import bftembed as bft
    >>> bft.settings.verbosity = "warning"
    >>> bft.settings.threads = 1
    >>> bft.settings.reset()
    """

    def __init__(self) -> None:
        self._log = logging.getLogger("bftembed")
        self._log.addHandler(_Handler())
        self.reset()

    def __setattr__(self, name: str, value: object) -> None:
        if not name.startswith("_") and name not in _SETTINGS:
            msg = f"There is no setting `{name}`.{did_you_mean(name, _SETTINGS)} There are: {', '.join(_SETTINGS)}."
            raise InputError(msg)
        super().__setattr__(name, value)

    def reset(self) -> None:
        """Take all settings back to their defaults."""
        self.verbosity = "info"
        self._cache_dir: Path | None = None
        self._threads: int | None = None

    @property
    def verbosity(self) -> Verbosity:
        """How much is said."""
        level = self._log.level
        return next((name for name in _NAMES if _LEVELS[name] <= level), "debug")

    @verbosity.setter
    def verbosity(self, value: Verbosity | int) -> None:
        name = _NAMES[min(value, 3)] if isinstance(value, int) and 0 <= value <= 4 else value
        if name not in _LEVELS:
            msg = f"verbosity is one of {', '.join(map(repr, _NAMES))} or 0 to 4, got {value!r}."
            raise InputError(msg)
        self._log.setLevel(_LEVELS[name])

    @property
    def cache_dir(self) -> Path:
        """Directory of the cache."""
        if self._cache_dir is not None:
            return self._cache_dir
        if custom := os.environ.get("BFTEMBED_CACHE"):
            return Path(custom).expanduser()
        from platformdirs import user_cache_path

        return user_cache_path("bftembed")

    @cache_dir.setter
    def cache_dir(self, value: str | os.PathLike[str] | None) -> None:
        self._cache_dir = None if value is None else Path(value).expanduser()

    @property
    def threads(self) -> int | None:
        """CPU threads of language models and encoders."""
        return self._threads

    @threads.setter
    def threads(self, value: int | None) -> None:
        self._threads = checked_threads(value)

    def __repr__(self) -> str:
        return f"Settings(verbosity={self.verbosity!r}, cache_dir={str(self.cache_dir)!r}, threads={self.threads})"

    def _parts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _SETTINGS}


def checked_threads(value: int | None) -> int | None:
    """Give the number back.

    Raises
    ------
    InputError
        If it is neither None nor a whole number above 0.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        msg = f"threads is a whole number above 0, or None, got {value!r}."
        raise InputError(msg)
    return value


settings = Settings()
