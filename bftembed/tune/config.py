"""The file that describes a tuning run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from bftembed._html import Shown
from bftembed._near import did_you_mean
from bftembed._paths import shipped_dir
from bftembed.errors import InputError
from bftembed.tune.loss.objectives import Objective
from bftembed.tune.mistakes import mistakes


def _usable(name: str) -> str:
    """Refuse what no file, directory or model can be called."""
    if not name.strip() or "\0" in name:
        msg = "it has to be a path or a name, neither empty nor with a NUL byte"
        raise ValueError(msg)
    return name


#: Of a file, a directory, a model.
Name = Annotated[str, AfterValidator(_usable)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Data(_Section):
    """Training and validation data, see `bftembed.tune.data.samples.read_samples`; for GRPO, questions with answers."""

    train: Name
    validation: Name | None = None
    max_length: int = Field(default=1024, ge=2, description="Tokens kept of a sample; how many are cut is reported.")
    packing: bool = Field(default=False, description="Lay samples end to end instead of padding them.")


class Lora(_Section):
    """A LoRA adapter (Hu et al., arXiv 2106.09685); the names are PEFT's."""

    r: int = Field(default=16, ge=1)
    lora_alpha: int = Field(default=32, ge=1)
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: Name | list[Name] = "all-linear"
    merge: bool = Field(default=False, description="Save the merged model rather than the adapter.")


class Training(_Section):
    """How long, how fast, how much at once."""

    epochs: float = Field(default=1.0, gt=0)
    max_steps: int | None = Field(default=None, ge=1, description="Optimizer steps; overrides `epochs`.")
    batch_size: int = Field(default=4, ge=1, description="Samples per device and micro-batch.")
    accumulation_steps: int = Field(default=1, ge=1, description="Micro-batches per optimizer step.")
    learning_rate: float = Field(default=2e-4, gt=0)
    schedule: Name = Field(default="cosine", description="A scheduler of transformers: cosine, linear, constant, ...")
    warmup: float = Field(default=0.03, ge=0, description="Steps, or below 1 their share of all steps.")
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="Of the computation; auto: bfloat16 on a GPU that has it, else float32."
    )
    gradient_checkpointing: bool = False
    log_steps: int = Field(default=1, ge=1)
    eval_steps: int | None = Field(default=None, ge=1, description="Every this many steps; at the end only, if unset.")
    save_steps: Annotated[int, Field(ge=1)] | Annotated[float, Field(gt=0, lt=1)] = Field(
        default=100, description="Steps, or below 1 their share of all steps."
    )
    keep_checkpoints: int = Field(default=2, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**32)
    trainer: dict[str, Any] = Field(default_factory=dict, description="Any other argument of `TrainingArguments`.")


class GRPOSettings(_Section):
    """Settings of GRPO: each of ``steps`` asks ``prompts_per_step`` questions ``num_generations`` times.

    Attributes
    ----------
    batch_size
        Answers per device and micro-batch of the gradient; they are drawn all at once.
    max_new_tokens, temperature
        Of the answers.
    learning_rate
        Falls linearly to zero.
    beta
        Weight of the Kullback-Leibler divergence from the model at the start; 0 saves computing it.
    seed
        Of the order of the questions, the answers and a fresh adapter.
    save_steps, keep_checkpoints
        Every so many steps a checkpoint is written, and so many are kept. Where answers last for several steps, one
        is written when they are used up.
    reward
        ``"right"``: 1 for the right choice, else 0. ``"random"``: a coin is tossed for each answer, the control in
        which there is nothing to learn.
    trainer
        Any other argument of TRL's ``GRPOConfig``, e.g. ``use_vllm`` or ``activation_checkpointing``.
    """

    steps: int = Field(default=100, ge=1)
    prompts_per_step: int = Field(default=4, ge=1)
    num_generations: int = Field(default=8, ge=2)
    batch_size: int = Field(default=8, ge=1)
    max_new_tokens: int = Field(default=64, ge=1)
    temperature: float = Field(default=1.0, gt=0)
    learning_rate: float = Field(default=1e-5, gt=0)
    beta: float = Field(default=0.0, ge=0)
    seed: int = Field(default=0, ge=0, lt=2**32)
    save_steps: int = Field(default=20, ge=1)
    keep_checkpoints: int = Field(default=2, ge=1)
    reward: Literal["right", "random"] = "right"
    trainer: dict[str, Any] = Field(default_factory=dict)


class TuneConfig(_Section):
    """A tuning run.

    Attributes
    ----------
    model
        A directory, ``"default"`` (the embedded model) or the id of a model on the hub.
    adapter
        A PEFT adapter to start from. It is merged into the weights first; GRPO goes on training it.
    data
        See `Data`.
    output
        Directory for checkpoints, the log and the result. A run whose directory has a checkpoint goes on from there.
    objective
        An `Objective`, or the word ``"grpo"``.
    lora
        See `Lora`; ``null`` trains all weights.
    training
        See `Training`.
    grpo
        Settings of GRPO, with ``objective: grpo`` only.
    accelerate
        A configuration file of ``accelerate`` (several GPUs, FSDP, DeepSpeed); the run is started through
        ``accelerate launch``.
    """

    model: Name = "default"
    adapter: Name | None = None
    data: Data
    output: Name
    objective: Objective | Literal["grpo"] = Objective()
    lora: Lora | None = Lora()
    training: Training = Training()
    grpo: GRPOSettings | None = None
    accelerate: Name | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_objective(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("objective"), str) and values["objective"] != "grpo":
            return {**values, "objective": {"name": values["objective"]}}
        return values


@dataclass(frozen=True)
class TuneResult(Shown):
    """Where a tuned model lies, how many steps it took, and what came of it.

    Attributes
    ----------
    path
        Directory of the model or adapter.
    steps
        Optimizer steps.
    metrics, initial_metrics
        The evaluation after the last step and before the first one; empty without validation data. GRPO has no
        evaluation, and its `metrics` are those of the last answers.
    """

    path: Path
    steps: int
    metrics: dict[str, float]
    initial_metrics: dict[str, float] = field(default_factory=dict)


def load_config(path: str | Path, **overrides: Any) -> TuneConfig:
    """Read a YAML configuration; paths in it are relative to the working directory.

    Parameters
    ----------
    path
        The file, or the name of one that comes with this package, e.g. ``"embedded-cpu"``.
    overrides
        Top-level values that replace those of the file, of `objective` only the name; None leaves the file's.

    Raises
    ------
    InputError
        If the file cannot be read or something in it is wrong; a misspelt key is named with the nearest right one.
    """
    values = read_values(path)
    overrides = {key: value for key, value in overrides.items() if value is not None}
    if isinstance(values.get("objective"), dict) and overrides.get("objective", "grpo") != "grpo":
        # Another name alone: the window and the like stay the file's.
        overrides["objective"] = values["objective"] | {"name": overrides["objective"]}
    values |= overrides
    return parse_config(values, f"`{path}`")


def read_values(path: str | Path, kind: str = "") -> dict[str, Any]:
    """What a YAML configuration says; see `find_config`.

    Raises
    ------
    InputError
        If there is no such file, it cannot be read, or it is no mapping.
    """
    try:
        values = yaml.safe_load(find_config(path, kind).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        msg = f"The configuration `{path}` cannot be read: {' '.join(str(error).split())}"
        raise InputError(msg) from error
    if not isinstance(values, dict):
        msg = f"The configuration `{path}` is not a mapping of keys to values."
        raise InputError(msg)
    return values


def find_config(path: str | Path, kind: str = "") -> Path:
    """A file, or one that comes with this package by its name without ``.yaml``.

    Parameters
    ----------
    path
        Path or name.
    kind
        ``""`` for configurations of runs, ``"accelerate"`` for those of accelerate, ``"studies/NAME"`` of a study.

    Raises
    ------
    InputError
        If there is neither.
    """
    file = Path(path).expanduser()
    if file.is_file():
        return file
    shipped = {found.stem: found for found in sorted((shipped_dir("configs") / kind).glob("*.yaml"))}
    if str(path) in shipped:
        return shipped[str(path)]
    what = f"{kind} configuration" if kind else "configuration"
    near = did_you_mean(file.stem, shipped)
    msg = f"There is no {what} `{path}`: no such file, and bftembed brings {', '.join(shipped)}.{near}"
    raise InputError(msg)


def parse_config(values: dict[str, Any], place: str = "the configuration") -> TuneConfig:
    """A configuration from plain values; see `load_config`."""
    try:
        return TuneConfig.model_validate(values)
    except ValidationError as error:
        problems = mistakes([item for item in error.errors() if not _other_objective(item, values)], TuneConfig)
        msg = f"In {place}: {'; '.join(problems)}."
        raise InputError(msg) from error


def _other_objective(item: Any, values: dict[str, Any]) -> bool:
    """Whether a complaint is about the alternative of a union that was not meant."""
    return item["loc"][:2] == ("objective", "literal['grpo']") and values.get("objective") != "grpo"
