from types import SimpleNamespace

import pytest
import torch

from bftembed.engines import Request, Sampling, TransformersEngine, continuous

GREEDY = Sampling(max_new_tokens=6)


def on_gpu(attention="flash_attention_2", devices=("cuda:0",), dtype=torch.bfloat16, **changes):
    """What is asked of a model that lies on GPUs."""
    tensors = [SimpleNamespace(device=torch.device(device)) for device in devices]
    config = SimpleNamespace(_attn_implementation=attention)
    there = {"parameters": lambda: tensors, "config": config, "dtype": dtype, "device": torch.device(devices[0])}
    return SimpleNamespace(**{**there, **changes})


def test_it_is_used_unasked_where_flash_attention_runs_on_one_gpu():
    assert continuous.is_worth_while(on_gpu(), GREEDY)
    assert continuous.is_worth_while(on_gpu("kernels-community/flash-attn2"), GREEDY)
    assert not continuous.is_worth_while(on_gpu("sdpa"), GREEDY)
    assert not continuous.is_worth_while(on_gpu(devices=("cpu",)), GREEDY)
    assert not continuous.is_worth_while(on_gpu(devices=("cuda:0", "cuda:1")), GREEDY)
    assert not continuous.is_worth_while(on_gpu(devices=("cuda:0", "cpu")), GREEDY)
    assert not continuous.is_worth_while(on_gpu(dtype=torch.float32), GREEDY)


@pytest.mark.parametrize("changes", [{"temperature": 0.5}, {"stop": "\n"}, {"repetition_penalty": 1.2}], ids=str)
def test_it_is_not_used_unasked_for_what_static_batches_do_better(changes):
    assert not continuous.is_worth_while(on_gpu(), Sampling(**changes))


def test_an_installed_flash_attention_is_found(monkeypatch):
    name = "transformers.utils.import_utils.is_flash_attn_2_available"
    monkeypatch.setattr(name, lambda: True)
    assert continuous.is_worth_while(on_gpu("sdpa", _supports_flash_attn=True), GREEDY)
    assert not continuous.is_worth_while(on_gpu("sdpa", _supports_flash_attn=False), GREEDY)
    assert not continuous.is_worth_while(on_gpu("sdpa", _supports_flash_attn=True), GREEDY, "sdpa")  # asked for


def test_memory_is_reserved_for_the_prompts_alone_on_a_cpu():
    model = SimpleNamespace(device=torch.device("cpu"))
    config = continuous.settings(model, 300, 3, Sampling(max_new_tokens=100), cap=2, compiled=False)
    assert config.num_blocks * config.page_size <= 2 * (400 + 2 * 256)
    assert (config.seed, config.max_requests_per_batch) == (0, 2)
    assert continuous.settings(model, 300, 1000, GREEDY, cap=None, compiled=False).max_requests_per_batch == 64


def test_the_memory_of_a_gpu_is_left_to_transformers():
    model = SimpleNamespace(device=torch.device("cuda"))
    config = continuous.settings(model, 300, 1000, Sampling(seed=4), cap=None, compiled=True)
    assert (config.num_blocks, config.max_batch_tokens, config.max_requests_per_batch) == (None, None, None)
    assert (config.seed, config.default_compile_level, config.auto_switch_to_flash) == (4, 1, True)
    asked = continuous.settings(model, 300, 9, GREEDY, cap=None, compiled=False, attention="sdpa")
    assert asked.auto_switch_to_flash is False
    assert continuous.settings(model, 300, 1000, GREEDY, cap=9, compiled=False).max_requests_per_batch == 9


def test_a_caller_that_wants_no_more_does_not_wait_for_all(tiny_model):
    engine = TransformersEngine(str(tiny_model), continuous=True, batch_size=2)
    steps = []
    engine.load()[0].register_forward_hook(lambda *_: steps.append(1))
    requests = [Request(str(n), f"Gene {n}" * (n + 1)) for n in range(6)]
    answers = engine.generate(requests, sampling=Sampling(max_new_tokens=40))
    next(answers)
    answers.close()
    assert len(steps) < 2 * 40 + 40  # of three pairs


def test_a_failed_start_leaves_the_attention_as_it_was(tiny_model, monkeypatch, caplog):
    from transformers.generation.continuous_batching.continuous_api import ContinuousBatchingManager

    seen = []

    def start(manager):
        seen.append(manager.model.config._attn_implementation)
        message = "no thread"
        raise RuntimeError(message)

    monkeypatch.setattr(ContinuousBatchingManager, "start", start)
    engine = TransformersEngine(str(tiny_model), attn_implementation="eager", continuous=True)
    [batch] = engine.generate([Request("a", "Gene")], sampling=GREEDY)
    assert (seen, engine.load()[0].config._attn_implementation) == (["paged|eager"], "eager")
    assert batch[0].error is None
    assert "Continuous batching failed (RuntimeError: no thread)" in caplog.text


def broken_after(n, real):
    """A model's forward pass that fails after `n` calls."""
    calls = []

    def forward(*arguments, **options):
        calls.append(1)
        if len(calls) == n:
            message = "the kernel fell over"
            raise RuntimeError(message)
        return real(*arguments, **options)

    return forward


def test_what_a_failure_left_unanswered_goes_into_static_batches(tiny_model, monkeypatch, caplog):
    requests = [Request(str(n), f"Gene {n}") for n in range(6)]
    sampling = Sampling(max_new_tokens=40)
    whole = TransformersEngine(str(tiny_model)).generate(requests, sampling=sampling)
    expected = {done.id: done for batch in whole for done in batch}
    engine = TransformersEngine(str(tiny_model), continuous=True, batch_size=2)
    model = engine.load()[0]
    monkeypatch.setattr(model, "forward", broken_after(60, model.forward))
    found = {done.id: done for batch in engine.generate(requests, sampling=sampling) for done in batch}
    assert found == expected
    assert {done.finish_reason for done in expected.values()} == {"length"}
    assert "Continuous batching failed (the kernel fell over): what is left goes on in static batches" in caplog.text
