import numpy as np
import pytest

from bftembed._options import check_types, read_option
from bftembed.encoders import get_encoder
from bftembed.engines import get_engine
from bftembed.errors import InputError


def make(
    *,
    batch_size: "int | None" = None,
    compile: "bool | str" = False,
    trust_remote_code: "bool" = False,
    timeout: "float" = 1.0,
    revision: "str | None" = None,
    device_map: "str | dict[str, Any] | None" = None,  # noqa: F821
    stop: "Sequence[str]" = (),  # noqa: F821
    other=None,
    **more,
): ...


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": None, "timeout": 3, "revision": "main", "device_map": {"": 0}},
        {"batch_size": np.int64(3), "compile": "max-autotune", "timeout": np.float32(1)},
        {"stop": 3, "other": object(), "unknown": 1},  # of these nothing plain is said
    ],
)
def test_what_fits(options):
    check_types(make, options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": "auto"}, "`batch_size` is a whole number or None, got 'auto'"),
        ({"batch_size": True}, "`batch_size` is a whole number"),
        ({"trust_remote_code": "no"}, "`trust_remote_code` is True or False, got 'no'"),
        ({"trust_remote_code": 1}, "`trust_remote_code` is True or False"),
        ({"timeout": None}, "`timeout` is a number, got None"),
        ({"device_map": True}, "`device_map` is a text or a mapping or None"),
    ],
)
def test_what_does_not(options, message):
    with pytest.raises(InputError, match=message):
        check_types(make, options)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("trust_remote_code", "False", False),
        ("trust_remote_code", "false", False),
        ("batch_size", "None", None),
        ("batch_size", "null", None),
        ("batch_size", "auto", "auto"),
        ("revision", "123", "123"),
        ("revision", "true", "true"),
        ("revision", "null", None),
        ("timeout", "3", 3),
        ("compile", "True", True),
        ("compile", "reduce-overhead", "reduce-overhead"),
        ("device_map", '{"": "cpu"}', {"": "cpu"}),
        ("other", "[1]", [1]),
        ("unknown", "0.5", 0.5),
    ],
)
def test_words_of_the_command_line(name, text, value):
    assert read_option(make, name, text) == value


def test_engines_and_encoders_look_at_theirs(tiny_model):
    with pytest.raises(InputError, match="`continuous` is True or False or None, got 'none'"):
        get_engine(f"transformers:{tiny_model}", continuous="none")
    with pytest.raises(InputError, match="`batch_size` is a whole number or None, got '8'"):
        get_encoder("default", batch_size="8")
