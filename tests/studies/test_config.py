"""Configurations of studies."""

import pytest
import yaml

from bftembed.errors import InputError
from bftembed.studies import STUDIES, open_study
from bftembed.studies.config import load_study, said
from bftembed.tune.config import find_config
from bftembed.tune.loss import kinds
from bftembed.tune.loss.objectives import named


@pytest.fixture
def load(tmp_path, Squares_):
    def from_text(text, **overrides):
        path = tmp_path / "study.yaml"
        path.write_text(text)
        return load_study(Squares_.Config, "squares", path, **overrides)

    return from_text


def test_values_and_overrides(load):
    config = load("output: there\nvalues: [1, 2]\nspeed: {trained: 10}", output="here", factor=None)
    assert (config.output, config.values, config.speed.trained, config.factor) == ("here", [1, 2], 10, 1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("values: [1]", "`output` is missing"),
        ("output: a\nvalues: [x]", "`values.0` is 'x'"),
        ("output: a\nvalues: [1]\nfaktor: 2", r"no key `faktor`; did you mean `factor`\?"),
        ("output: a\nvalues: [1]\nspeed: {trained: 0}", "`speed.trained` is 0: input should be greater than 0"),
        ("output: a\nvalues: [1]\nspeed: {trainde: 1}", r"no key `speed.trainde`; did you mean `trained`\?"),
        ("output: a\nvalues: [1]\nspeed: 3", "`speed` is 3: it has to be a mapping"),
        ("- a", "is not a mapping"),
        ("a: [", "cannot be read"),
    ],
)
def test_what_is_wrong_is_named(load, text, message):
    with pytest.raises(InputError, match=message):
        load(text)


def test_names_that_are_not_there():
    with pytest.raises(InputError, match=r"no study `objectivs`"):
        open_study("objectivs", "embedded-cpu")
    for name in STUDIES:
        with pytest.raises(InputError, match=rf"There is no studies/{name} configuration `nowhere`"):
            open_study(name, "nowhere")


@pytest.mark.parametrize(
    ("study", "change", "message"),
    [
        ("objectives", {"output": "a\0b"}, r"`output` is 'a\\x00b': .*NUL byte"),
        ("objectives", {"recipe": {"model": ""}}, "`recipe.model` is '': it has to be a path or a name"),
        ("objectives", {"recipe": {"adapter": " "}}, "`recipe.adapter` is ' '"),
        ("objectives", {"recipe": {"accelerate": ""}}, "`recipe.accelerate` is ''"),
        ("objectives", {"recipe": {"reading": {"dtype": "float23"}}}, "`recipe.reading.dtype` is 'float23'.*'float32'"),
        ("objectives", {"recipe": {"reading": {"device_map": ""}}}, "`recipe.reading.device_map` is ''"),
        ("objectives", {"data": {"train": "", "validation": "a", "evaluation": {"b": "c"}}}, "`data.train` is ''"),
        ("objectives", {"data": {"train": "a", "validation": "a", "evaluation": {"b": ""}}}, "`data.evaluation.b` is"),
        ("window", {"recipe": {"model": ""}}, "`recipe.model` is ''"),
        ("window", {"data": {"train": "a", "validation": {"b": ""}}}, "`data.validation.b` is ''"),
        ("window", {"companion": {"corpora": [""]}}, "`companion.corpora.0` is ''"),
        ("grpo", {"starts": {"sft": {"model": ""}, "b": {}}}, "`starts.sft.model` is ''"),
        ("grpo", {"corpus": {"train": ""}}, "`corpus.train` is ''"),
        ("grpo", {"questions": {"source": "a", "test": ""}}, "`questions.test` is ''"),
        ("subliminal", {"language": {"recipe": {"model": ""}}}, "`language.recipe.model` is ''"),
    ],
)
def test_names_that_nothing_has(tmp_path, study, change, message):
    path = tmp_path / "study.yaml"
    values = yaml.safe_load(find_config("embedded-cpu", f"studies/{study}").read_text())
    path.write_text(yaml.safe_dump(values | change))
    with pytest.raises(InputError, match=message):
        open_study(study, path)


def test_what_an_objective_of_a_user_is_made_of_is_said(installed, tmp_path, monkeypatch):
    """Of this package's own nothing, so that what was made stays."""
    monkeypatch.setattr(kinds, "_KINDS", dict(kinds._KINDS))
    code = "def weigh(logprobs, lengths): return {} * logprobs.exp()"
    installed("plug_one", code.format(1), "[bftembed.objectives]\nplugged = plug_one:weigh\n")
    before = said(named("plugged"))
    (tmp_path / "plug_one.py").write_text(code.format(2))
    kinds._KINDS.pop("plugged")  # as in another process
    assert said(named("plugged")) != before
    assert said(named("bft", window=64)) == {"name": "bft", "window": 64}
