from importlib.metadata import EntryPoint

import pytest

import bftembed.encoders
from bftembed.encoders import OpenAIEncoder, SentenceTransformersEncoder, get_encoder, restore_encoder
from bftembed.errors import InputError, ModelError


def test_specs_name_the_back_end_and_the_model():
    default = get_encoder()
    assert isinstance(default, SentenceTransformersEncoder)
    assert default.describe() == get_encoder("sentence-transformers:default").describe()
    encoder = get_encoder("openai:m@http://127.0.0.1:9/v1", max_seq_length=100)
    assert isinstance(encoder, OpenAIEncoder)
    assert encoder.max_seq_length == 100


def test_an_encoder_is_given_back(word_encoder):
    encoder = word_encoder()
    assert get_encoder(encoder) is encoder


@pytest.mark.parametrize("spec", ["", "bert", "openai", "sentence-transformers:", "vllm:m"])
def test_unknown_specs_are_refused_with_those_there_are(spec):
    with pytest.raises(InputError, match=f"`{spec}` is no encoder.*sentence-transformers:MODEL"):
        get_encoder(spec)


@pytest.mark.parametrize(
    ("spec", "option", "said"),
    [
        (
            "default",
            {"batchsize": 3},
            r"`sentence-transformers` has no option `batchsize`.* mean `batch_size`\?",
        ),
        ("openai:m@http://127.0.0.1:9/v1", {"dtype": "float16"}, "`openai` has no option `dtype`; it has base_url"),
    ],
)
def test_unknown_options_are_refused_with_those_there_are(spec, option, said):
    with pytest.raises(InputError, match=said):
        get_encoder(spec, **option)


class Point(EntryPoint):
    """An entry point of a package that need not be installed."""


def test_encoders_of_plug_ins(monkeypatch, word_encoder):
    point = Point("words", "somewhere:Words", "bftembed.encoders")
    monkeypatch.setattr(Point, "load", lambda self: word_encoder)
    monkeypatch.setattr("bftembed._plugins.entry_points", lambda **wanted: [point] if wanted.get("name") != "x" else [])
    made = get_encoder("words", marker="7")
    assert made.describe() == {"encoder": "words", "marker": "7"}
    assert restore_encoder(get_encoder("words").record()).describe()["marker"] == "1"
    with pytest.raises(InputError, match=r"`x` is no encoder.*`words`"):
        get_encoder("x")


@pytest.mark.parametrize("encoder", [None, "default"])
def test_an_encoder_is_made_again_from_its_provenance(encoder):
    first = get_encoder("default", prompt="passage: ", query_prompt="query: ", batch_size=7)
    again = restore_encoder(first.record(), encoder)
    assert (again.describe(), again.prompt, again.query_prompt) == (first.describe(), "passage: ", "query: ")


def test_another_encoder_than_that_of_an_embedding_is_refused(word_encoder):
    made_with = get_encoder("default", prompt="passage: ").record()
    for other in (word_encoder(), get_encoder("default"), get_encoder("default", prompt="query: ")):
        with pytest.raises(InputError, match="is not the one that made"):
            restore_encoder(made_with, other)
    with pytest.raises(InputError, match="Pass the `encoder`"):
        restore_encoder(word_encoder().record())


def test_unknown_model_is_refused_at_once():
    with pytest.raises(ModelError, match="There is no model `no/such-model`"):
        get_encoder("sentence-transformers:no/such-model")


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="TfidfEncoder"):
        _ = bftembed.encoders.TfidfEncoder
