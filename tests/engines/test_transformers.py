import json
import logging
import shutil
import sys

import pytest
import torch

from bftembed._threads import advise_once
from bftembed.engines import Request, Sampling, TransformersEngine
from bftembed.errors import EngineError, InputError, ModelError

GENES = ["TP53", "BRCA1", "INS", "CD3E", "MYC"]
#: Prompts of different lengths, so that static batches need padding.
REQUESTS = [Request(gene, f"Tell me about {gene}." + " Be precise." * n) for n, gene in enumerate(GENES)]
SHORT = Sampling(max_new_tokens=6)


def by_id(batches):
    return {done.id: done for batch in batches for done in batch}


def texts(batches):
    return {id: done.text for id, done in by_id(batches).items()}


def reference(model, tokenizer, request, n):
    """Greedy text of one unpadded prompt, with `model.generate` alone."""
    messages = [{"role": "system", "content": request.system}] if request.system else []
    messages.append({"role": "user", "content": request.user})
    inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    output = model.generate(**inputs, max_new_tokens=n, do_sample=False)
    return tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


@pytest.fixture(scope="session")
def tiny(tiny_model):
    """The tiny model and its tokenizer, loaded with transformers alone."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(tiny_model).eval(), AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture(scope="session")
def tiny_texts(tiny):
    """What the tiny model says to `REQUESTS`."""
    return {request.id: reference(*tiny, request, SHORT.max_new_tokens) for request in REQUESTS}


@pytest.fixture
def variant(tiny_model, tmp_path):
    """Copies of the tiny model with files replaced (or removed, with None)."""

    def make(**files):
        directory = tmp_path / f"variant{len(list(tmp_path.iterdir()))}"
        shutil.copytree(tiny_model, directory)
        for name, content in files.items():
            file = directory / name.replace("__", ".")
            if content is None:
                file.unlink()
            else:
                file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(directory)

    return make


def test_real_model_in_a_padded_batch_says_what_it_says_alone(model_dir):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    requests = [
        Request("short", "What is TP53?"),
        Request("long", "Describe the function of the human gene BRCA1 in DNA repair and in cancer, in two sentences."),
        Request("stops", "What is the capital of France? Answer with one word.", "You answer with one word."),
    ]
    done = by_id(TransformersEngine(str(model_dir)).generate(requests, sampling=Sampling(max_new_tokens=12)))
    model, tokenizer = AutoModelForCausalLM.from_pretrained(model_dir), AutoTokenizer.from_pretrained(model_dir)
    for request in requests:
        assert done[request.id].text == reference(model, tokenizer, request, 12)
    assert {id: answer.finish_reason for id, answer in done.items()} == {
        "short": "length",
        "long": "length",
        "stops": "stop",
    }
    assert done["short"].n_tokens == 12
    assert done["stops"].n_tokens < 12


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_the_batch_size_does_not_change_greedy_texts(tiny_model, tiny_texts, batch_size):
    engine = TransformersEngine(str(tiny_model), batch_size=batch_size)
    batches = list(engine.generate(REQUESTS, sampling=SHORT))
    assert texts(batches) == tiny_texts
    assert len(set(tiny_texts.values())) == len(REQUESTS)
    assert max(map(len, batches)) == min(batch_size, len(REQUESTS))


def test_longest_prompts_come_first(tiny_model):
    batches = TransformersEngine(str(tiny_model), batch_size=2).generate(REQUESTS, sampling=SHORT)
    assert [[done.id for done in batch] for batch in batches] == [["MYC", "CD3E"], ["INS", "BRCA1"], ["TP53"]]


def test_continuous_batching_gives_the_same_greedy_texts(tiny_model, tiny_texts):
    engine = TransformersEngine(str(tiny_model), continuous=True, batch_size=2)
    answers = by_id(engine.generate(REQUESTS, sampling=SHORT))
    assert {id: done.text for id, done in answers.items()} == tiny_texts
    assert {(done.finish_reason, done.n_tokens) for done in answers.values()} == {("length", 6)}


def test_continuous_batching_survives_prompts_that_are_all_too_long(tiny_model):
    engine = TransformersEngine(str(tiny_model), continuous=True)
    [[done]] = engine.generate([Request("a", "long " * 600)], sampling=SHORT)
    assert done.finish_reason == "error"


def test_what_fails_in_continuous_batching_goes_into_static_batches(tiny_model, tiny_texts, monkeypatch, caplog):
    engine = TransformersEngine(str(tiny_model), continuous=True)
    model = engine.load()[0]
    real = model.continuous_batching_context_manager

    def broken(**options):
        options["continuous_batching_config"].page_size = 1
        return real(**options)

    monkeypatch.setattr(model, "continuous_batching_context_manager", broken)
    assert texts(engine.generate(REQUESTS, sampling=SHORT)) == tiny_texts
    assert "Continuous batching failed (ValueError: page_size must be at least 4" in caplog.text


def test_a_text_ends_at_the_first_end_token(tiny, tiny_model, variant):
    model, tokenizer = tiny
    request = REQUESTS[0]
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": request.user}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    tokens = model.generate(**prompt, max_new_tokens=6, do_sample=False)[0, prompt["input_ids"].shape[1] :].tolist()
    config = json.loads((tiny_model / "generation_config.json").read_text())
    ending = variant(generation_config__json=json.dumps(config | {"eos_token_id": [2, tokens[3]]}))
    answers = by_id(TransformersEngine(ending).generate(REQUESTS, sampling=SHORT))
    first = tokens.index(tokens[3])
    done = answers[request.id]
    assert (done.finish_reason, done.n_tokens) == ("stop", first)
    assert done.text == tokenizer.decode(tokens[:first], skip_special_tokens=True)
    assert done.n_prompt_tokens == prompt["input_ids"].shape[1]
    [[cut]] = TransformersEngine(ending).generate([request], sampling=Sampling(max_new_tokens=first))
    assert (cut.finish_reason, cut.text) == ("length", done.text)


def test_a_prompt_beyond_the_window_fails_alone(tiny_model, tiny_texts):
    long = Request("long", "word " * 600)
    engine = TransformersEngine(str(tiny_model))
    answers = by_id(engine.generate([*REQUESTS, long], sampling=SHORT))
    failed = answers.pop("long")
    assert (failed.finish_reason, failed.text) == ("error", "")
    assert "exceed the model's window of 512 tokens" in failed.error
    assert failed.n_prompt_tokens == engine.count_tokens([long]) > 600
    assert {id: done.text for id, done in answers.items()} == tiny_texts


def test_the_window_holds_prompt_and_answer(tiny_model):
    engine = TransformersEngine(str(tiny_model))
    room = 512 - engine.count_tokens(REQUESTS[:1])
    model = engine.load()[0]
    model.generate = lambda **inputs: inputs["input_ids"]
    [[fits]] = engine.generate(REQUESTS[:1], sampling=Sampling(max_new_tokens=room))
    [[too_long]] = engine.generate(REQUESTS[:1], sampling=Sampling(max_new_tokens=room + 1))
    assert (fits.finish_reason, too_long.finish_reason) == ("length", "error")


def run_out_of_memory(engine, above, error):
    """Let the engine's model fail in batches larger than `above`; returns the sizes that were tried."""
    model, sizes = engine.load()[0], []
    real = model.generate

    def generate(**inputs):
        sizes.append(len(inputs["input_ids"]))
        if sizes[-1] > above:
            raise error
        return real(**inputs)

    model.generate = generate
    return sizes


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
)
def test_out_of_memory_halves_the_batch_and_all_are_answered(tiny_model, tiny_texts, caplog, error):
    engine = TransformersEngine(str(tiny_model))
    sizes = run_out_of_memory(engine, 2, error)
    with caplog.at_level(logging.WARNING, logger="bftembed"):
        assert texts(engine.generate(REQUESTS, sampling=SHORT)) == tiny_texts
    assert sizes == [5, 2, 2, 1]
    assert "batches of 2" in caplog.text
    sizes.clear()
    assert texts(engine.generate(REQUESTS, sampling=SHORT)) == tiny_texts
    assert max(sizes) == 2


def test_a_halved_batch_grows_again_in_the_same_run(tiny_model):
    requests = [Request(str(n), f"Gene number {n}") for n in range(24)]
    engine = TransformersEngine(str(tiny_model), batch_size=4)
    once = [torch.OutOfMemoryError("CUDA out of memory")]
    model, sizes = engine.load()[0], []
    real = model.generate

    def generate(**inputs):
        sizes.append(len(inputs["input_ids"]))
        if once:
            raise once.pop()
        return real(**inputs)

    model.generate = generate
    assert len(by_id(engine.generate(requests, sampling=Sampling(max_new_tokens=1)))) == 24
    assert sizes == [4, *[2] * 8, 4, 4]


def test_out_of_memory_on_a_gpu_empties_its_cache(tiny_model, tiny_texts, monkeypatch):
    engine = TransformersEngine(str(tiny_model), device="cpu")
    sizes = run_out_of_memory(engine, 2, torch.OutOfMemoryError("CUDA out of memory"))
    emptied = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    # While an error is handled, it holds the batch that did not fit.
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append((len(sizes), sys.exception())))
    assert texts(engine.generate(REQUESTS, sampling=SHORT)) == tiny_texts
    assert emptied == [(1, None)]


def test_out_of_memory_in_the_second_batch_keeps_the_first(tiny_model, tiny_texts):
    engine = TransformersEngine(str(tiny_model), batch_size=4)
    answers = engine.generate(REQUESTS, sampling=SHORT)
    first = next(answers)
    sizes = run_out_of_memory(engine, 0, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(EngineError, match="Out of memory with a batch of one; use a smaller model"):
        list(answers)
    assert sizes == [1]
    assert len(first) == 4


def test_out_of_memory_with_one_prompt_ends_the_run(tiny_model):
    engine = TransformersEngine(str(tiny_model))
    sizes = run_out_of_memory(engine, 0, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(EngineError, match="batch of one"):
        list(engine.generate(REQUESTS, sampling=SHORT))
    assert sizes == [5, 2, 1]


def test_another_failure_is_not_taken_for_memory(tiny_model):
    engine = TransformersEngine(str(tiny_model))
    sizes = run_out_of_memory(engine, 0, RuntimeError("shapes do not match"))
    with pytest.raises(EngineError, match="batch of 5: shapes do not match"):
        list(engine.generate(REQUESTS, sampling=SHORT))
    assert sizes == [5]


HIDDEN = {
    "repetition_penalty": 5.0,
    "no_repeat_ngram_size": 1,
    "min_new_tokens": 6,
    "num_beams": 2,
    "top_k": 3,
    "temperature": 0.1,
    "bad_words_ids": [[5]],
    "suppress_tokens": list(range(0, 40000, 2)),
}


@pytest.mark.parametrize(
    "sampling", [SHORT, Sampling(max_new_tokens=6, temperature=1.0, seed=3)], ids=["greedy", "drawn"]
)
def test_nothing_of_the_models_own_generation_config_changes_a_text(tiny_model, variant, sampling):
    config = json.loads((tiny_model / "generation_config.json").read_text())
    hiding = TransformersEngine(variant(generation_config__json=json.dumps(config | HIDDEN)))
    plain = texts(TransformersEngine(str(tiny_model)).generate(REQUESTS, sampling=sampling))
    assert texts(hiding.generate(REQUESTS, sampling=sampling)) == plain


def test_the_repetition_penalty_is_that_of_transformers(tiny, tiny_model, tiny_texts):
    model, tokenizer = tiny
    found = texts(
        TransformersEngine(str(tiny_model)).generate(
            REQUESTS, sampling=Sampling(max_new_tokens=6, repetition_penalty=0.2)
        )
    )
    assert found != tiny_texts
    for request in REQUESTS:
        chat = [{"role": "user", "content": request.user}]
        options = {"add_generation_prompt": True, "return_tensors": "pt", "return_dict": True}
        inputs = tokenizer.apply_chat_template(chat, **options)
        output = model.generate(**inputs, max_new_tokens=6, do_sample=False, repetition_penalty=0.2)
        assert found[request.id] == tokenizer.decode(
            output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )


@pytest.mark.parametrize("continuous", [False, True])
def test_a_stop_text_ends_an_answer_and_is_not_part_of_it(tiny_model, tiny_texts, continuous):
    stop = tiny_texts["INS"][3:6]
    engine = TransformersEngine(str(tiny_model), continuous=continuous)
    answers = by_id(engine.generate(REQUESTS, sampling=Sampling(max_new_tokens=6, stop=[stop])))
    for id, text in tiny_texts.items():
        before, found, _ = text.partition(stop)
        assert (answers[id].text, answers[id].finish_reason) == (before, "stop" if found else "length")


def test_what_continuous_batching_would_drop_goes_into_static_batches(tiny_model, caplog):
    sampling = Sampling(max_new_tokens=6, repetition_penalty=0.2)
    engine = TransformersEngine(str(tiny_model), continuous=True)
    static = texts(TransformersEngine(str(tiny_model), continuous=False).generate(REQUESTS, sampling=sampling))
    assert texts(engine.generate(REQUESTS, sampling=sampling)) == static
    assert "knows no repetition penalty" in caplog.text


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(tiny_model, tmp_path):
    from transformers import AutoTokenizer

    directory = tmp_path / "more"
    shutil.copytree(tiny_model, directory)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.add_tokens(["TP53"])
    tokenizer.save_pretrained(directory)
    engine = TransformersEngine(str(directory))
    with pytest.raises(ModelError, match=r"A prompt holds token \d+, and the model's vocabulary has \d+ tokens"):
        list(engine.generate(REQUESTS, sampling=SHORT))


def test_a_model_larger_than_the_gpu_is_an_error_of_the_engine(tiny_model, monkeypatch):
    from transformers import LlamaForCausalLM

    def full(*_):
        message = "CUDA out of memory"
        raise torch.OutOfMemoryError(message)

    monkeypatch.setattr(LlamaForCausalLM, "to", full)
    with pytest.raises(EngineError, match="Out of memory while loading"):
        list(TransformersEngine(str(tiny_model)).generate(REQUESTS))


def prompt_of(engine, request):
    return engine._load_tokenizer().decode(engine._prompt_ids(request))


TALK = Request("a", "What is TP53?", "Be brief.")
PLAIN = (
    "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}[model] {% endif %}"
)
RAISES = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + PLAIN
DROPS = PLAIN.replace("messages %}", "messages if m.role != 'system' %}")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (PLAIN, "[system] Be brief.\n[user] What is TP53?\n[model] "),
        (RAISES, "[user] Be brief.\n\nWhat is TP53?\n[model] "),
        (DROPS, "[user] Be brief.\n\nWhat is TP53?\n[model] "),
    ],
    ids=["system role", "raises", "drops"],
)
def test_chat_templates_with_and_without_a_system_role(variant, template, expected):
    engine = TransformersEngine(variant(chat_template__jinja=template))
    assert prompt_of(engine, TALK) == expected
    assert prompt_of(engine, Request("b", "What is TP53?")) == "[user] What is TP53?\n[model] "


def test_the_default_template_has_a_system_role(tiny_model):
    engine = TransformersEngine(str(tiny_model))
    assert prompt_of(engine, TALK).startswith(
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat is TP53?"
    )


def test_a_model_without_chat_template_gets_plain_text(variant):
    engine = TransformersEngine(variant(chat_template__jinja=None))
    assert prompt_of(engine, TALK) == "Be brief.\n\nWhat is TP53?\n\n"
    assert prompt_of(engine, Request("b", "What is TP53?")) == "What is TP53?\n\n"
    [[done]] = engine.generate([TALK], sampling=SHORT)
    assert done.n_tokens == 6


def test_a_prefix_begins_the_answer_and_raw_text_knows_no_template(variant):
    engine = TransformersEngine(variant(chat_template__jinja=PLAIN))
    prompt = "[system] Be brief.\n[user] What is TP53?\n[model] Answer:"
    assert prompt_of(engine, Request("a", "What is TP53?", "Be brief.", prefix="Answer:")) == prompt
    assert prompt_of(engine, Request("a", raw="Question: TP53?\nAnswer:")) == "Question: TP53?\nAnswer:"
    dialogue = [("user", "A?"), {"role": "assistant", "content": "B."}, ("user", "C?")]
    assert prompt_of(engine, Request("a", messages=dialogue)) == "[user] A?\n[assistant] B.\n[user] C?\n[model] "
    bare = TransformersEngine(variant(chat_template__jinja=None))
    assert prompt_of(bare, Request("a", "What is TP53?", prefix="Answer:")) == "What is TP53?\n\nAnswer:"


def test_a_tokenizer_without_padding_token_pads_with_the_end_token(tiny_model, tiny_texts, variant):
    config = json.loads((tiny_model / "tokenizer_config.json").read_text())
    del config["pad_token"]
    engine = TransformersEngine(variant(tokenizer_config__json=json.dumps(config)))
    assert texts(engine.generate(REQUESTS, sampling=SHORT)) == tiny_texts
    assert engine._load_tokenizer().pad_token == engine._load_tokenizer().eos_token


@pytest.fixture(scope="session")
def lora(tiny_model, tmp_path_factory):
    """Directory of a LoRA adapter on the tiny model, and one of the two merged."""
    import peft
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    targets = ["q_proj", "v_proj", "down_proj"]
    config = peft.LoraConfig(r=4, lora_alpha=16, target_modules=targets, init_lora_weights=False, task_type="CAUSAL_LM")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = peft.get_peft_model(base, config)
    adapter = tmp_path_factory.mktemp("lora") / "adapter"
    model.save_pretrained(adapter)
    merged = adapter.with_name("merged")
    model.merge_and_unload().save_pretrained(merged)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(merged)
    return adapter, merged


def test_an_adapter_and_its_merged_model_say_what_peft_says(tiny, tiny_model, tiny_texts, lora):
    import peft
    from transformers import AutoModelForCausalLM

    adapter, merged = lora
    model = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_model), adapter).eval()
    expected = {request.id: reference(model, tiny[1], request, 6) for request in REQUESTS}
    assert expected != tiny_texts
    assert texts(TransformersEngine(str(adapter)).generate(REQUESTS, sampling=SHORT)) == expected
    assert texts(TransformersEngine(str(merged)).generate(REQUESTS, sampling=SHORT)) == expected
    named = TransformersEngine(str(tiny_model), adapter=str(adapter))
    assert texts(named.generate(REQUESTS, sampling=SHORT)) == expected
    assert named.describe() == TransformersEngine(str(adapter)).describe()
    assert named.describe() != TransformersEngine(str(tiny_model)).describe()


def test_an_adapter_with_a_chat_template_of_its_own_uses_it(tiny_model, lora, tmp_path):
    adapter = tmp_path / "with-template"
    shutil.copytree(lora[0], adapter)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_model / name, adapter)
    (adapter / "chat_template.jinja").write_text(PLAIN)
    assert prompt_of(TransformersEngine(str(adapter)), TALK).startswith("[system] Be brief.")
    assert prompt_of(TransformersEngine(str(lora[0])), TALK).startswith("<|im_start|>")


@pytest.mark.parametrize("change", [{"num_hidden_layers": 3}, {"intermediate_size": 32}])
def test_an_adapter_of_another_model_is_refused(tiny_model, lora, tmp_path, change):
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(tiny_model)
    config.update(change)
    other = tmp_path / "other"
    AutoModelForCausalLM.from_config(config).save_pretrained(other)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_model / name, other)
    engine = TransformersEngine(str(other), adapter=str(lora[0]))
    with pytest.raises(ModelError, match="adapter` does not fit the model"):
        list(engine.generate(REQUESTS, sampling=SHORT))


def test_scores_are_log_probabilities_of_the_whole_answer(tiny, tiny_model):
    model, tokenizer = tiny
    options = [" yes", " no, it is not known", "TP53"]
    [[scored]] = TransformersEngine(str(tiny_model)).score_many([TALK], options)
    scores = [option.logprob for option in scored.options]
    messages = [{"role": "system", "content": TALK.system}, {"role": "user", "content": TALK.user}]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
    for option, score in zip(options, scores, strict=True):
        ids = torch.tensor([prompt + tokenizer(option, add_special_tokens=False)["input_ids"]])
        labels = ids.clone()
        labels[:, : len(prompt)] = -100
        with torch.no_grad():
            loss = model(ids, labels=labels).loss
        assert score == pytest.approx(-float(loss) * (ids.shape[1] - len(prompt)), rel=1e-5)
    assert len(set(scores)) == 3


DRAW = Sampling(max_new_tokens=8, temperature=1.0, seed=11)


def test_draws_are_reproducible_and_follow_the_seed(tiny_model):
    state = torch.random.get_rng_state()
    engine = TransformersEngine(str(tiny_model))
    first = texts(engine.generate(REQUESTS, sampling=DRAW))
    assert texts(engine.generate(REQUESTS, sampling=DRAW)) == first
    assert texts(TransformersEngine(str(tiny_model)).generate(REQUESTS, sampling=DRAW)) == first
    other = texts(engine.generate(REQUESTS, sampling=Sampling(max_new_tokens=8, temperature=1.0, seed=12)))
    assert all(other[id] != first[id] for id in first)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_draw_depends_on_its_own_request_alone(tiny_model, batch_size):
    together = texts(TransformersEngine(str(tiny_model)).generate(REQUESTS, sampling=DRAW))
    engine = TransformersEngine(str(tiny_model), batch_size=batch_size)
    assert texts(engine.generate(REQUESTS[1:], sampling=DRAW)) == {r.id: together[r.id] for r in REQUESTS[1:]}


def test_top_p_narrows_the_draw_to_the_best_token(tiny_model, tiny_texts):
    draw = Sampling(max_new_tokens=6, temperature=1.0, top_p=1e-6)
    assert texts(TransformersEngine(str(tiny_model)).generate(REQUESTS, sampling=draw)) == tiny_texts


@pytest.mark.parametrize("finished", [1, 2])
def test_a_run_that_was_cut_between_batches_goes_on_as_if_it_had_not_been(tiny_model, finished):
    engine = TransformersEngine(str(tiny_model), batch_size=2)
    whole = list(engine.generate(REQUESTS, sampling=DRAW))
    done = {answer.id for batch in whole[:finished] for answer in batch}
    rest = [request for request in REQUESTS if request.id not in done]
    assert list(TransformersEngine(str(tiny_model), batch_size=2).generate(rest, sampling=DRAW)) == whole[finished:]


def test_half_precision_where_it_is_asked_for(tiny_model):
    engine = TransformersEngine(str(tiny_model), dtype="bfloat16")
    assert len(texts(engine.generate(REQUESTS, sampling=SHORT))) == 5
    assert engine.load()[0].dtype == torch.bfloat16
    assert TransformersEngine(str(tiny_model), device="cpu")._placement() == ("cpu", "float32")


@pytest.mark.parametrize(("has_bf16", "dtype"), [(True, "bfloat16"), (False, "float16")])
def test_half_precision_on_a_gpu(tiny_model, monkeypatch, has_bf16, dtype):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: has_bf16)
    assert TransformersEngine(str(tiny_model))._placement() == ("cuda", dtype)


def test_description_follows_what_changes_texts_and_loads_nothing(tiny_model, lora, variant, monkeypatch):
    def forbidden(*args, **options):
        raise AssertionError

    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", forbidden)
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", forbidden)
    directory = str(tiny_model)
    described = [
        TransformersEngine(directory).describe(),
        TransformersEngine(directory, dtype="bfloat16").describe(),
        TransformersEngine(directory, adapter=str(lora[0])).describe(),
        TransformersEngine(variant(chat_template__jinja=PLAIN)).describe(),
    ]
    assert len({json.dumps(d, sort_keys=True) for d in described}) == 4
    assert TransformersEngine(directory, batch_size=7).describe() == described[0]
    assert set(described[0]) == {"engine", "weights", "adapter", "dtype"}
    assert TransformersEngine(directory).provenance()["model"] == "tiny"


def test_no_requests_load_nothing(tiny_model):
    engine = TransformersEngine(str(tiny_model))
    assert list(engine.generate([])) == []
    assert engine._loaded is None


CUSTOM = {"auto_map": {"AutoModelForCausalLM": "own.Own", "AutoConfig": "own.OwnConfig"}, "model_type": "own"}


def test_code_of_a_model_is_not_run_unless_asked_for(variant, tiny_model, tmp_path):
    mark = tmp_path / "was-run"
    directory = variant(
        config__json=json.dumps(json.loads((tiny_model / "config.json").read_text()) | CUSTOM),
        own__py=f"from pathlib import Path\nPath({str(mark)!r}).touch()\n",
    )
    engine = TransformersEngine(directory)
    with pytest.raises(ModelError, match="cannot load"):
        list(engine.generate(REQUESTS, sampling=SHORT))
    assert not mark.exists()


def without_tokenizer(_):
    return {"tokenizer__json": None, "tokenizer_config__json": None}


def other_layers(config):
    return {"config__json": json.dumps(config | {"num_hidden_layers": 3})}


def other_width(config):
    return {"config__json": json.dumps(config | {"hidden_size": 64})}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (without_tokenizer, "cannot load a tokenizer"),
        (lambda _: {"model__safetensors": b"junk" * 100}, "cannot load the model.*header"),
        (lambda _: {"model__safetensors": b""}, "cannot load the model"),
        (lambda _: {"config__json": "{"}, "not a valid JSON"),
        (other_layers, "no complete language model: 9 of its layers have no weights"),
        (other_width, "cannot load the model"),
    ],
)
def test_damaged_models_are_refused_before_they_write_noise(variant, tiny_model, files, said):
    config = json.loads((tiny_model / "config.json").read_text())
    engine = TransformersEngine(variant(**files(config)))
    with pytest.raises(ModelError, match=said) as caught:
        list(engine.generate(REQUESTS, sampling=SHORT))
    assert "\n" not in str(caught.value)


def test_a_model_too_large_for_the_memory(tiny_model, monkeypatch):
    def too_large(*args, **options):
        message = "CUDA out of memory"
        raise torch.OutOfMemoryError(message)

    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", too_large)
    with pytest.raises(EngineError, match=r"Out of memory.*use a smaller model"):
        list(TransformersEngine(str(tiny_model)).generate(REQUESTS))


LAYOUTS = [
    {"attn_implementation": "eager"},
    {"device_map": "auto"},
    {"device_map": {"": "cpu"}, "dtype": "auto"},
    {"compile": True, "batch_size": 2},
]


@pytest.mark.parametrize("options", LAYOUTS, ids=str)
def test_how_the_model_lies_on_the_machine_changes_neither_text_nor_key(tiny_model, tiny_texts, options):
    engine = TransformersEngine(str(tiny_model), **options)
    assert texts(engine.generate(REQUESTS, sampling=SHORT)) == tiny_texts
    assert engine.describe() == TransformersEngine(str(tiny_model)).describe()
    assert engine.load()[0].config._attn_implementation == options.get("attn_implementation", "sdpa")


def test_an_adapter_on_a_model_that_is_laid_out_by_a_map(tiny_model, lora):
    adapter, merged = lora
    mapped = TransformersEngine(str(tiny_model), adapter=str(adapter), device_map="auto")
    expected = texts(TransformersEngine(str(merged)).generate(REQUESTS, sampling=SHORT))
    assert texts(mapped.generate(REQUESTS, sampling=SHORT)) == expected


def test_a_model_that_would_be_read_from_disk_for_each_token_is_refused(tiny_model):
    layers = {"model.embed_tokens": "cpu", "model.layers": "disk", "model.norm": "cpu", "lm_head": "cpu"}
    engine = TransformersEngine(str(tiny_model), device_map=layers | {"model.rotary_emb": "cpu"})
    with pytest.raises(EngineError, match="would be read from disk for each token"):
        engine.load()


def test_a_device_and_a_map_of_devices_exclude_each_other(tiny_model):
    with pytest.raises(InputError, match="`device` and `device_map` both say"):
        TransformersEngine(str(tiny_model), device="cpu", device_map="auto")


@pytest.mark.parametrize("name", ["flash_attention_2", "no_such"])
def test_an_attention_that_is_not_there_is_named(tiny_model, name):
    with pytest.raises(ModelError, match=f"cannot load the model.*{name if '_such' in name else 'FlashAttention2'}"):
        TransformersEngine(str(tiny_model), attn_implementation=name).load()


def test_the_dtype_of_the_model_itself(tiny_model, variant):
    config = json.loads((tiny_model / "config.json").read_text())
    half = variant(config__json=json.dumps(config | {"dtype": "bfloat16"}))
    engine = TransformersEngine(half, dtype="auto")
    assert engine.describe()["dtype"] == "bfloat16"
    assert engine.load()[0].dtype == torch.bfloat16
    silent = {name: value for name, value in config.items() if name != "dtype"}
    older = variant(config__json=json.dumps(silent | {"torch_dtype": "float16"}))
    assert TransformersEngine(older, dtype="auto").describe()["dtype"] == "float16"
    assert TransformersEngine(variant(config__json=json.dumps(silent)), dtype="auto").describe()["dtype"] == "float32"
    eight = variant(config__json=json.dumps(config | {"dtype": "float8_e4m3fn"}))
    with pytest.raises(ModelError, match=r"stored as `float8_e4m3fn`; name another `dtype`"):
        TransformersEngine(eight, dtype="auto").describe()
    with pytest.raises(ModelError, match=r"configuration of the model .* cannot be read"):
        TransformersEngine(variant(config__json="{"), dtype="auto").describe()


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"dtype": "float7"}, {"threads": 0}])
def test_impossible_options_are_refused_at_once(tiny_model, options):
    [value] = options.values()
    with pytest.raises(InputError, match=str(value)):
        TransformersEngine(str(tiny_model), **options)


def test_threads_are_taken_while_texts_are_made(tiny_model, monkeypatch):
    engine = TransformersEngine(str(tiny_model), threads=torch.get_num_threads() + 2)
    before, seen = torch.get_num_threads(), []
    real = engine.load()[0].generate
    model = engine.load()[0]
    monkeypatch.setattr(model, "generate", lambda **i: seen.append(torch.get_num_threads()) or real(**i))
    list(engine.generate(REQUESTS, sampling=SHORT))
    assert seen == [before + 2]
    assert torch.get_num_threads() == before
    assert engine.describe() == TransformersEngine(str(tiny_model)).describe()


def test_a_busy_machine_is_told_that_fewer_threads_are_faster(tiny_model, monkeypatch, caplog):
    monkeypatch.setattr("bftembed._threads.load_average", lambda: 1e3)
    advise_once.cache_clear()
    engine = TransformersEngine(str(tiny_model), threads=2)
    with caplog.at_level(logging.INFO, logger="bftembed"):
        list(engine.generate(REQUESTS[:1], sampling=SHORT))
    assert "is above its" in caplog.text
