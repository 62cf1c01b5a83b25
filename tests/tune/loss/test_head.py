"""The log-prob head on models of several families, with adapters, packing and checkpointing."""

import copy
import inspect
import io
import pickle

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from bftembed.errors import InputError, ModelError
from bftembed.tune.loss.head import add_logprob_head, base_model, output_head, supervised_logprobs
from bftembed.tune.loss.logprobs import token_logprobs
from bftembed.tune.loss.objectives import Objective
from bftembed.tune.loss.places import located

VOCABULARY = 37
FAMILIES = {
    "llama": ("Llama", {}),
    "soft cap": ("Gemma2", {"final_logit_softcapping": 2.0, "head_dim": 16}),
    "logit_scale": ("Cohere", {"logit_scale": 0.3}),
    "logits_scaling": ("Granite", {"logits_scaling": 3.0}),
    "lm_head_multiplier": ("FalconH1", {"lm_head_multiplier": 0.4, "mamba_d_ssm": 32, "mamba_n_heads": 4}),
    "hyperclovax": ("HyperCLOVAX", {"logits_scaling": 0.25}),
    "tied": ("Qwen2", {"tie_word_embeddings": True}),
}
LORA = {"r": 4, "target_modules": ["q_proj", "v_proj"], "init_lora_weights": False, "task_type": "CAUSAL_LM"}


def tiny(family="Llama", kind=None, **options):
    """A model of two layers with weights wide enough that logits and their gradients are not all alike."""
    config = getattr(transformers, f"{family}Config")(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.3,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        **options,
    )
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return (kind or getattr(transformers, f"{family}ForCausalLM"))(config).eval()


@pytest.fixture
def batch():
    """Three samples of 12, 9 and 5 tokens, padded to the right, with masked prompts and a gap."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, VOCABULARY, (3, 12), generator=generator)
    attention = torch.ones_like(ids)
    labels = ids.clone()
    for row, (length, prompt) in enumerate([(12, 4), (9, 1), (5, 3)]):
        attention[row, length:] = 0
        labels[row, length:] = labels[row, :prompt] = -100
    labels[0, 7:9] = -100
    return {"input_ids": ids, "attention_mask": attention, "labels": labels}


def naive(model, batch):
    """Log-probabilities of the supervised tokens from the model's own logits."""
    inputs = {key: value for key, value in batch.items() if key != "labels"}
    logprobs = model(**inputs).logits[:, :-1].log_softmax(-1)
    targets = batch["labels"][:, 1:]
    mask = targets != -100
    return logprobs[mask].gather(1, targets[mask][:, None])[:, 0]


def gradients(model, logprobs, lengths):
    """Gradients of the BFT loss by parameter name, of those that have one."""
    model.zero_grad()
    Objective(window=3).loss(logprobs, lengths)[0].backward()
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


def assert_same_training(fused, plain, batch):
    """Equal log-probabilities and gradients of every trained parameter; returns the gradients."""
    ours, lengths = supervised_logprobs(fused, batch)
    expected = naive(plain, batch)
    torch.testing.assert_close(ours.logprobs, expected, rtol=1e-4, atol=1e-5)
    slopes, others = gradients(fused, ours.logprobs, lengths), gradients(plain, expected, lengths)
    assert slopes.keys() == others.keys()
    for name, slope in slopes.items():
        torch.testing.assert_close(slope, others[name], rtol=1e-3, atol=1e-5, msg=lambda text, at=name: f"{at}: {text}")
    return slopes


@pytest.mark.parametrize("family", FAMILIES)
def test_equals_the_models_own_logits(family, batch):
    name, options = FAMILIES[family]
    plain = tiny(name, **options)
    fused = copy.deepcopy(plain)
    own_loss = plain(**batch).loss
    add_logprob_head(fused, chunk_size=4)
    values, lengths = supervised_logprobs(fused, batch)
    assert lengths.tolist() == [6, 8, 2]
    torch.testing.assert_close(-values.logprobs.mean(), own_loss, rtol=1e-4, atol=1e-5)
    slopes = assert_same_training(fused, plain, batch)
    assert all(slope.any() for name, slope in slopes.items() if "embed" in name or "lm_head" in name)
    assert any("embed" in name for name in slopes)


def test_chunk_size_reaches_the_primitive(batch, monkeypatch):
    sizes = []

    def noting(*args, chunk_size, **options):
        sizes.append(chunk_size)
        return token_logprobs(*args, chunk_size=chunk_size, **options)

    monkeypatch.setattr("bftembed.tune.loss.head.token_logprobs", noting)
    model = tiny()
    add_logprob_head(model, chunk_size=5)
    supervised_logprobs(model, batch)
    assert set(sizes) == {5}


def test_the_head_is_never_run_and_gives_no_logits(batch):
    model = tiny()
    add_logprob_head(model)
    calls = []
    model.lm_head.register_forward_hook(lambda *_: calls.append(1))
    outputs = model(**batch, token_logprobs=True)
    assert calls == []
    assert set(outputs.keys()) == {"logprobs"}
    assert "logits" in model(**batch)
    assert calls == [1]


def test_head_with_a_bias(batch):
    plain = tiny()
    plain.lm_head = torch.nn.Linear(32, VOCABULARY, bias=True)
    fused = copy.deepcopy(plain)
    add_logprob_head(fused)
    assert assert_same_training(fused, plain, batch)["lm_head.bias"].any()


@pytest.mark.parametrize("family", ["llama", "soft cap", "logits_scaling"])
def test_statistics_of_the_next_token(family, batch):
    name, options = FAMILIES[family]
    model = tiny(name, **options)
    add_logprob_head(model)
    values, _ = supervised_logprobs(model, batch, entropy=True, purity=True)
    logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    p = logits[:, :-1][batch["labels"][:, 1:] != -100].softmax(-1)
    torch.testing.assert_close(values.entropy, torch.special.entr(p).sum(1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(values.purity, (p**2).sum(1), rtol=1e-4, atol=1e-5)
    likeliest = p.topk(5).values / p.topk(5).values.sum(1, keepdim=True)
    values, _ = supervised_logprobs(model, batch, entropy=True, k=5)
    torch.testing.assert_close(values.entropy, torch.special.entr(likeliest).sum(1), rtol=1e-4, atol=1e-5)
    values, _ = supervised_logprobs(model, batch)
    assert values.entropy is values.purity is None


def peft_pair(**options):
    """The same PEFT model twice; the first one gets the log-prob head."""
    peft = pytest.importorskip("peft", reason="needs the package `peft` (extra tune)")
    fused = peft.get_peft_model(tiny(), peft.LoraConfig(**LORA | options))
    plain = copy.deepcopy(fused)
    add_logprob_head(fused, chunk_size=4)
    return fused, plain


def test_lora_gradients_equal_those_of_the_naive_loss(batch):
    fused, plain = peft_pair()
    slopes = assert_same_training(fused, plain, batch)
    assert len(slopes) == 8
    assert all("lora_" in name and slope.any() for name, slope in slopes.items())


def test_a_saved_head_is_trained(batch):
    fused, plain = peft_pair(modules_to_save=["lm_head"])
    slopes = assert_same_training(fused, plain, batch)
    (head,) = [name for name in slopes if "lm_head" in name]
    assert "modules_to_save" in head
    before = output_head(base_model(fused)).weight.detach().clone()
    original = base_model(fused).lm_head.original_module.weight
    kept = original.detach().clone()
    supervised_logprobs(fused, batch)[0].logprobs.sum().neg().backward()
    torch.optim.SGD([value for value in fused.parameters() if value.requires_grad], lr=0.01).step()
    assert not torch.equal(output_head(base_model(fused)).weight, before)
    assert torch.equal(original, kept)
    torch.testing.assert_close(supervised_logprobs(fused, batch)[0].logprobs, naive(fused, batch), rtol=1e-4, atol=1e-5)


def test_an_adapter_on_the_head_is_refused():
    peft = pytest.importorskip("peft", reason="needs the package `peft` (extra tune)")
    model = peft.get_peft_model(tiny(), peft.LoraConfig(**LORA | {"target_modules": ["q_proj", "lm_head"]}))
    with pytest.raises(ModelError, match="modules_to_save"):
        add_logprob_head(model)


@pytest.mark.parametrize("head", [None, torch.nn.Sequential(torch.nn.Linear(32, VOCABULARY))])
def test_a_head_that_is_no_linear_layer_is_refused(head):
    model = tiny()
    model.lm_head = head
    with pytest.raises(ModelError, match=f"is a `{type(head).__name__}` and not a plain linear layer"):
        add_logprob_head(model)


class Tripled(transformers.LlamaForCausalLM):
    """Changes its logits in a way that its configuration does not tell."""

    def forward(self, *args, **kwargs):
        outputs = super().forward(*args, **kwargs)
        outputs.logits = outputs.logits * 3
        return outputs


def test_an_unknown_change_of_the_logits_is_refused(batch):
    model = tiny(kind=Tripled)
    before = model(**batch).logits
    with pytest.raises(ModelError, match=r"`Tripled`.*differ from those of its own logits by up to"):
        add_logprob_head(model)
    assert torch.equal(model(**batch).logits, before)
    assert type(model) is Tripled
    assert vars(model).keys() == vars(tiny(kind=Tripled)).keys()
    with pytest.raises(ModelError, match="Tripled"):  # refused again, not taken for done
        add_logprob_head(model)


def test_labels_are_needed(batch):
    model = tiny()
    add_logprob_head(model)
    with pytest.raises(ModelError, match="needs `labels`"):
        model(batch["input_ids"], token_logprobs=True)


def test_nothing_supervised_stays_connected(batch):
    model = tiny()
    add_logprob_head(model)
    values, lengths = supervised_logprobs(model, batch | {"labels": torch.full((3, 12), -100)})
    assert lengths.tolist() == [0, 0, 0]
    slopes = gradients(model, values.logprobs, lengths)
    assert slopes.keys() == {name for name, _ in model.named_parameters()}
    assert not any(slope.any() for slope in slopes.values())


def end_to_end(batch):
    """The samples of a padded batch in one row, positions from 0 in each; first tokens are not supervised."""
    lengths = batch["attention_mask"].sum(1).tolist()
    parts = {key: torch.cat([row[:n] for row, n in zip(batch[key], lengths, strict=True)])[None] for key in batch}
    positions = torch.cat([torch.arange(n) for n in lengths])[None]
    labels = parts["labels"].masked_fill(positions == 0, -100)
    return {"input_ids": parts["input_ids"], "labels": labels, "position_ids": positions}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_packed_row_equals_the_padded_batch(batch, attention):
    model = tiny(attn_implementation=attention)
    add_logprob_head(model)
    padded, lengths = supervised_logprobs(model, batch)
    slopes = gradients(model, padded.logprobs, lengths)
    packed, sizes = supervised_logprobs(model, end_to_end(batch))
    assert sizes.tolist() == lengths.tolist() == [6, 8, 2]
    torch.testing.assert_close(packed.logprobs, padded.logprobs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradients(model, packed.logprobs, sizes), slopes, rtol=1e-3, atol=1e-5)


def test_padding_side_changes_nothing(batch):
    model = tiny()
    add_logprob_head(model)
    expected, lengths = supervised_logprobs(model, batch)
    shifts = (12 - batch["attention_mask"].sum(1)).tolist()
    left = {
        key: torch.stack([row.roll(shift) for row, shift in zip(value, shifts, strict=True)])
        for key, value in batch.items()
    }
    left["position_ids"] = (left["attention_mask"].cumsum(1) - 1).clamp(min=0)
    values, sizes = supervised_logprobs(model, left)
    assert sizes.tolist() == lengths.tolist()
    torch.testing.assert_close(values.logprobs, expected.logprobs, rtol=1e-4, atol=1e-5)


@settings(max_examples=50)
@given(
    samples=st.lists(st.lists(st.booleans(), min_size=1, max_size=6), min_size=1, max_size=5).filter(
        lambda samples: sum(map(len, samples)) > 1
    )
)
def test_lengths(samples):
    """Supervised tokens per sample, padded or end to end; a first token is predicted from nothing."""
    expected = [sum(row[1:]) for row in samples]
    width = max(2, *map(len, samples))
    padded = torch.full((len(samples), width), -100)
    for b, row in enumerate(samples):
        padded[b, : len(row)] = torch.where(torch.tensor(row), 5, -100)
    padded_batch = {"labels": padded, "attention_mask": torch.ones_like(padded)}
    assert located(padded_batch)["lengths"].tolist() == expected
    labels = np.concatenate([[-100] + [5 if wanted else -100 for wanted in row[1:]] for row in samples])
    positions = np.concatenate([np.arange(len(row)) for row in samples])
    packed = {"labels": torch.from_numpy(labels)[None], "position_ids": torch.from_numpy(positions)[None]}
    assert located(packed)["lengths"].tolist() == expected
    assert located(packed)["lengths"].dtype == torch.int64


def test_checkpointing_gives_the_same_gradients(batch):
    model = tiny().train()
    add_logprob_head(model)
    assert model.training
    values, lengths = supervised_logprobs(model, batch)
    slopes = gradients(model, values.logprobs, lengths)
    getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
    runs = []
    model.model.layers[0].self_attn.register_forward_pre_hook(lambda *_: runs.append(1))
    values, lengths = supervised_logprobs(model, batch)
    torch.testing.assert_close(gradients(model, values.logprobs, lengths), slopes)
    assert len(runs) == 2  # once for the values and again for the gradients


def test_generation_is_unchanged(batch):
    model = tiny()
    options = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0}
    prompt = {"input_ids": batch["input_ids"][:, :5], "attention_mask": torch.ones(3, 5, dtype=torch.long)}
    before, logits, loss = model.generate(**prompt, **options), model(**batch).logits, model(**batch).loss
    add_logprob_head(model)
    assert torch.equal(model.generate(**prompt, **options), before)
    assert torch.equal(model(**batch).logits, logits)
    assert torch.equal(model(**batch).loss, loss)


def test_calling_it_twice_is_harmless(batch):
    model = tiny()
    add_logprob_head(model)
    kind = type(model)
    expected, _ = supervised_logprobs(model, batch)
    add_logprob_head(model)
    assert type(model) is kind
    assert torch.equal(supervised_logprobs(model, batch)[0].logprobs, expected.logprobs)


def test_saving_and_loading_leave_no_trace(batch, tmp_path):
    model = tiny()
    add_logprob_head(model)
    model.save_pretrained(tmp_path)
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    torch.testing.assert_close(again(**batch).loss, model(**batch).loss)


def test_a_batch_without_labels_is_refused():
    with pytest.raises(InputError, match="no `labels`, only 'input_ids'"):
        located({"input_ids": torch.zeros(1, 2)})


def zeroed(model):
    """The same model with a head of zeros, whose log-probabilities are all those of equal chances."""
    with torch.no_grad():
        output_head(base_model(model)).weight.zero_()
    return model


def averaged(model):
    return torch.optim.swa_utils.AveragedModel(model).module


def pickled(model):
    return pickle.loads(pickle.dumps(model))


def saved_whole(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def replica(module):
    """What ``DataParallel`` puts on another device, here with the weights on the same one."""
    made = module._replicate_for_data_parallel()
    for name, child in module.named_children():
        made._modules[name] = replica(child)
    for name, value in module._parameters.items():
        setattr(made, name, None if value is None else value.detach().clone())
    return made


@pytest.mark.parametrize("adapted", [False, True])
@pytest.mark.parametrize("copied", [copy.deepcopy, averaged, pickled, saved_whole, replica])
def test_a_copy_runs_its_own_weights(batch, copied, adapted):
    model = peft_pair()[0] if adapted else tiny()
    add_logprob_head(model)
    before = supervised_logprobs(model, batch)[0].logprobs
    other = copied(model)
    torch.testing.assert_close(supervised_logprobs(other, batch)[0].logprobs, before)
    zeroed(other)
    chances = torch.full_like(before, -np.log(VOCABULARY))
    torch.testing.assert_close(supervised_logprobs(other, batch)[0].logprobs, chances)
    assert not other(input_ids=batch["input_ids"]).logits.any()
    torch.testing.assert_close(supervised_logprobs(model, batch)[0].logprobs, before)


def test_training_a_copy_leaves_the_model_alone(batch):
    model = tiny()
    add_logprob_head(model)
    other = copy.deepcopy(model)
    values, lengths = supervised_logprobs(other, batch)
    assert gradients(other, values.logprobs, lengths).keys() == {name for name, _ in other.named_parameters()}
    assert all(value.grad is None for value in model.parameters())
    assert type(other) is type(model)


# torch's compiler looks at the gradient of every tensor it meets, after a part that it could not compile.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_a_compiled_model_and_its_copy(batch):
    model = tiny()
    add_logprob_head(model)
    expected, lengths = supervised_logprobs(model, batch)
    slopes = gradients(model, expected.logprobs, lengths)
    compiled = torch.compile(model, backend="eager")
    other = copy.deepcopy(compiled)
    for made in (compiled, other):
        values = supervised_logprobs(made, batch)[0].logprobs
        torch.testing.assert_close(values, expected.logprobs)
        torch.testing.assert_close(gradients(made._orig_mod, values, lengths), slopes)
    zeroed(other._orig_mod)
    chances = torch.full_like(values, -np.log(VOCABULARY))
    torch.testing.assert_close(supervised_logprobs(other, batch)[0].logprobs, chances)
    torch.testing.assert_close(supervised_logprobs(compiled, batch)[0].logprobs, expected.logprobs)


def test_the_class_goes_by_its_own_name():
    """Configurations name the class of a model, and so do messages and look-ups of transformers."""
    model, other = tiny(), tiny()
    plain = type(model)
    for each in (model, other):
        add_logprob_head(each)
    assert type(model) is type(other)
    assert isinstance(model, plain)
    assert (type(model).__name__, type(model).__module__) == (plain.__name__, plain.__module__)
    assert inspect.signature(model.forward) == inspect.signature(plain.forward.__get__(model))
    assert type(tiny()) is plain


def test_hooks_on_the_forward_of_the_object_are_kept(batch):
    """accelerate puts a forward on the object where it moves weights between devices."""
    hooks = pytest.importorskip("accelerate.hooks", reason="needs the package `accelerate` (extra tune)")
    runs = []

    class Noting(hooks.ModelHook):
        def pre_forward(self, module, *args, **kwargs):
            runs.append(module)
            return args, kwargs

    model = hooks.add_hook_to_module(tiny(), Noting())
    logits = model(**batch).logits
    add_logprob_head(model)
    other = copy.deepcopy(model)
    runs.clear()
    assert torch.equal(other(**batch).logits, logits)
    assert runs == [other]
    torch.testing.assert_close(supervised_logprobs(other, batch)[0].logprobs, naive(tiny(), batch))


@pytest.fixture
def no_accelerator():
    """Forget the precision of accelerators that other tests made: there is one state for a process."""
    state = pytest.importorskip("accelerate.state", reason="needs the package `accelerate` (extra tune)")
    state.AcceleratorState._reset_state(reset_partial_state=True)
    yield
    state.AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.usefixtures("no_accelerator")
def test_autocast_of_accelerate_goes_on_and_off(batch):
    import accelerate

    model = tiny()
    add_logprob_head(model)
    exact = supervised_logprobs(model, batch)[0].logprobs
    accelerator = accelerate.Accelerator(cpu=True, mixed_precision="bf16")
    prepared = accelerator.prepare_model(model, evaluation_mode=True)
    rounded = supervised_logprobs(prepared, batch)[0].logprobs
    assert not torch.equal(rounded, exact)
    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.05)
    plain = accelerator.unwrap_model(prepared, keep_fp32_wrapper=False)
    assert torch.equal(supervised_logprobs(plain, batch)[0].logprobs, exact)


def test_a_second_call_changes_the_chunk_size(batch, monkeypatch):
    model = tiny()
    add_logprob_head(model)
    add_logprob_head(model, chunk_size=3)
    sizes = []

    def noting(*args, chunk_size, **options):
        sizes.append(chunk_size)
        return token_logprobs(*args, chunk_size=chunk_size, **options)

    monkeypatch.setattr("bftembed.tune.loss.head.token_logprobs", noting)
    supervised_logprobs(model, batch)
    assert sizes == [3]


@pytest.fixture
def two_processes():
    """A process group of two, of which this is the first; nothing is sent."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    torch.distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("two_processes")
def test_an_unknown_change_of_the_logits_is_refused_by_several_processes_too(batch):
    with pytest.raises(ModelError, match=r"`Tripled`.*differ from those of its own logits by up to"):
        add_logprob_head(tiny(kind=Tripled))
    add_logprob_head(tiny())


def test_weights_that_a_process_does_not_have_are_not_compared():
    """Before FSDP's broadcast all processes but one have the shapes alone."""
    with torch.device("meta"):
        model = tiny(kind=Tripled)
    add_logprob_head(model)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rounding_of_large_logits_is_no_change_of_them(dtype, batch):
    model = tiny().to(dtype)
    with torch.no_grad():
        model.lm_head.weight.mul_(8)
    assert model(**batch).logits.abs().max() > 40
    add_logprob_head(model)
    values, _ = supervised_logprobs(model, batch)
    torch.testing.assert_close(values.logprobs, naive(model, batch).float(), rtol=0.05, atol=0.5)
