"""What is refused before any cell of a study is run, by an estimate too."""

import pytest
import yaml

from bftembed.errors import BftembedError
from bftembed.studies import open_study
from bftembed.studies.checks import check_grpo, check_objectives, check_recipe
from bftembed.studies.run import plan_study, run_study
from bftembed.studies.tuning import Recipe
from bftembed.tune.config import GRPOSettings, find_config
from bftembed.tune.loss import kinds
from bftembed.tune.loss.objectives import named


@pytest.fixture
def change(tiny_model, tmp_path):
    """A study that comes with the package, of a small model and with other values at keys with dots."""

    def made(study, changes):
        values = yaml.safe_load(find_config("embedded-cpu", f"studies/{study}").read_text())
        recipe = "language.recipe.model" if study == "subliminal" else "recipe.model"
        for key, value in {recipe: str(tiny_model), **changes}.items():
            *sections, last = key.split(".")
            inner = values
            for section in sections:
                inner = inner.setdefault(section, {})
            inner[last] = value
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(values))
        return open_study(study, path, output=str(tmp_path / "out"))

    return made


@pytest.mark.parametrize(
    ("study", "key", "value", "message"),
    [
        ("objectives", "recipe.training.schedule", "zigzag", r"In `recipe`: `training.schedule` is `zigzag`"),
        ("objectives", "recipe.training.trainer", {"optimm": 1}, r"In `recipe`: .* has `optimm`.*mean `optim`"),
        ("objectives", "recipe.training.trainer", {"optim": "adamv"}, "In `recipe`: The training arguments .*adamv"),
        ("objectives", "recipe.accelerate", "fsdp2", r"In `recipe.accelerate`: There is no .* `fsdp2`"),
        ("objectives", "recipe.lora", {"target_modules": ["nothing"]}, r"In `recipe.lora`: LoRA cannot .*nothing"),
        ("objectives", "recipe.model", "./nowhere", r"In `recipe.model`: There is no model directory `./nowhere`"),
        ("objectives", "recipe.adapter", "./nowhere", r"In `recipe.model`: There is no model directory `./nowhere`"),
        ("objectives", "recipe.reading.device_map", "gpu", r"`recipe.reading.device_map` is `gpu`.*auto"),
        ("objectives", "medical", {"tasks": ["medical.medqq"]}, "In `medical.tasks`: .*medqq"),
        ("objectives", "medical", {"tasks": ["medical.medqa.cot"]}, "In `medical.tasks`: .* ranks no options"),
        ("objectives", "gene_tasks", {"tasks": ["medical.medqa"]}, "In `gene_tasks.tasks`: .* is not about genes"),
        ("objectives", "gene_tasks", {"tasks": ["gene_property.dosag"]}, "In `gene_tasks.tasks`: .*dosage"),
        ("window", "recipe.training.schedule", "zigzag", "In `recipe`: `training.schedule` is `zigzag`"),
        ("window", "medical", {"tasks": ["medical.medqq"]}, "In `medical.tasks`: .*medqq"),
        ("grpo", "recipe.training.schedule", "zigzag", "In `recipe`: `training.schedule` is `zigzag`"),
        ("grpo", "grpo.trainer", {"betta": 1}, "In `grpo`: .*betta"),
        ("grpo", "grpo.batch_size", 3, "In `grpo`: .* not a whole number of batches of 3"),
        ("subliminal", "language.recipe.training", {"schedule": "zigzag"}, "In `language.recipe`: `training.schedule`"),
    ],
)
def test_it_is_refused_before_anything_is_done(change, tmp_path, study, key, value, message):
    made = change(study, {key: value})
    for run in (plan_study, run_study):
        with pytest.raises(BftembedError, match=message) as caught:
            run(made)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "cells").exists()


def test_merging_into_weights_that_are_split(tiny_model):
    recipe = Recipe(model=str(tiny_model), accelerate="fsdp2-8gpu", lora={"merge": True})
    with pytest.raises(BftembedError, match=r"In `recipe.accelerate`: `lora.merge` merges an adapter"):
        check_recipe(recipe)
    check_recipe(recipe.model_copy(update={"lora": None}))


def test_what_a_machine_has_is_left_to_the_run(tiny_model):
    """An estimate for eight GPUs may be made where there is none."""
    trainer = {"tf32": True, "deepspeed": "nowhere.json"}
    check_recipe(Recipe(model=str(tiny_model), training={"trainer": trainer, "dtype": "bfloat16"}))
    check_grpo(GRPOSettings(trainer={"tf32": True}), None)
    check_grpo(GRPOSettings(prompts_per_step=8), "fsdp2-8gpu")
    with pytest.raises(BftembedError, match=r"In `grpo`: .*on 8 process"):
        check_grpo(GRPOSettings(prompts_per_step=3, num_generations=3), "fsdp2-8gpu")


def test_a_model_of_the_hub_is_not_fetched():
    check_recipe(Recipe(model="nobody/nothing", lora={"target_modules": ["nothing"]}))


def test_an_objective_of_a_user_weighs_before_a_run(monkeypatch):
    monkeypatch.setattr(kinds, "_KINDS", dict(kinds._KINDS))
    kinds.register_objective("half", lambda logprobs, lengths, entropy: entropy / 2)
    kinds.register_objective("broken", lambda logprobs, lengths: logprobs[None] @ logprobs)
    check_objectives({"a": named("half"), "b": named("bft")})
    with pytest.raises(BftembedError, match=r"In `objectives.mine`: The objective `broken` "):
        check_objectives({"objectives.mine": named("broken")})
