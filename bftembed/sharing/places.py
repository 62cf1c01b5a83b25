"""How texts were made, without the places of the machine that made them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from bftembed._places import without_places
from bftembed.engines import Request
from bftembed.profiles.recipe import key_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bftembed.profiles import Recipe

#: Of what engines say beside their description: names and versions, no directories and addresses.
_NAMED = ("model", "revision", "adapter_name", "version")


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
