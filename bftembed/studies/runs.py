"""What a tuning run leaves in its directory: the log, and models from along the way."""

from __future__ import annotations

import math
import shutil
from typing import TYPE_CHECKING, Any

from bftembed.errors import TuneError

if TYPE_CHECKING:
    from pathlib import Path


def logged(place: Path, name: str, *, least: int = 1) -> list[dict[str, Any]]:
    """Entries of the log of a run that have a value of a name.

    Raises
    ------
    TuneError
        If there are fewer than `least`: the log was damaged after the run.
    """
    from bftembed.tune.logs import LOG, read_log

    entries = [entry for entry in read_log(place / LOG) if name in entry]
    if len(entries) < least:
        msg = f"The log of the run in `{place}` is damaged: remove that directory to train anew."
        raise TuneError(msg)
    return entries


def rhythm(parts: int) -> dict[str, Any]:
    """Settings of `bftembed.tune.config.Training` of a run of which `kept` finds models; none for no parts."""
    return {"save_steps": 1 / parts, "keep_checkpoints": parts + 1} if parts else {}


def kept(place: Path, parts: int) -> list[Path] | None:
    """Models of a finished run at the end of each of its parts, in their order; the last is the run's own and left out.

    Parameters
    ----------
    place
        Directory of the run.
    parts
        Into how many parts of one length it is divided; fewer where it has fewer steps.

    Returns
    -------
    Directories ``checkpoint-STEP``; None if they were not kept, or do not hold what the finished model holds.
    """
    steps = logged(place, "train_runtime")[-1]["step"]
    apart = math.ceil(steps * (1 / parts))
    found = [place / f"checkpoint-{step}" for step in range(apart, steps, apart)]
    weights = [path.name for path in place.glob("*.safetensors")]
    whole = all(path.is_dir() and all((path / name).exists() for name in weights) for path in found)
    return found if whole else None


def clear(place: Path, parts: int) -> None:
    """Remove the checkpoints of a finished run but for those that are `kept`, and of these what is no model.

    Where that is broken off, it can be done again.
    """
    wanted = (kept(place, parts) or []) if parts else []
    for checkpoint in place.glob("checkpoint-*"):
        if checkpoint not in wanted:
            shutil.rmtree(checkpoint)
            continue
        for path in checkpoint.iterdir():
            if not (place / path.name).exists():  # state of the optimizer, of the schedule, of random numbers
                shutil.rmtree(path) if path.is_dir() else path.unlink()
