"""What an adapter adds to the weights of its model."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, NamedTuple

from bftembed.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

_PREFIX = "base_model.model."


class Update(NamedTuple):
    """What is added to one matrix: ``scale * up @ down``, (rows, r) and (r, columns)."""

    up: torch.Tensor
    down: torch.Tensor
    scale: float


def updates(adapter: Path) -> dict[str, Update]:
    """The updates of a LoRA adapter, by the names of the model's matrices.

    Parameters
    ----------
    adapter
        Its directory.

    Raises
    ------
    ModelError
        If it is no adapter of that kind.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
        weights = load_file(adapter / "adapter_model.safetensors")
        scale = float(config["lora_alpha"] / (config["r"] ** (0.5 if config.get("use_rslora") else 1)))
        names = [name.removesuffix(".lora_A.weight") for name in weights if name.endswith(".lora_A.weight")]
        return {
            f"{name.removeprefix(_PREFIX)}.weight": Update(
                weights[f"{name}.lora_B.weight"].double(), weights[f"{name}.lora_A.weight"].double(), scale
            )
            for name in names
        }
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        msg = f"`{adapter}` holds no LoRA adapter: {error}"
        raise ModelError(msg) from error


def update_norm(adapter: Path) -> float:
    """Frobenius norm of all that an adapter adds."""
    return math.sqrt(sum(_inner(one, one) for one in updates(adapter).values()))


def cosine(gradients: Mapping[str, torch.Tensor], teacher: Mapping[str, Update]) -> float:
    """Cosine of a step down the gradients with a teacher's update, over the matrices that the adapter changes.

    Parameters
    ----------
    gradients
        Of a loss, by the names of the matrices.
    teacher
        See `updates`.

    Returns
    -------
    From -1 to 1; 0 where one of both is zero.
    """
    along = squared = 0.0
    for name, update in teacher.items():
        gradient = gradients[name].double()
        along -= update.scale * float(((update.up.T @ gradient) * update.down).sum())
        squared += float((gradient**2).sum())
    norm = math.sqrt(squared * sum(_inner(one, one) for one in teacher.values()))
    return along / norm if norm else 0.0


def _inner(one: Update, other: Update) -> float:
    """Sum of the products of the entries of two updates of one matrix."""
    return one.scale * other.scale * float(((one.up.T @ other.up) * (one.down @ other.down.T)).sum())
