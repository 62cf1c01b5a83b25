"""What fixes a start, and whether it is of the same model as the others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bftembed.errors import InputError
from bftembed.models.files import resolve_adapted

if TYPE_CHECKING:
    from pathlib import Path

    from bftembed.studies.grpo.config import GRPOStudyConfig, Start


def said(start: Start) -> dict[str, Any]:
    """What fixes a start; of an objective in a file, the file is a part of it."""
    source = {"source": start.objective.source} if start.objective and start.objective.source else {}
    return start.model_dump(mode="json", exclude_defaults=True) | source


def check_models(config: GRPOStudyConfig) -> None:
    """Refuse starts that were made of another model.

    Raises
    ------
    InputError
        If there is one.
    """
    recipe = config.recipe
    for label, start in config.starts.items():
        if start.model is None:
            continue
        own, _ = resolve_adapted(recipe.model, recipe.adapter)
        files, adapter = resolve_adapted(start.model)
        same = files.digest == own.digest if adapter else _shape(files.path) == _shape(own.path)
        if not same:
            msg = (
                f"The start `{label}` is of another model than `{recipe.model}`: gains from different models say "
                "nothing of how they were tuned. Start from models that were tuned from one."
            )
            raise InputError(msg)


def _shape(path: Path) -> dict[str, Any]:
    """What the configuration of a model says of its architecture, without how it was stored."""
    values: dict[str, Any] = json.loads((path / "config.json").read_text(encoding="utf-8"))
    stored = {"_name_or_path", "transformers_version", "torch_dtype", "dtype", "use_cache"}
    return {key: value for key, value in values.items() if key not in stored}
