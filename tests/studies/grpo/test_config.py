import pytest
from pydantic import ValidationError

from bftembed.studies.config import load_study
from bftembed.studies.grpo.config import GRPOStudyConfig

VALUES = {"output": "x", "starts": {"base": {}, "sft": {"objective": "sft"}}}
TWO = {"sft": {"objective": "sft"}, "bft": {"objective": "bft"}}


@pytest.mark.parametrize("name", ["embedded-cpu", "embedded-gpu", "7b-gpu", "70b-8gpu"])
def test_shipped_configurations_are_read_and_have_the_control_of_averaging(name):
    config = load_study(GRPOStudyConfig, "grpo", name)
    control = config.starts["sft-mean-per-sample"].objective
    assert (control.name, control.window, control.sample_weight) == ("bft", 1, False)
    assert config.random_reward
    assert config.positive_control
    assert (config.matched is not None) == name.startswith("7")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reference": "dft"}, "`dft` is named, and there is no such start"),
        ({"random_reward": ["dft"]}, "`dft` is named"),
        ({"seeds": [1, 1]}, "`seeds` is there twice"),
        ({"grpo": {"seed": 3}}, "`grpo.seed` is the study's own"),
        ({"grpo": {"reward": "random"}}, "`grpo.reward` is the study's own"),
        ({"starts": {"sft": {"objective": "sft"}}}, "at least 2"),
        ({"starts": {"sft": {"objective": "sft"}, "a b": {}}}, "has to be named by letters"),
        ({"starts": {"sft": {"objective": "sft", "model": "m"}, "base": {}}}, "leave out one of them"),
        ({"grpo": {"trainer": {"seed": 3}}}, "`grpo.seed` is the study's own"),
        ({"passes": [1, 1]}, "a value is there twice"),
        ({"random_reward": ["sft", "sft"]}, "a value is there twice"),
        (
            {"starts": {"sft": {"objective": "sft", "learning_rates": [1e-3, 1.0000001e-3]}, "base": {}}},
            "is there twice",
        ),
        ({"starts": {"sft": {"learning_rates": [1e-3]}, "base": {}}}, "`learning_rates` and no `objective`"),
        ({"starts": {"sft": {"objective": "asft"}, "base": {}}, "recipe": {"lora": None}}, "needs the frozen model"),
        ({"matched": {}}, "`reference` and another one have to have an objective"),
        ({"matched": {}, "starts": TWO, "recipe": {"adapter": "mine"}}, "needs adapters along the tuning"),
        ({"matched": {}, "starts": TWO, "recipe": {"lora": {"merge": True}}}, "needs adapters along the tuning"),
        (
            {"matched": {}, "starts": TWO, "recipe": {"training": {"trainer": {"save_steps": 3}}}},
            "leave `save_steps` out of `recipe.training.trainer`",
        ),
        ({"matched": {"checkpoints": 1}}, "greater than or equal to 2"),
        ({"questions": {"source": "dirr"}}, r"no source `dirr`. Did you mean `dir`\?"),
        ({"questions": {"source": "mine.jsonl"}}, "`test` is a file beside"),
        ({"questions": {"source": "dir", "test": "t.jsonl"}}, "`test` is a file beside"),
    ],
)
def test_what_contradicts_itself_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        GRPOStudyConfig.model_validate(VALUES | changes)
