import copy

import pytest
import yaml

from bftembed.errors import InputError
from bftembed.studies import open_study


def opened(tmp_path, values, *path, **changes):
    values = copy.deepcopy(values)
    section = values
    for key in path:
        section[key] = section.get(key) or {}
        section = section[key]
    section.update(changes)
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(values))
    return open_study("subliminal", file)


@pytest.mark.parametrize(
    ("path", "changes", "message"),
    [
        (("language", "students"), {"seed": 1000}, "share a seed of their adapters"),
        (("language",), {"replicates": 0}, "replicates"),
        (("language",), {"control_replicates": 2}, "there are 1 replicates"),
        (("language",), {"animals": 2}, "animals"),
        (("language",), {"candidates": ["owl", "unicorn"]}, "`unicorn`"),
        (("language",), {"candidates": ["owl", "dog"]}, "asks for 3, and there are 2 `candidates`"),
        (("language",), {"candidates": ["owl", "owl", "dog", "fox"]}, "a value is there twice"),
        (("language",), {"controls": ["soft", "soft"]}, "a value is there twice"),
        (("language", "carrier"), {"kinds": ["numbers", "numbers"]}, "a value is there twice"),
        (("language", "carrier"), {"seed": 2**40}, "less than 2147483648"),
        (("language", "recipe"), {"accelerate": "fsdp2-8gpu"}, "set no `accelerate`"),
        (("toy",), {"seeds": [1, 1]}, "a value is there twice"),
        (("language", "recipe"), {"lora": None}, "set `lora`"),
        (("language", "teachers"), {"kind": "prompt"}, "need teachers that are adapters"),
        (("language", "students"), {"objectives": {"dft": {"name": "dft"}}}, "`sft` has to be there"),
        (("language", "students", "objectives"), {"soft": {"name": "dft"}}, "name of a control"),
        (("language", "students", "objectives"), {"a/b": {"name": "dft"}}, "file's name"),
        (("language", "carrier"), {"kinds": ["letters"]}, "kinds"),
        ((), {"language": None}, "nothing is left to run"),
        (("language", "teachers"), {"raise": 3.0}, "rise"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, small, path, changes, message):
    with pytest.raises(InputError, match=message):
        opened(tmp_path, small, *path, **changes)


def test_seeds_that_meet_in_a_later_replicate_are_refused(tmp_path, small):
    values = copy.deepcopy(small)
    values["language"]["teachers"]["seed"] = 1998
    assert opened(tmp_path, values)
    with pytest.raises(InputError, match="share a seed"):
        opened(tmp_path, values, "language", replicates=3)


@pytest.mark.parametrize("name", ["toy", "embedded-cpu", "embedded-gpu", "14b-gpu"])
def test_shipped_configurations_are_sound(name):
    config = open_study("subliminal", name).config
    assert (config.toy is None) == (name == "14b-gpu")
    assert (config.language is None) == (name == "toy")
