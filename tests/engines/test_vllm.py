"""vLLM needs a GPU: a stand-in module records what it is asked."""

import json
import sys
from types import ModuleType, SimpleNamespace

import pytest

from bftembed.engines import Request, Sampling, VLLMEngine
from bftembed.errors import EngineError, InputError, MissingExtraError

REQUESTS = [Request("a", "TP53", "Be brief."), Request("b", "BRCA1"), Request("c", "INS")]


@pytest.fixture
def vllm(monkeypatch):
    """Module `vllm` that records the calls and answers with the last message, in capitals."""
    calls = {"llm": [], "sampling": [], "chat": []}

    class LLM:
        def __init__(self, **options):
            calls["llm"].append(options)

        def chat(self, messages, sampling_params=None, *, lora_request=None):
            calls["chat"].append((messages, sampling_params, lora_request))
            return [self.answer(conversation) for conversation in messages][: calls.get("most")]

        def answer(self, conversation):
            text = conversation[-1]["content"].upper()
            finish = "length" if text == "INS" else "stop"
            best = SimpleNamespace(text=text, finish_reason=finish, token_ids=list(text))
            ids = None if text == "BRCA1" else [1] * 7
            return SimpleNamespace(outputs=[best], prompt_token_ids=ids)

    def sampling_params(**options):
        calls["sampling"].append(options)
        return options

    module, lora, request = ModuleType("vllm"), ModuleType("vllm.lora"), ModuleType("vllm.lora.request")
    module.LLM, module.SamplingParams = LLM, sampling_params
    request.LoRARequest = lambda *parts: parts
    for name, part in {"vllm": module, "vllm.lora": lora, "vllm.lora.request": request}.items():
        monkeypatch.setitem(sys.modules, name, part)
    return calls


def test_all_prompts_go_in_one_call(vllm, tiny_model):
    engine = VLLMEngine(str(tiny_model), dtype="float16", tensor_parallel_size=2)
    sampling = Sampling(max_new_tokens=9, temperature=0.5, top_p=0.8, seed=3)
    [batch] = engine.generate(REQUESTS, sampling=sampling)
    assert vllm["llm"] == [
        {"model": str(tiny_model), "dtype": "float16", "enable_prefix_caching": True, "tensor_parallel_size": 2}
    ]
    assert vllm["sampling"] == [{"max_tokens": 9, "temperature": 0.5, "top_p": 0.8, "seed": 3}]
    [(messages, parameters, lora)] = vllm["chat"]
    assert messages == [
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "TP53"}],
        [{"role": "user", "content": "BRCA1"}],
        [{"role": "user", "content": "INS"}],
    ]
    assert parameters is not None
    assert lora is None
    assert [(d.id, d.text, d.finish_reason, d.n_prompt_tokens, d.n_tokens) for d in batch] == [
        ("a", "TP53", "stop", 7, 4),
        ("b", "BRCA1", "stop", 0, 5),
        ("c", "INS", "length", 7, 3),
    ]


def test_prompts_per_call_bounds_each_call_and_the_model_is_loaded_once(vllm, tiny_model):
    engine = VLLMEngine(str(tiny_model), prompts_per_call=2)
    assert [[done.id for done in batch] for batch in engine.generate(REQUESTS)] == [["a", "b"], ["c"]]
    list(engine.generate(REQUESTS[:1]))
    assert [len(messages) for messages, *_ in vllm["chat"]] == [2, 1, 1]
    assert len(vllm["llm"]) == 1


def test_an_adapter_becomes_a_lora_request_on_its_base_model(vllm, tiny_model, tmp_path):
    adapter = tmp_path / "lora"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(tiny_model)}))
    engine = VLLMEngine(str(adapter))
    list(engine.generate(REQUESTS))
    assert vllm["llm"][0]["model"] == str(tiny_model)
    assert vllm["llm"][0]["enable_lora"] is True
    [(_, _, lora)] = vllm["chat"]
    assert lora == ("adapter", 1, str(adapter))
    assert engine.describe()["adapter"].startswith("sha256:")


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
    assert said == "vllm not installed" or said.startswith("vllm 0")
    assert VLLMEngine(str(tiny_model), tensor_parallel_size=8).describe() == plain
    others = [VLLMEngine(str(tiny_model), dtype="half"), VLLMEngine(str(tiny_model), quantization="fp8")]
    assert all(other.describe() != plain for other in others)


def test_impossible_sizes(tiny_model):
    with pytest.raises(InputError, match="prompts_per_call must be at least 1, got -1"):
        VLLMEngine(str(tiny_model), prompts_per_call=-1)
