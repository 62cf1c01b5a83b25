"""Configurations of studies."""

import pytest

from bftembed.errors import InputError
from bftembed.studies import STUDIES, open_study
from bftembed.studies.config import load_study


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
