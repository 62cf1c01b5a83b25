import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bftembed.engines import Sampling
from bftembed.engines.transformers_generation import Writer

SHORT = Sampling(max_new_tokens=2)


@pytest.fixture
def made(tiny_model):
    """Writers, and what their model's `generate` is given."""
    model = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_model, padding_side="left")
    real, calls = model.generate, []

    def generate(**options):
        calls.append(options)
        return real(**options)

    model.generate = generate

    def make(*, batch_size=None, compile=False):
        model.generation_config.eos_token_id = [2, 3]
        return Writer(model, tokenizer, batch_size=batch_size, compile=compile)

    return make, calls, model


def prompts(*lengths):
    return [([10 + n] * n, str(n)) for n in lengths]


def written(writer, *lengths, **options):
    answers = writer.write(prompts(*lengths), SHORT, continuously=False, **options)
    return {done.id: done.text for batch in answers for done in batch}


@pytest.mark.parametrize(
    ("compile", "mode"), [(True, None), ("max-autotune-no-cudagraphs", "max-autotune-no-cudagraphs")]
)
def test_a_compiled_model_gets_a_static_cache_and_says_the_same(made, compile, mode):
    make, calls, model = made
    plain = written(make(), 9, 5)
    writer = make(compile=compile)
    real, model.generate = model.generate, lambda **options: (calls.append(options), torch.zeros(2, 9, dtype=int))[1]
    written(writer, 9, 5)
    config = calls[-1]["generation_config"]
    assert config.cache_implementation == "static"
    assert getattr(config.compile_config, "mode", None) == mode
    assert calls[0]["generation_config"].cache_implementation is None
    if mode is None:
        model.generate = real
        assert written(writer, 9, 5) == plain


def test_batches_grow_with_shorter_prompts_and_not_where_they_are_compiled(made, monkeypatch):
    make, calls, _ = made
    monkeypatch.setattr("bftembed.engines.transformers_generation.free_memory", lambda _: 760)
    monkeypatch.setattr("bftembed.engines.transformers_generation.sequence_bytes", lambda _, prompt, new: prompt + new)
    lengths = [300, 299, *range(12, 4, -1)]
    free = written(make(), *lengths)
    assert [len(call["input_ids"]) for call in calls] == [2, 8]
    calls.clear()
    assert written(make(compile=True), *lengths) == free
    assert [len(call["input_ids"]) for call in calls] == [2] * 5


def test_a_model_keeps_no_generation_settings_of_its_own(made):
    make, calls, model = made
    model.generation_config.repetition_penalty = 7.0
    writer = make()
    assert model.generation_config.repetition_penalty in (None, 1.0)
    written(writer, 5)
    assert calls[-1]["generation_config"].eos_token_id == [2, 3]


def test_a_tokenizer_without_end_and_padding(made):
    make, _, model = made
    expected = written(make(), 5, 3)
    bare = AutoTokenizer.from_pretrained(model.config._name_or_path)
    bare.eos_token = bare.pad_token = None
    model.generation_config.eos_token_id = None
    writer = Writer(model, bare, batch_size=None, compile=False)
    assert written(writer, 5, 3) == expected
