"""Words before a text, from what the user says and from the model's own configuration."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bftembed._near import did_you_mean
from bftembed._warn import warn
from bftembed.errors import InputError, ModelError

if TYPE_CHECKING:
    from pathlib import Path

_STORED = {"document", "passage", "corpus"}  # names of prompts of what is searched in


def choose_prompts(
    path: Path, *, prompt: str | None, prompt_name: str | None, query_prompt: str | None
) -> tuple[str, str]:
    """Words before every text and before a query, from what the user says and the model's own prompts."""
    config = _read_json(path / "config_sentence_transformers.json")
    named = {"query": "", "document": "", **{key: text or "" for key, text in (config.get("prompts") or {}).items()}}
    default = config.get("default_prompt_name")
    if prompt is not None and prompt_name is not None:
        msg = f"Give either prompt={prompt!r} or prompt_name={prompt_name!r}, not both."
        raise InputError(msg)
    if prompt_name is not None and prompt_name not in named:
        msg = f"The model in `{path}` has no prompt {prompt_name!r}; it has {', '.join(sorted(named))}."
        raise InputError(msg + did_you_mean(prompt_name, named))
    there = sorted(key for key, text in named.items() if text)
    if there and prompt is None and prompt_name is None and not default:
        msg = (
            f"The model in `{path}` was trained with prompts ({', '.join(there)}) and gets none. Choose one: "
            "`get_encoder(..., prompt_name='document')`, `--encoder-prompt-name document`; prompt='' for none."
        )
        warn(msg)
    chosen = prompt if prompt is not None else named.get(prompt_name or default or "", "")
    if query_prompt is None:
        query_prompt = named["query"] if prompt_name in _STORED else chosen
    return chosen, query_prompt


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        msg = f"`{path}` cannot be read: {error}."
        raise ModelError(msg) from error
