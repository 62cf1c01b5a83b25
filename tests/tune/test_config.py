"""The configuration file."""

import pytest
import yaml
from transformers import TrainingArguments

from bftembed.errors import InputError
from bftembed.tune.config import Training, load_config, parse_config
from bftembed.tune.loss.objectives import Objective
from bftembed.tune.supervised import training_arguments

SMALL = {"data": {"train": "a.jsonl"}, "output": "out"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": {"train": "a", "max_lenght": 3}}, r"no key `data.max_lenght`; did you mean `max_length`\?"),
        ({"objectiv": "bft"}, r"no key `objectiv`; did you mean `objective`\?"),
        ({"objective": {"name": "bft", "windows": 3}}, r"no key `objective.windows`; did you mean `window`\?"),
        ({"training": {"lr": 3}}, r"no key `training.lr`; known are epochs, max_steps"),
        ({"lora": {"alpha": 3}}, r"no key `lora.alpha`"),
        ({"grpo": {"stepz": 3}}, r"no key `grpo.stepz`; did you mean `steps`\?"),
        ({"objective": {"window": 0}}, r"`objective.window` is 0: input should be greater than or equal to 1"),
        ({"objective": {"window": -5}}, r"`objective.window` is -5"),
        ({"objective": "bff"}, r"`objective.name` is 'bff': did you mean `bft`\? There are sft, dft, bft-v1, bft.*\."),
        ({"training": {"learning_rate": "fast"}}, r"`training.learning_rate` is 'fast'"),
        ({"data": {}}, r"`data.train` is missing"),
        ({"data": {"train": "a", "max_length": 1}}, r"`data.max_length` is 1"),
    ],
)
def test_what_is_wrong_is_named(change, message):
    with pytest.raises(InputError, match=message) as caught:
        parse_config(SMALL | change)
    assert "literal['grpo']" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_all_problems_at_once():
    with pytest.raises(InputError, match=r"`output` is missing.*no key `outptu`; did you mean `output`\?"):
        parse_config({"data": {"train": "a"}, "outptu": "x"})


def test_an_objective_by_its_name():
    assert parse_config(SMALL | {"objective": "bft-v1"}).objective == Objective(name="bft-v1")
    assert parse_config(SMALL | {"objective": "grpo"}).objective == "grpo"
    assert parse_config(SMALL).objective == Objective(name="bft", window=256)
    assert parse_config(SMALL | {"lora": None}).lora is None


def test_files(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    assert load_config(path).output == "out"
    assert load_config(path, output="other", model=None).output == "other"
    path.write_text("- a\n- b\n")
    with pytest.raises(InputError, match="not a mapping"):
        load_config(path)
    path.write_text("a: [")
    with pytest.raises(InputError, match="cannot be read"):
        load_config(path)
    with pytest.raises(InputError, match="There is no configuration"):
        load_config(tmp_path / "absent.yaml")


def test_any_other_argument_of_the_trainer(tmp_path):
    made = training_arguments(Training(trainer={"adam_beta2": 0.95}), tmp_path, evaluate=False)
    assert isinstance(made, TrainingArguments)
    assert made.adam_beta2 == 0.95
    with pytest.raises(InputError, match=r"`training.trainer` has `adam_beta7`, .* Did you mean `adam_beta\d`\?"):
        training_arguments(Training(trainer={"adam_beta7": 0.95}), tmp_path, evaluate=False)
    with pytest.raises(InputError, match=r"training arguments are refused: .*adamv"):
        training_arguments(Training(trainer={"optim": "adamv"}), tmp_path, evaluate=False)
    with pytest.raises(InputError, match=r"`training.schedule` is `cosin`; there are linear.* Did you mean `cosine`\?"):
        training_arguments(Training(schedule="cosin"), tmp_path, evaluate=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training": {"learning_rate": float("inf")}}, "`training.learning_rate` is inf: input should be a finite"),
        ({"training": {"epochs": float("inf")}}, "`training.epochs` is inf"),
        ({"objective": {"eps": float("inf")}}, "`objective.eps` is inf"),
        ({"objective": {"window": 10**30}}, "`objective.window` is 10+: input should be less than"),
        ({"training": {"seed": -1}}, "`training.seed` is -1"),
        ({"grpo": {"seed": 2**32}}, "`grpo.seed` is 4294967296"),
        ({"training": None}, "`training` is None: it has to be a mapping of keys to values"),
        ({"lora": False}, "`lora` is False: it has to be a mapping of keys to values"),
        ({"output": ""}, "`output` is '': it has to be a path or a name"),
        ({"output": "a\0b"}, r"`output` is 'a\\x00b': .*NUL byte"),
        ({"model": ""}, "`model` is ''"),
        ({"adapter": " "}, "`adapter` is ' '"),
        ({"data": {"train": ""}}, "`data.train` is ''"),
        ({"data": {"train": "a", "validation": ""}}, "`data.validation` is ''"),
        ({"lora": {"target_modules": ""}}, "`lora.target_modules` is ''"),
        ({"lora": {"target_modules": ["q_proj", ""]}}, "`lora.target_modules.1` is ''"),
        ({"training": {"schedule": ""}}, "`training.schedule` is ''"),
        ({"accelerate": ""}, "`accelerate` is ''"),
    ],
)
def test_values_that_no_run_can_have(change, message):
    with pytest.raises(InputError, match=message):
        parse_config(SMALL | change)


def test_another_objective_keeps_the_files_window(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump(SMALL | {"objective": {"name": "bft", "window": 64}}))
    assert load_config(path, objective="bft-v1").objective == Objective(name="bft-v1", window=64)
    assert load_config(path, objective="grpo").objective == "grpo"
    path.write_text(yaml.safe_dump(SMALL | {"objective": "grpo"}))
    assert load_config(path, objective="dft").objective == Objective(name="dft")


def test_a_broken_file_is_one_line(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("model: x\n\tdata: y\n")
    with pytest.raises(InputError, match="line 2, column 1") as caught:
        load_config(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["output_dir", "label_smoothing_factor", "save_only_model", "remove_unused_columns"])
def test_arguments_that_would_break_a_run(tmp_path, name):
    with pytest.raises(InputError, match=f"takes no `{name}`"):
        training_arguments(Training(trainer={name: 1}), tmp_path, evaluate=False)
