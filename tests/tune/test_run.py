"""What `tune` chooses, and the names of the package."""

import pytest

import bftembed as bft
from bftembed.errors import InputError
from bftembed.tune.config import parse_config


def test_settings_of_grpo_are_not_ignored():
    values = {"data": {"train": "train.jsonl"}, "output": "out", "objective": "bft", "grpo": {"steps": 3}}
    with pytest.raises(InputError, match="the objective is `bft`; leave out one of them"):
        bft.tune.tune(parse_config(values))


def test_completion_shows_the_functions():
    assert dir(bft.tune) == sorted(bft.tune.__all__)
    for name in bft.tune.__all__:
        assert callable(getattr(bft.tune, name)), name
