"""What vLLM is asked, recorded by a stand-in module; `test_vllm_real.py` runs vLLM itself."""

import json
import re
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from bftembed.engines import Request, Sampling, TransformersEngine, VLLMEngine
from bftembed.engines.base import derived_seed
from bftembed.errors import EngineError, InputError, MissingExtraError, ModelError

pytest.importorskip("peft", reason="pip install 'bftembed[tune]'")

REQUESTS = [Request("a", "TP53", "Be brief."), Request("b", "BRCA1"), Request("c", "INS")]


SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
PLAIN = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"


@pytest.fixture
def vllm(monkeypatch, tiny_model):
    """Module `vllm` that refuses what vLLM refuses, records the calls, and answers with the prompt's last word."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    calls = {"llm": [], "sampling": [], "generate": [], "window": 4096}

    class LLM:
        def __init__(self, *, model, **options):
            if options.get("max_lora_rank", 16) not in {1, 8, 16, 32, 64, 128, 256, 320, 512}:
                message = "max_lora_rank: Input should be 1, 8, 16, 32, 64, 128, 256, 320 or 512"
                raise ValueError(message)
            calls["llm"].append({"model": model, **options})
            self.rank = options.get("max_lora_rank", 16)
            self.llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=calls["window"]))

        def generate(self, prompts, sampling_params, *, use_tqdm, lora_request=None):
            assert not use_tqdm
            assert len(sampling_params) == len(prompts)
            if lora_request:
                rank = json.loads((Path(lora_request[2]) / "adapter_config.json").read_text())["r"]
                if rank > self.rank:
                    message = f"LoRA rank {rank} is greater than max_lora_rank {self.rank}."
                    raise ValueError(message)
            texts = [tokenizer.decode(prompt["prompt_token_ids"]) for prompt in prompts]
            if any(len(prompt["prompt_token_ids"]) > calls["window"] for prompt in prompts):
                message = "The decoder prompt is longer than the maximum model length"
                raise ValueError(message)
            calls["generate"].append((texts, sampling_params[0], lora_request))
            return [self.answer(text) for text in texts][: calls.get("most")]

        def answer(self, text):
            word = re.findall("TP53|BRCA1|INS", text)[-1]
            cut = word == "INS"
            ids = tokenizer(f"{word} is a gene.", add_special_tokens=False)["input_ids"]
            ids = ids if cut else [*ids, tokenizer.eos_token_id]
            best = SimpleNamespace(finish_reason="length" if cut else "stop", stop_reason=None, token_ids=tuple(ids))
            return SimpleNamespace(outputs=[best])

    def sampling_params(**options):
        calls["sampling"].append(options)
        return options

    module, lora, request = ModuleType("vllm"), ModuleType("vllm.lora"), ModuleType("vllm.lora.request")
    module.LLM, module.SamplingParams = LLM, sampling_params
    request.LoRARequest = lambda *parts: parts
    for name, part in {"vllm": module, "vllm.lora": lora, "vllm.lora.request": request}.items():
        monkeypatch.setitem(sys.modules, name, part)
    return calls


def test_what_is_asked_and_what_comes_back(vllm, tiny_model):
    layout = {"tensor_parallel_size": 2, "enable_prefix_caching": False, "gpu_memory_utilization": 0.5}
    engine = VLLMEngine(str(tiny_model), dtype="float16", quantization="fp8", **layout)
    draw = {"temperature": 0.5, "top_p": 0.8, "seed": 3, "repetition_penalty": 1.2}
    [batch] = engine.generate(REQUESTS, sampling=Sampling(max_new_tokens=9, stop=[" is a"], **draw))
    assert vllm["llm"] == [
        {
            "model": str(tiny_model),
            "dtype": "float16",
            "enable_prefix_caching": False,
            "tensor_parallel_size": 2,
            "quantization": "fp8",
            "gpu_memory_utilization": 0.5,
        }
    ]
    assert vllm["sampling"] == [{"max_tokens": 9, "stop": [" is a"], **draw}] * 3
    assert [(d.id, d.text, d.finish_reason) for d in batch] == [
        ("a", "TP53", "stop"),
        ("b", "BRCA1", "stop"),
        ("c", "INS", "stop"),
    ]


def test_prompts_and_answers_are_those_of_the_transformers_engine(vllm, tiny_model):
    [batch] = VLLMEngine(str(tiny_model)).generate(REQUESTS)
    engine = TransformersEngine(str(tiny_model))
    [(prompts, _, lora)] = vllm["generate"]
    assert prompts == [engine._load_tokenizer().decode(engine._prompt_ids(request)) for request in REQUESTS]
    assert [done.n_prompt_tokens for done in batch] == [engine.count_tokens([request]) for request in REQUESTS]
    assert [(done.text, done.finish_reason) for done in batch] == [
        ("TP53 is a gene.", "stop"),
        ("BRCA1 is a gene.", "stop"),
        ("INS is a gene.", "length"),
    ]
    assert lora is None


def test_a_prompt_is_laid_out_as_by_the_transformers_engine_and_nothing_is_loaded(vllm, tiny_model):
    request = Request("a", messages=[("user", "TP53?"), ("assistant", "A gene."), ("user", "INS?")], prefix="Answer:")
    text = VLLMEngine(str(tiny_model)).render(request)
    assert text == TransformersEngine(str(tiny_model)).render(request)
    assert text.endswith("INS?<|im_end|>\n<|im_start|>assistant\nAnswer:")
    assert VLLMEngine(str(tiny_model)).render(Request("b", raw="TP53 is")) == "TP53 is"
    assert not vllm["llm"]


def test_prompts_per_call_bounds_each_call_and_the_model_is_loaded_once(vllm, tiny_model):
    engine = VLLMEngine(str(tiny_model), prompts_per_call=2)
    assert [[done.id for done in batch] for batch in engine.generate(REQUESTS)] == [["a", "b"], ["c"]]
    list(engine.generate(REQUESTS[:1]))
    assert [len(prompts) for prompts, *_ in vllm["generate"]] == [2, 1, 1]
    assert len(vllm["llm"]) == 1


def test_a_killed_run_loses_a_part_by_default(vllm, tiny_model):
    requests = [Request(str(n), f"TP53 {n}") for n in range(1500)]
    assert [len(batch) for batch in VLLMEngine(str(tiny_model)).generate(requests)] == [1024, 476]


def test_a_prompt_beyond_the_window_fails_alone(vllm, tiny_model):
    long = Request("long", "TP53 " * 600)
    fits = VLLMEngine(str(tiny_model)).generate([*REQUESTS, long])
    assert {done.finish_reason for batch in fits for done in batch} == {"stop", "length"}
    vllm["window"] = 600
    batches = VLLMEngine(str(tiny_model)).generate([*REQUESTS, long], sampling=Sampling(max_new_tokens=64))
    answers = {done.id: done for batch in batches for done in batch}
    assert answers.pop("long").error.startswith("prompt and max_new_tokens=64 exceed the model's window of 600 tokens")
    assert {done.error for done in answers.values()} == {None}


def test_a_template_without_a_system_role(vllm, tiny_model, tmp_path):
    directory = tmp_path / "gemma"
    shutil.copytree(tiny_model, directory)
    (directory / "chat_template.jinja").write_text(SYSTEM + PLAIN)
    list(VLLMEngine(str(directory)).generate(REQUESTS[:1]))
    assert vllm["generate"][0][0] == ["[user] Be brief.\n\nTP53\n"]


@pytest.fixture
def adapter(tiny_model, tmp_path):
    """Make an adapter as the configurations of this project do."""
    from bftembed.models.causal import add_lora, load_model
    from bftembed.models.files import resolve_model

    def make(**settings):
        model = add_lora(load_model(tiny_model, "float32"), resolve_model(str(tiny_model)), **settings)
        model.save_pretrained(tmp_path / "lora")
        return tmp_path / "lora"

    return make


@pytest.mark.parametrize(
    ("settings", "reserved"),
    [({"r": 64}, 64), ({"r": 4}, 8), ({"r": 65}, 128), ({"r": 8, "rank_pattern": {"v_proj": 24}}, 32)],
)
def test_room_is_reserved_for_the_rank_of_the_adapter(vllm, tiny_model, adapter, settings, reserved):
    path = adapter(**settings, target_modules=["q_proj", "v_proj"])
    engine = VLLMEngine(str(path))
    list(engine.generate(REQUESTS))
    assert vllm["llm"][0]["model"] == str(tiny_model)
    assert (vllm["llm"][0]["enable_lora"], vllm["llm"][0]["max_lora_rank"]) == (True, reserved)
    [(_, _, lora)] = vllm["generate"]
    assert lora == ("adapter", 1, str(path))
    assert engine.describe()["adapter"].startswith("sha256:")
    for named in (VLLMEngine(str(tiny_model), adapter=str(path)), VLLMEngine(str(path), base=str(tiny_model))):
        assert named.describe() == engine.describe()


def test_a_rank_beyond_vllms(vllm, adapter):
    with pytest.raises(ModelError, match=r"has rank 513, and vLLM takes 512 at most; merge it"):
        list(VLLMEngine(str(adapter(r=513, target_modules=["q_proj"]))).generate(REQUESTS))


@pytest.mark.parametrize("where", ["__init__", "generate"])
def test_what_vllm_refuses_is_an_error_of_the_engine(vllm, tiny_model, monkeypatch, where):
    def fail(*args, **options):
        message = "CUDA out of memory\nand more"
        raise RuntimeError(message)

    monkeypatch.setattr(sys.modules["vllm"].LLM, where, fail)
    with pytest.raises(
        EngineError, match=r"^vLLM (failed|cannot load the model `.*`): CUDA out of memory\. Give it less"
    ):
        list(VLLMEngine(str(tiny_model)).generate(REQUESTS))


def test_after_a_fault_the_model_is_loaded_again(vllm, tiny_model, monkeypatch):
    engine = VLLMEngine(str(tiny_model))
    with monkeypatch.context() as broken:
        broken.setattr(sys.modules["vllm"].LLM, "answer", lambda *_: 1 / 0)
        broken.setattr(sys.modules["vllm"].LLM, "generate", lambda *_, **__: [].pop())
        with pytest.raises(EngineError, match="IndexError"):
            list(engine.generate(REQUESTS))
    list(engine.generate(REQUESTS))
    assert len(vllm["llm"]) == 2


def test_an_option_that_vllm_does_not_have(vllm, tiny_model, monkeypatch):
    def refuse(self, **options):
        message = "EngineArgs.__init__() got an unexpected keyword argument 'swop_space'"
        raise TypeError(message)

    monkeypatch.setattr(sys.modules["vllm"].LLM, "__init__", refuse)
    with pytest.raises(InputError, match=r"^vLLM does not take these options: .*'swop_space'\.$"):
        list(VLLMEngine(str(tiny_model), swop_space=3).generate(REQUESTS))


@pytest.mark.parametrize("seed", [-1, -5])
def test_a_negative_seed_is_one(vllm, tiny_model, seed):
    list(VLLMEngine(str(tiny_model)).generate(REQUESTS, sampling=Sampling(temperature=1.0, seed=seed)))
    assert {drawn["seed"] for drawn in vllm["sampling"]} == {derived_seed(seed)}


def test_nothing_is_started_without_requests(vllm, tiny_model):
    assert list(VLLMEngine(str(tiny_model)).generate([])) == []
    assert not vllm["llm"]


def test_unanswered_prompts_are_an_error(vllm, tiny_model):
    vllm["most"] = 2
    with pytest.raises(EngineError, match="answered 2 of 3 prompts"):
        list(VLLMEngine(str(tiny_model)).generate(REQUESTS))


def test_missing_package_names_the_extra(monkeypatch, tiny_model):
    monkeypatch.setitem(sys.modules, "vllm", None)
    engine = VLLMEngine(str(tiny_model))
    with pytest.raises(MissingExtraError, match=r'pip install "bftembed\[vllm\]"'):
        list(engine.generate(REQUESTS))


def test_description_follows_what_changes_texts(tiny_model):
    plain = VLLMEngine(str(tiny_model)).describe()
    said = VLLMEngine(str(tiny_model)).provenance()["version"]
    assert said == "vllm not installed" or re.match(r"vllm(-cpu)? 0\.", said)
    for layout in ({"tensor_parallel_size": 8}, {"enable_prefix_caching": False}, {"gpu_memory_utilization": 0.3}):
        assert VLLMEngine(str(tiny_model), **layout).describe() == plain
    for changed in ({"dtype": "half"}, {"quantization": "fp8"}, {"max_model_len": 256}):
        assert VLLMEngine(str(tiny_model), **changed).describe() != plain


def test_texts_whose_key_held_the_layout_are_found(tiny_model):
    engine = VLLMEngine(str(tiny_model), quantization="fp8", enable_prefix_caching=False)
    former = {"block_size": 32, "enable_prefix_caching": False, "quantization": "fp8"}
    now = engine.describe()
    assert engine.in_current_terms({**now, "options": json.dumps(former)}) == now
    other = {"engine": "openai", "model": "m", "server": "http://a/v1"}
    assert engine.in_current_terms(other) == other


def test_the_version_is_that_of_the_distribution_that_brought_the_module(tiny_model, monkeypatch):
    monkeypatch.setattr("bftembed.engines.vllm.packages_distributions", lambda: {"vllm": ["numpy"]})
    assert VLLMEngine(str(tiny_model)).provenance()["version"] == f"numpy {version('numpy')}"


def test_impossible_sizes(tiny_model):
    for name in ("prompts_per_call", "tensor_parallel_size"):
        with pytest.raises(InputError, match=f"{name} must be at least 1, got -1"):
            VLLMEngine(str(tiny_model), **{name: -1})
