"""Text without the places of the machine that it was written on: directories, addresses of servers."""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

_SERVER = "a server"
_URL = re.compile(r"\w+://[^\s\"',]+")
#: Directories before a name: from the root, a drive, the home or the current directory on.
_FOLDERS = re.compile(r"(?<![\w.)\]])(?:[A-Za-z]:|~|\.{1,2})?[/\\](?:[^/\\\"',;:\n]+[/\\])*(?=\w)")


def without_places(value: Any) -> Any:
    """A value without directories and addresses: the last name of a path stays.

    Parameters
    ----------
    value
        Text, also JSON; mappings and lists of such; all else is given back.

    Examples
    --------
    >>> from bftembed._places import without_places
    >>> without_places({"model": "/home/me/models/tuned", "server": "http://10.0.0.5:8000/v1", "dtype": "float32"})
    {'model': 'tuned', 'server': 'a server', 'dtype': 'float32'}
    """
    if isinstance(value, dict):
        return {name: without_places(item) for name, item in value.items()}
    if isinstance(value, list):
        return [without_places(item) for item in value]
    return _text_without_places(value) if isinstance(value, str) else value


def _text_without_places(value: str) -> str:
    if value.startswith(("{", "[")):
        try:
            return json.dumps(without_places(json.loads(value)), sort_keys=True)
        except ValueError:
            pass
    if PurePosixPath(value).is_absolute() or value.startswith(("~", "./", "../")):
        return PurePosixPath(value).name
    if PureWindowsPath(value).is_absolute() or value.startswith("\\"):
        return PureWindowsPath(value).name
    return _FOLDERS.sub("", _URL.sub(_SERVER, value))
