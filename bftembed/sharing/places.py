"""How texts were made, without the places of the machine that made them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

import pandas as pd

from bftembed.engines import Request
from bftembed.profiles.recipe import key_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bftembed.profiles import Recipe

#: Of what engines say beside their description: names and versions, no directories and addresses.
_NAMED = ("model", "revision", "adapter_name", "version")
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


def shared_recipe(recipe: Recipe) -> Recipe:
    """A recipe that can be shown: its provenance is names and versions alone."""
    named = {name: recipe.provenance[name] for name in _NAMED if name in recipe.provenance}
    return replace(recipe, engine=without_places(recipe.engine), provenance=without_places(named))


def shared_encoder(record: Mapping[str, str]) -> dict[str, str]:
    """What an encoder says of itself; without its short name where that is a place."""
    kept = {name: str(value) for name, value in record.items() if name != "path"}
    shown: dict[str, str] = without_places(kept)
    spec = kept.get("spec", "")
    return shown | {"spec": "" if spec.startswith("file:") or shown.get("spec") != spec else spec}


def under(recipe: Recipe, frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of a store as they are shared, under `recipe`: keys follow it, errors and unfinished answers are left out.

    The key of a text holds its recipe; where places are part of that (a model that is called by its path, a server's
    address), the texts have other keys here than in their store.
    """
    former = frame["recipe"].iloc[0]
    shared = frame.assign(info=recipe.json, recipe=recipe.digest, raw="", error=pd.Series(None, frame.index, object))
    if former != recipe.digest:
        requests = [Request("", user, system) for system, user in zip(frame["system"], frame["prompt"], strict=True)]
        shared["key"] = [key_of(recipe.digest, request) for request in requests]
    return shared
