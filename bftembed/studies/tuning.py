"""What the cells of a study share: tuning a model by a recipe, and reading texts with what came of it."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import yaml
from pydantic import Field, field_validator

from bftembed.errors import DivergedError, TuneError
from bftembed.models.files import DEFAULT_MODEL, named_directory, resolve_adapted, resolve_model
from bftembed.studies.config import Part
from bftembed.studies.runs import clear, logged, rhythm
from bftembed.tune.config import Lora, Name, Training, TuneConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from bftembed.engines import TransformersEngine
    from bftembed.tune import Objective

#: What `train` is told for each run.
_AXES = ("learning_rate", "seed")


class Reading(Part):
    """How tuned models are read, asked and let write.

    Attributes
    ----------
    dtype
        As torch names it; None for what the engine takes, bfloat16 on a GPU. An adapter is merged into the weights:
        what a short run changed may be lost in the rounding of bfloat16.
    batch_size
        Texts at a time.
    device_map
        ``"auto"`` lays a model over several GPUs.
    """

    dtype: Literal["auto", "float32", "bfloat16", "float16"] | None = "float32"
    batch_size: int = Field(default=8, ge=1)
    device_map: Name | None = None


class Recipe(Part):
    """All of a supervised tuning run but the axes of a study: objective, learning rate, seed and data.

    Attributes
    ----------
    model, adapter, lora, accelerate
        As in `bftembed.tune.config.TuneConfig`. With `accelerate` each run is a process of its own, started through
        ``accelerate launch``.
    max_length, packing
        Tokens kept of a sample; whether samples are laid end to end.
    training
        As in `bftembed.tune.config.Training`, without ``learning_rate`` and ``seed``.
    reading
        Of the tuned models.
    """

    model: Name = "default"
    adapter: Name | None = None
    max_length: int = Field(default=256, ge=2)
    packing: bool = False
    lora: Lora | None = Lora()
    training: Training = Training()
    accelerate: Name | None = None
    reading: Reading = Reading()

    @field_validator("training", mode="before")
    @classmethod
    def _without_axes(cls, values: Any) -> Any:
        defaults = {name: Training.model_fields[name].default for name in _AXES}
        if not isinstance(values, dict):
            return values
        further = values.get("trainer")
        said = [name for name in _AXES if values.get(name, defaults[name]) != defaults[name]]
        said += [name for name in _AXES if isinstance(further, dict) and name in further]
        if said:
            msg = f"`{said[0]}` is an axis of the study and no part of its recipe; leave it out here"
            raise ValueError(msg)
        return values

    @property
    def model_digest(self) -> str:
        """What fixes the model: its contents; of a model of the hub its name, so that an estimate downloads nothing."""
        if self.of_hub:
            return f"hub:{self.model}" + (f"+{resolve_model(self.adapter).digest}" if self.adapter else "")
        files, adapted = resolve_adapted(self.model, self.adapter)
        return files.digest + (f"+{adapted.digest}" if adapted else "")

    @property
    def of_hub(self) -> bool:
        """Whether the model is neither a directory nor the embedded one."""
        return self.model not in ("default", DEFAULT_MODEL) and named_directory(self.model) is None

    def engine(self, tuned: Path | None = None) -> TransformersEngine:
        """The model that came of a run, or the one that runs start from; loaded when it is first asked."""
        from bftembed.engines import TransformersEngine

        reading = self.reading
        options = {"dtype": reading.dtype, "batch_size": reading.batch_size, "device_map": reading.device_map}
        if tuned is None:
            return TransformersEngine(self.model, adapter=self.adapter, **options)  # type: ignore[arg-type]
        return TransformersEngine(str(tuned), **options)  # type: ignore[arg-type]


class Logprobs(NamedTuple):
    """Natural log-probabilities of supervised tokens, (n_tokens,) float32, sample after sample; (n_samples,) int64."""

    logprobs: NDArray[np.float32]
    lengths: NDArray[np.int64]


def train(
    recipe: Recipe,
    *,
    objective: str | Objective,
    learning_rate: float,
    seed: int,
    data: str | Path,
    place: Path,
    keep: int = 0,
) -> Path:
    """Tune a model, or go on where that was stopped; a finished run is left as it is.

    Runs with one seed take the same samples in the same order, whatever their objective and learning rate, and start
    from the same adapter.

    Parameters
    ----------
    recipe
        What all runs have in common.
    objective, learning_rate, seed
        Of this run.
    data
        Training samples, see `bftembed.tune.data.samples.read_samples`.
    place
        Directory of the run.
    keep
        Into how many parts of one length the run is divided whose models are kept, see
        `bftembed.studies.runs.kept`.

    Returns
    -------
    Directory of the adapter, or of the model if ``recipe.lora`` is None. Other checkpoints are removed at the end.

    Raises
    ------
    DivergedError
        If the loss or the gradient is no longer a number.
    TuneError, InputError, DataError, ModelError
        As `bftembed.tune.tune`.

    Examples
    --------
    >>> from pathlib import Path
    >>> from bftembed.studies.tuning import Recipe, train
    >>> place = Path("runs/one")
    >>> train(Recipe(), objective="bft", learning_rate=5e-4, seed=0, data="train.jsonl", place=place)  # doctest: +SKIP
    """
    from bftembed.tune.loss.objectives import named

    config = TuneConfig.model_validate(
        {
            "model": recipe.model,
            "adapter": recipe.adapter,
            "data": {"train": str(data), "max_length": recipe.max_length, "packing": recipe.packing},
            "output": str(place),
            "objective": named(objective).model_dump(),
            "lora": None if recipe.lora is None else recipe.lora.model_dump(),
            "training": recipe.training.model_dump() | {"learning_rate": learning_rate, "seed": seed} | rhythm(keep),
            "accelerate": recipe.accelerate,
        }
    )
    return run_config(config, keep=keep)


def run_config(config: TuneConfig, *, keep: int = 0) -> Path:
    """Run a configuration of a tuning run, here or on several devices, and remove its checkpoints at the end.

    Parameters
    ----------
    config
        Of the run.
    keep
        See `train`; `config` has to say when checkpoints are written.

    Returns
    -------
    Its output directory.

    Raises
    ------
    DivergedError
        If the loss or the gradient is no longer a number.
    TuneError, InputError, DataError, ModelError
        As `bftembed.tune.tune`.
    """
    place = Path(config.output)
    if config.accelerate:
        _launch(config, place)
    else:
        from bftembed.tune import tune

        tune(config)
        free_memory()
    clear(place, keep)
    return place


def _launch(config: TuneConfig, place: Path) -> None:
    """Run ``bftembed tune`` as a process of its own, which starts one on every device."""
    place.mkdir(parents=True, exist_ok=True)
    written = place.parent / f"{place.name}.yaml"
    written.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    done = subprocess.run(
        [sys.executable, "-m", "bftembed", "tune", str(written)], stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        said = next((line for line in lines if line.startswith("error: ")), lines[-1])
        msg = f"The run of `{written}` failed ({done.returncode}): {said.removeprefix('error: ')}"
        raise DivergedError(msg) if _diverged(place) else TuneError(msg)


def _diverged(place: Path) -> bool:
    """Whether the last step of a run's log has a loss or gradient that is no number."""
    entries = logged(place, "loss", least=0)
    return bool(entries) and not all(math.isfinite(entries[-1].get(name, 0)) for name in ("loss", "grad_norm"))


def free_memory() -> None:
    """Let go of what a trainer or an engine held on a GPU: models live in circles of references."""
    import gc

    import torch

    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()


def read_logprobs(
    model: TransformersEngine | str | Path, file: str | Path, *, max_length: int = 1024, batch_size: int = 8
) -> Logprobs:
    """Log-probability of every supervised token of a file of samples, by teacher forcing.

    Parameters
    ----------
    model
        A directory (a model, or an adapter that names its base), ``"default"``, or an engine, which is loaded once for
        many files. Its forward is extended by `bftembed.tune.loss.head.add_logprob_head`.
    file
        Samples, see `bftembed.tune.data.samples.read_samples`.
    max_length
        Tokens kept of a sample.
    batch_size
        Samples read together, those of like length.

    Returns
    -------
    Logprobs
        In the order of the samples of the file; those of which nothing is supervised are left out.

    Raises
    ------
    DataError, ModelError
        If the file or the model cannot be read.

    Examples
    --------
    >>> from bftembed.studies.tuning import read_logprobs
    >>> logprobs, lengths = read_logprobs("runs/one", "corpus/genes/test.jsonl")  # doctest: +SKIP
    """
    import torch

    from bftembed.engines import TransformersEngine
    from bftembed.tune.data.dataset import Collator, load_dataset
    from bftembed.tune.loss.head import add_logprob_head, supervised_logprobs
    from bftembed.tune.loss.places import located
    from bftembed.tune.supervised import check_fit

    engine = model if isinstance(model, TransformersEngine) else TransformersEngine(str(model))
    network, tokenizer = engine.load()
    add_logprob_head(network)
    dataset = load_dataset(file, tokenizer, max_length=max_length)
    check_fit(dataset, network)
    collate = Collator(tokenizer.pad_token_id or 0)
    samples = [dataset[index] for index in range(len(dataset))]
    order = sorted(range(len(samples)), key=lambda index: -len(samples[index]["input_ids"]))
    found: list[NDArray[np.float32]] = [np.empty(0, dtype=np.float32)] * len(samples)
    for begin in range(0, len(order), batch_size):
        rows = order[begin : begin + batch_size]
        batch = {key: value.to(network.device) for key, value in located(collate([samples[i] for i in rows])).items()}
        with torch.inference_mode():
            values, lengths = supervised_logprobs(network, batch)
        flat = values.logprobs.clamp(max=0).float().cpu().numpy()
        for row, part in zip(rows, np.split(flat, np.cumsum(lengths.cpu().numpy())[:-1]), strict=True):
            found[row] = part
    return Logprobs(np.concatenate(found), np.array(list(map(len, found)), dtype=np.int64))


def per_sample(read: Logprobs) -> Mapping[str, NDArray[np.float64]]:
    """Sums over the tokens of each sample: negative log-likelihood, tokens, and probabilities; (n_samples,) each.

    Examples
    --------
    >>> import numpy as np
    >>> from bftembed.studies.tuning import Logprobs, per_sample
    >>> sums = per_sample(Logprobs(np.log(np.float32([0.5, 0.25, 1.0])), np.array([2, 1])))
    >>> {name: np.round(values, 4).tolist() for name, values in sums.items()}
    {'nll': [2.0794, 0.0], 'tokens': [2.0, 1.0], 'probability': [0.75, 1.0]}
    """
    begins = np.cumsum(read.lengths) - read.lengths
    logprobs = read.logprobs.astype(np.float64)
    return {
        "nll": np.negative(np.add.reduceat(logprobs, begins)) + 0.0,
        "tokens": read.lengths.astype(np.float64),
        "probability": np.add.reduceat(np.exp(logprobs), begins),
    }
