import pytest

import bftembed.engines
from bftembed.engines import AnnotationEngine, OpenAIEngine, TransformersEngine, VLLMEngine, get_engine
from bftembed.errors import InputError, ModelError


def test_specs_name_the_back_end_and_the_model(tiny_model):
    assert isinstance(get_engine("annotation"), AnnotationEngine)
    assert isinstance(get_engine("openai:m@http://127.0.0.1:9/v1"), OpenAIEngine)
    engine = get_engine(f"transformers:{tiny_model}", batch_size=3, dtype="bfloat16")
    assert isinstance(engine, TransformersEngine)
    assert engine.describe()["dtype"] == "bfloat16"
    assert isinstance(get_engine(f"vllm:{tiny_model}"), VLLMEngine)


def test_default_is_the_embedded_model(model_dir):
    description = get_engine("default").describe()
    assert get_engine("default").provenance()["model"].startswith("HuggingFaceTB/SmolLM2-135M-Instruct")
    assert description == get_engine("transformers:default").describe()
    assert description == get_engine("transformers:HuggingFaceTB/SmolLM2-135M-Instruct").describe()


def test_an_engine_is_given_back():
    engine = AnnotationEngine()
    assert get_engine(engine) is engine


@pytest.mark.parametrize("spec", ["", "gpt", "annotation:x", "transformers", "vllm:", "Openai:m", 5])
def test_unknown_specs_are_refused_with_those_there_are(spec):
    with pytest.raises(InputError, match=f"`{spec}` is no engine.*transformers:MODEL"):
        get_engine(spec)


def test_server_without_address_is_refused(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(InputError, match="MODEL@http://host:port/v1"):
        get_engine("openai:gpt")


def test_unknown_model_is_refused_at_once():
    with pytest.raises(ModelError, match="no/such-model"):
        get_engine("transformers:no/such-model")


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="LlamaEngine"):
        _ = bftembed.engines.LlamaEngine


@pytest.mark.parametrize("spec", ["annotation", "openai:m@http://127.0.0.1:9/v1", "transformers:default"])
def test_an_option_that_the_engine_does_not_have(spec):
    with pytest.raises(InputError, match=f"engine `{spec.partition(':')[0]}` does not take these options.*batch_sice"):
        get_engine(spec, batch_sice=3)


def test_the_option_that_was_meant(tiny_model):
    with pytest.raises(InputError, match="Did you mean `batch_size`"):
        get_engine(f"transformers:{tiny_model}", batch_sice=3)
