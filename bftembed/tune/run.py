"""`tune`: a tuning run from its configuration, supervised or GRPO."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bftembed._optional import require
from bftembed.errors import InputError

if TYPE_CHECKING:
    from bftembed.tune.config import TuneConfig, TuneResult


def tune(config: TuneConfig) -> TuneResult:
    """Tune a model.

    A supervised run whose output directory holds a whole checkpoint goes on from it with the same loss curve; one that
    is finished is trained no further.

    Parameters
    ----------
    config
        See `bftembed.tune.config.TuneConfig`; `bftembed.tune.config.load_config` reads one from a file.

    Raises
    ------
    InputError, DataError, ModelError
        If the configuration, the data or the model cannot be used.
    TuneError
        If a checkpoint cannot be written.
    MissingExtraError
        If the packages of the extra ``tune`` are not installed.

    Examples
    --------
    >>> import json
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from bftembed.tune import tune
    >>> from bftembed.tune.config import load_config
    >>> with TemporaryDirectory() as directory:
    ...     data = {"train": f"{directory}/train.jsonl", "max_length": 64}
    ...     _ = Path(data["train"]).write_text(json.dumps({"prompt": "Name a gene.", "response": "TP53"}))
    ...     config = load_config("embedded-cpu", data=data, output=f"{directory}/run")
    ...     result = tune(config)  # the adapter is in result.path
    >>> result.steps
    1
    """
    require("accelerate")
    if config.objective == "grpo":
        from bftembed.tune.grpo.train import run_grpo

        return run_grpo(config)
    if config.grpo is not None:
        msg = f"`grpo` has the settings of GRPO, and the objective is `{config.objective.name}`; leave out one of them."
        raise InputError(msg)
    from bftembed.tune.supervised import run_supervised

    return run_supervised(config, config.objective)
