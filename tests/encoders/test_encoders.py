import pytest

import bftembed.encoders
from bftembed.encoders import OpenAIEncoder, SentenceTransformersEncoder, get_encoder
from bftembed.errors import InputError, ModelError


def test_specs_name_the_back_end_and_the_model():
    default = get_encoder()
    assert isinstance(default, SentenceTransformersEncoder)
    assert default.describe() == get_encoder("sentence-transformers:default").describe()
    encoder = get_encoder("openai:m@http://127.0.0.1:9/v1", window=100)
    assert isinstance(encoder, OpenAIEncoder)
    assert encoder.window == 100


def test_an_encoder_is_given_back(word_encoder):
    encoder = word_encoder()
    assert get_encoder(encoder) is encoder


@pytest.mark.parametrize("spec", ["", "bert", "openai", "sentence-transformers:", "vllm:m"])
def test_unknown_specs_are_refused_with_those_there_are(spec):
    with pytest.raises(InputError, match=f"`{spec}` is no encoder.*sentence-transformers:MODEL"):
        get_encoder(spec)


def test_unknown_model_is_refused_at_once():
    with pytest.raises(ModelError, match="There is no model `no/such-model`"):
        get_encoder("sentence-transformers:no/such-model")


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="TfidfEncoder"):
        _ = bftembed.encoders.TfidfEncoder
