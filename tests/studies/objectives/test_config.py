"""What a configuration may say."""

import pytest

from bftembed.errors import InputError
from bftembed.studies.config import load_study
from bftembed.studies.objectives.config import SETS, ObjectivesConfig, slug
from bftembed.tune.config import TuneConfig

LEAST = {"output": "out", "objectives": {"sft": "sft"}, "learning_rates": [1e-3]}


def refused(**changes):
    with pytest.raises(ValueError, match="validation error") as caught:
        ObjectivesConfig.model_validate(LEAST | changes)
    return str(caught.value)


def test_a_name_stands_for_an_objective_without_options():
    config = ObjectivesConfig.model_validate(
        LEAST | {"objectives": {"sft": "sft", "short": {"name": "bft", "window": 4}}}
    )
    assert (config.objectives["sft"].name, config.objectives["short"].window) == ("sft", 4)
    assert config.sets == SETS
    assert len(config.seeds) == 3


def test_what_is_refused():
    assert "Did you mean `dft`" in refused(objectives={"sft": "sft", "x": "dfr"})
    assert "a value is there twice" in refused(learning_rates=[1e-3, 0.001])
    assert "a value is there twice" in refused(learning_rates=[1e-3, 1.0000001e-3])  # one name of a cell
    assert "a value is there twice" in refused(seeds=[1, 1])
    assert "a value is there twice" in refused(medical={"tasks": ["medical.medqa"] * 2})
    assert "a value is there twice" in refused(paths={"Up": ["sft", "sft"]})
    assert "at least 2 items" in refused(paths={"Up": ["sft"]})
    assert "needs the frozen model" in refused(objectives={"sft": "sft", "x": "asft"}, recipe={"lora": None})
    assert "greater than 0" in refused(learning_rates=[0])
    assert "at least 1 item" in refused(seeds=[])
    assert "at least 1 item" in refused(objectives={})
    assert "`reference` names `dft`, and there is no such objective here: sft" in refused(reference="dft")
    assert "`paths.Up` names `bft`" in refused(paths={"Up": ["sft", "bft"]})
    assert "`explained` is `seen`" in refused(explained="seen")
    assert "differ in letters or digits" in refused(objectives={"sft": "sft", "a b": "dft", "a-b": "bft"})
    assert "none of them may be `base`" in refused(objectives={"sft": "sft", "base": "dft"})
    assert "greater than or equal to 2" in refused(data={"unseen": 1})


def test_no_validation_data_is_refused():
    assert "validation" in refused(data={"train": "a.jsonl", "evaluation": {"x": "b.jsonl"}})
    assert "evaluation" in refused(data={"train": "a.jsonl", "validation": "b.jsonl", "evaluation": {}})


@pytest.mark.parametrize("name", ["train", "validation"])
def test_an_evaluation_set_takes_no_name_of_other_data(name):
    """Learning rates are chosen by the set of that name."""
    files = {"train": "a.jsonl", "validation": "b.jsonl", "evaluation": {name: "c.jsonl"}}
    assert f"`{name}` is the name of the {name} data" in refused(data=files)


@pytest.mark.parametrize("axis", ["learning_rate", "seed"])
def test_an_axis_is_not_set_by_the_trainer_either(axis):
    assert f"`{axis}` is an axis of the study" in refused(recipe={"training": {"trainer": {axis: 1}}})


def test_a_file_with_a_mistake_names_it(tmp_path):
    (tmp_path / "study.yaml").write_text("output: out\nobjectives: {sft: sft}\nlearning_rates: [1, 1]\n")
    with pytest.raises(InputError, match="a value is there twice"):
        load_study(ObjectivesConfig, "objectives", tmp_path / "study.yaml")


@pytest.mark.parametrize("name", ["embedded-cpu", "embedded-cpu-full", "embedded-gpu", "7b-gpu", "70b-8gpu"])
def test_configurations_that_come_with_the_package(name):
    config = load_study(ObjectivesConfig, "objectives", name)
    first = config.paths["From SFT to BFT"]
    control = config.objectives[first[1]]
    assert (control.name, control.window, control.sample_weight) == ("bft", 1, False)
    training = config.recipe.training.model_dump() | {"learning_rate": config.learning_rates[0], "seed": 0}
    assert TuneConfig(data={"train": "x"}, output="out", training=training).training.learning_rate > 0


def test_names_as_parts_of_file_names():
    assert slug("sft, mean per sample") == "sft-mean-per-sample"
    assert slug("power(.5)") == "power-.5"
