"""Mistakes in a configuration are named once, by the keys that stand in the file."""

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from bftembed.tune.mistakes import mistakes


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Numbers(Closed):
    train: int = 1
    test: int = 1


class Files(Closed):
    train: str
    test: dict[str, str]


class Part(Closed):
    size: int = 1
    rates: tuple[float, ...] = Field(default=(1.0,), min_length=1)


class Config(Closed):
    data: Numbers | Files | None = None
    parts: dict[str, Part] = Field(default_factory=dict)
    corpus: int | str | list[str] = 1
    extra: dict[str, float] = Field(default_factory=dict)
    even: int = 2

    @field_validator("even")
    @classmethod
    def _even(cls, value):
        if value % 2:
            msg = "An odd number."
            raise ValueError(msg)
        return value


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"parts": {"a": {"sise": 2}}}, ["there is no key `parts.a.sise`; did you mean `size`?"]),
        ({"parts": {"a": {"rates": [1, "x"]}}}, ["`parts.a.rates.1` is 'x': "]),
        ({"parts": {"a": {"rates": ["x"]}}}, ["`parts.a.rates.0` is 'x': "]),
        ({"parts": {"a": {"rates": []}}}, ["`parts.a.rates` is []: tuple should have at least 1 item"]),
        ({"parts": {1: {}}}, ["`parts.1` is 1: input should be a valid string"]),
        ({"parts": {"train": 5}}, ["`parts.train` is 5: it has to be a mapping"]),
        ({"extra": {"even": "x"}}, ["`extra.even` is 'x': "]),
        (
            {"data": {"train": "a", "tset": {}}},
            ["`data.test` is missing", "there is no key `data.tset`; did you mean `test`"],
        ),
        ({"data": {"trian": 1}}, ["there is no key `data.trian`; did you mean `train`?"]),
        ({"data": {"train": "a", "test": {"b": 1}}}, ["`data.test.b` is 1: input should be a valid string"]),
        ({"data": 5}, ["`data` is 5: it has to be a mapping"]),
        ({"corpus": {}}, ["`corpus` is {}: input should be a valid integer"]),
        ({"even": 3}, ["`even` is 3: an odd number"]),
        ({"evne": 2}, ["there is no key `evne`; did you mean `even`?"]),
    ],
)
def test_each_is_named_once(values, said):
    with pytest.raises(ValidationError) as caught:
        Config.model_validate(values)
    found = mistakes(caught.value.errors(), Config)
    assert len(found) == len(said), found
    assert all(sentence.startswith(begin) for sentence, begin in zip(found, said, strict=True)), found
