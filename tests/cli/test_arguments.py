import pytest

from bftembed.cli._arguments import make_engine
from bftembed.errors import InputError

SERVER = "openai:m@http://127.0.0.1:9/v1"


def test_options_of_an_engine_are_json_or_text(tiny_model):
    engine = make_engine(SERVER, None, None, ['extra_body={"temperature": null, "top_p": 0.5}', "timeout=3"])
    assert engine.describe()["extra_body"] == '{"temperature": null, "top_p": 0.5}'
    assert make_engine(f"transformers:{tiny_model}", None, 2, ["dtype=bfloat16"]).describe()["dtype"] == "bfloat16"


def test_options_that_lay_a_model_out(tiny_model):
    given = ["device_map=auto", "attn_implementation=eager", "dtype=auto", "compile=false", "continuous=null"]
    engine = make_engine(f"transformers:{tiny_model}", None, None, given)
    assert engine.load()[0].config._attn_implementation == "eager"
    assert engine.describe() == make_engine(f"transformers:{tiny_model}", None, None).describe()
    mapped = make_engine(f"transformers:{tiny_model}", None, None, ['device_map={"": "cpu"}'])
    assert str(mapped.load()[0].device) == "cpu"


@pytest.mark.parametrize("given", ["dtype", "=x", "a b=1"])
def test_what_is_no_option(given):
    with pytest.raises(InputError, match="write it as NAME=VALUE"):
        make_engine(SERVER, None, None, [given])


@pytest.mark.parametrize("given", ["continuous=none", "trust_remote_code=no", "batch_size=auto"])
def test_a_value_of_another_kind(given, tiny_model):
    name, _, value = given.partition("=")
    with pytest.raises(InputError, match=f"The option `{name}` is .*, got {value!r}"):
        make_engine(f"transformers:{tiny_model}", None, None, [given])


def test_an_option_that_the_engine_does_not_have():
    with pytest.raises(InputError, match=r"does not take these options.*Did you mean `extra_body`"):
        make_engine(SERVER, None, None, ["extra_bdy={}"])
