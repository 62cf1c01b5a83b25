"""Objectives: equal to the published code, to TRL and to plain loops, and unmoved by what must not matter."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bftembed.errors import InputError
from bftembed.tune.config import parse_config
from bftembed.tune.loss import objectives
from bftembed.tune.loss.logprobs import logits_logprobs, token_logprobs
from bftembed.tune.loss.objectives import (
    OBJECTIVES,
    Objective,
    named,
    register_objective,
)
from bftembed.tune.loss.weights import Weights, bft, bft_v1
from tests.tune.loss import oracle
from tests.tune.loss.batches import SAMPLES, WINDOWS, flat, quick

CASES = [
    ("prompt_masked", "sft"),
    ("prompt_masked", "dft"),
    ("prompt_masked", "bft_v1_g4"),
    ("prompt_masked", "bft_v1_g16"),
    ("prompt_masked", "bft_v1_g256"),
    ("multi_turn", "sft"),
    ("multi_turn", "dft"),
    ("multi_turn", "bft_v1_g8"),
    ("multi_turn", "bft_v1_g256"),
    ("one_row_all_masked", "sft"),
    ("one_row_all_masked", "dft"),
    ("one_row_all_masked", "bft_v1_g8"),
]


@pytest.fixture(scope="session")
def golden():
    path = Path(os.environ.get("BFTEMBED_GOLDEN", "unset")) / "release_v1.npz"
    if not path.is_file():
        pytest.skip("set BFTEMBED_GOLDEN to the directory of release_v1.npz, the values of the published code")
    with np.load(path) as arrays:
        return dict(arrays)


def chosen(name):
    """The objective that a case of the golden file stands for."""
    return Objective(name="bft-v1", window=int(name.split("_g")[1])) if name.startswith("bft") else Objective(name=name)


def rows(logits, labels):
    """Logits and targets of the supervised tokens, and how many each row has."""
    mask = labels[:, 1:] != -100
    return logits[:, :-1][mask], labels[:, 1:][mask], mask.sum(1)


def identity_head(logits, targets):
    return token_logprobs(logits, torch.eye(logits.shape[1], dtype=logits.dtype), targets, chunk_size=7).logprobs


def loss_of(objective, logits, labels, logprobs=logits_logprobs, **totals):
    """Loss, its gradient with respect to the logits, and the weights."""
    logits = logits.clone().requires_grad_()
    supervised, targets, lengths = rows(logits, labels)
    loss, weights = objective.loss(logprobs(supervised, targets), lengths, **totals)
    loss.backward()
    return loss.detach(), logits.grad, weights


@pytest.mark.parametrize("logprobs", [logits_logprobs, identity_head])
@pytest.mark.parametrize(("case", "name"), CASES)
def test_equals_the_published_code(golden, case, name, logprobs):
    """float32, loss and every gradient; gradients far below the largest one are rounding."""
    logits, labels = torch.from_numpy(golden[f"{case}/logits"]), torch.from_numpy(golden[f"{case}/labels"])
    loss, gradient, weights = loss_of(chosen(name), logits, labels, logprobs)
    expected = golden[f"{case}/{name}/grad"]
    np.testing.assert_allclose(loss, golden[f"{case}/{name}/loss"], rtol=1e-4)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6 * np.abs(expected).max())
    if name.startswith("bft"):
        np.testing.assert_allclose(1 - weights.sample, golden[f"{case}/{name}/lowest_group_confidence"], atol=1e-6)


def test_golden_cases_are_all_tested(golden):
    assert {tuple(key.split("/")[:2]) for key in golden if key.endswith("/loss")} == set(CASES)


@pytest.mark.parametrize("logprobs", [logits_logprobs, identity_head])
@pytest.mark.parametrize("case", ["prompt_masked", "multi_turn", "one_row_all_masked"])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_equals_the_loops_in_float64(golden, case, name, logprobs):
    logits, labels = golden[f"{case}/logits"].astype(np.float64), golden[f"{case}/labels"]
    for window in (1, 8, 16, 256):
        objective = Objective(name=name, window=window)
        loss, gradient, weights = loss_of(objective, torch.from_numpy(logits), torch.from_numpy(labels), logprobs)
        expected, slope, lowest = oracle.objective(logits, labels, name, window=window)
        np.testing.assert_allclose(loss, expected, rtol=1e-9)
        np.testing.assert_allclose(gradient, slope, rtol=1e-9, atol=1e-12 * np.abs(slope).max())
        if objective.per_sample:
            np.testing.assert_allclose(1 - weights.sample, lowest, rtol=1e-9, atol=1e-15)


@quick
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 4), st.integers(2, 20), st.integers(2, 7)),
    spread=st.floats(0.1, 8.0),
    share=st.floats(0.0, 1.0),
    window=WINDOWS,
    gamma=st.floats(0.2, 3.0),
    eps=st.floats(1e-30, 0.5),
    name=st.sampled_from(OBJECTIVES),
)
def test_equals_the_loops_on_any_batch(seed, shape, spread, share, window, gamma, eps, name):
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, spread, shape)
    labels = np.where(draw.random(shape[:2]) < share, draw.integers(0, shape[2], shape[:2]), -100)
    totals = {"n_tokens": max(1, int((labels[:, 1:] != -100).sum())), "n_samples": shape[0]}
    objective = Objective(name=name, window=window, gamma=gamma, eps=eps)
    loss, gradient, _ = loss_of(objective, torch.from_numpy(logits), torch.from_numpy(labels))
    expected, slope, _ = oracle.objective(logits, labels, name, window=window, gamma=gamma, eps=eps, **totals)
    np.testing.assert_allclose(loss, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gradient, slope, rtol=1e-9, atol=1e-12)


@quick
@given(samples=SAMPLES, window=WINDOWS, name=st.sampled_from(OBJECTIVES))
def test_weights_equal_those_of_the_loops(samples, window, name):
    weights = Objective(name=name, window=window).weights(*flat(samples))
    expected = [oracle.sample(row, name, window=window) if row else ([], 1.0, 0.0) for row in samples]
    np.testing.assert_allclose(weights.token, [w for row in expected for w in row[0]], rtol=1e-9)
    np.testing.assert_allclose(weights.sample, [row[1] for row in expected], rtol=1e-9, atol=1e-15)


@quick
@given(samples=SAMPLES)
def test_one_token_windows_without_sample_weights_are_sft(samples):
    results = []
    for objective in (Objective(name="bft", window=1, sample_weight=False), Objective(name="sft")):
        logprobs, lengths = flat(samples)
        weights = objective.weights(logprobs, lengths)
        # SFT divides by tokens and BFT by samples: one sample at a time the two are the same mean.
        losses = [objective.loss(part, torch.tensor([len(part)]))[0] for part in logprobs.split(lengths.tolist())]
        (gradient,) = torch.autograd.grad(sum(losses), logprobs)
        results.append((weights, torch.stack(losses).detach(), gradient))
    (ours, losses, gradient), (sft, sft_losses, sft_gradient) = results
    torch.testing.assert_close(ours.token, sft.token, rtol=1e-12, atol=0)
    assert torch.equal(ours.sample, sft.sample)
    torch.testing.assert_close(losses, sft_losses, rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, sft_gradient, rtol=1e-12, atol=0)


@quick
@given(samples=SAMPLES, window=WINDOWS, name=st.sampled_from(OBJECTIVES), dtype=st.sampled_from(["float32", "float64"]))
def test_weights_are_bounded_and_carry_no_gradient(samples, window, name, dtype):
    logprobs, lengths = flat(samples, getattr(torch, dtype))
    for weights in Objective(name=name, window=window).weights(logprobs, lengths):
        assert not weights.requires_grad
        assert weights.dtype == torch.float64
        assert ((weights >= 0) & (weights <= 1)).all()
    assert len(logprobs) == int(lengths.sum())


def test_isolated_low_token_is_held_back_and_a_low_span_is_kept():
    confidence = np.full(200, 0.9)
    confidence[50] = 0.01
    confidence[100:164] = 0.02
    logprobs = torch.from_numpy(np.log(confidence))
    weights = bft(logprobs, torch.tensor([200]), window=32)
    # Alone among 31 tokens of confidence 0.9.
    assert float(weights.token[50]) == pytest.approx(0.01 / ((31 * 0.9 + 0.01) / 32), rel=1e-12)
    inside = weights.token[116:148]  # windows that lie wholly in the span
    torch.testing.assert_close(inside, torch.ones_like(inside))
    assert float(weights.token[132]) > 80 * float(weights.token[50])
    # DFT starves both alike.
    starved = Objective(name="dft").weights(logprobs, torch.tensor([200])).token
    assert float(starved[132]) < 3 * float(starved[50])
    assert float(weights.sample[0]) == pytest.approx(1 - 0.02)


@quick
@given(
    samples=SAMPLES,
    window=WINDOWS,
    name=st.sampled_from(OBJECTIVES),
    padding=st.integers(0, 9),
    left=st.booleans(),
    order=st.randoms(use_true_random=False),
)
def test_padding_and_order_change_nothing(samples, window, name, padding, left, order):
    objective = Objective(name=name, window=window)
    logprobs, lengths = flat(samples)
    whole, weights = objective.loss(logprobs, lengths)
    (gradient,) = torch.autograd.grad(whole, logprobs)
    width = int(lengths.max()) + padding
    shuffled = list(range(len(samples)))
    order.shuffle(shuffled)
    padded = torch.full((len(samples), width), float("nan"), dtype=torch.float64)
    mask = torch.zeros(padded.shape, dtype=torch.bool)
    for place, b in enumerate(shuffled):
        begin = width - len(samples[b]) if left else 0
        padded[place, begin : begin + len(samples[b])] = torch.tensor(samples[b], dtype=torch.float64)
        mask[place, begin : begin + len(samples[b])] = True
    token, sample = objective.weights(padded[mask], mask.sum(1))
    for place, (b, own) in enumerate(zip(shuffled, token.split(mask.sum(1).tolist()), strict=True)):
        torch.testing.assert_close(own, weights.token.split(lengths.tolist())[b], rtol=1e-9, atol=0)
        torch.testing.assert_close(sample[place], weights.sample[b], rtol=1e-9, atol=1e-15)
    again = padded.clone().requires_grad_()
    loss, _ = objective.loss(again[mask], mask.sum(1))
    (slope,) = torch.autograd.grad(loss, again)
    torch.testing.assert_close(loss, whole, rtol=1e-9, atol=1e-12)
    for place, b in enumerate(shuffled):
        torch.testing.assert_close(
            slope[place][mask[place]], gradient.split(lengths.tolist())[b], rtol=1e-9, atol=1e-15
        )


@quick
@given(samples=SAMPLES, window=WINDOWS, name=st.sampled_from(OBJECTIVES), size=st.integers(1, 5))
def test_parts_of_a_global_batch_add_up(samples, window, name, size):
    objective = Objective(name=name, window=window)
    logprobs, lengths = flat(samples)
    whole, _ = objective.loss(logprobs, lengths)
    (gradient,) = torch.autograd.grad(whole, logprobs)
    totals = {"n_tokens": lengths.sum(), "n_samples": len(lengths)}
    parts = [flat(samples[begin : begin + size]) for begin in range(0, len(samples), size)]
    losses = [objective.loss(*part, **totals)[0] for part in parts]
    slopes = [torch.autograd.grad(loss, part[0])[0] for loss, part in zip(losses, parts, strict=True)]
    torch.testing.assert_close(sum(losses), whole, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(torch.cat(slopes), gradient, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_nothing_supervised_stays_connected(name):
    logits = torch.randn(2, 5, 7, requires_grad=True)
    for totals in ({}, {"n_tokens": 40, "n_samples": 8}, {"n_tokens": 0, "n_samples": 0}):
        supervised, targets, lengths = rows(logits, torch.full((2, 5), -100))
        loss, weights = Objective(name=name).loss(logits_logprobs(supervised, targets), lengths, **totals)
        assert loss.item() == 0.0
        assert weights.token.shape == (0,)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert gradient.shape == logits.shape
        assert not gradient.any()


@pytest.mark.parametrize("name", ["bft-v1", "bft"])
def test_empty_samples_count_as_samples(name):
    objective = Objective(name=name, window=2)
    alone, _ = objective.loss(*flat([[-1.0, -2.0, -0.5]]))
    beside, weights = objective.loss(*flat([[], [-1.0, -2.0, -0.5], []]))
    torch.testing.assert_close(beside, alone / 3)
    torch.testing.assert_close(weights.sample[[0, 2]], torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize(("name", "token"), [("sft", 1.0), ("dft", 0.2), ("bft-v1", 0.2), ("bft", 1.0)])
def test_one_token_samples(name, token):
    weights = Objective(name=name).weights(*flat([[np.log(0.2)], [np.log(0.2)]]))
    sample = 0.8 if name.startswith("bft") else 1.0
    np.testing.assert_allclose(weights.token, [token, token])
    np.testing.assert_allclose(weights.sample, [sample, sample])


def test_an_impossible_token_touches_its_own_sample_alone():
    """A target whose logit is minus infinity must not reach the windows of other samples."""
    for name in ("bft-v1", "bft"):
        weights = Objective(name=name, window=2).weights(*flat([[-1.0, -np.inf, -2.0], [-1.0, -2.0, -0.5]]))
        alone = Objective(name=name, window=2).weights(*flat([[-1.0, -2.0, -0.5]]))
        torch.testing.assert_close(weights.token[3:], alone.token)
        torch.testing.assert_close(weights.sample[1:], alone.sample)
        assert float(weights.token[1]) == 0.0
    assert float(Objective(name="bft-v1", window=2).weights(*flat([[-1.0, -np.inf]])).sample[0]) == 1.0


def test_gamma_is_the_exponent_of_the_lowest_group():
    logprobs, lengths = flat([[-1.0, -3.0, -2.0, -0.1]])
    for gamma in (0.5, 1.0, 2.0):
        weights = bft_v1(logprobs, lengths, window=2, gamma=gamma)
        assert float(weights.sample[0]) == pytest.approx(1 - np.exp(-2.5) ** gamma)


def test_eps_is_added_to_the_context():
    logprobs, lengths = flat([np.log([0.4, 0.1, 0.7]).tolist()])
    weights = bft(logprobs, lengths, window=3, eps=0.2)
    np.testing.assert_allclose(weights.token, [0.4 / 0.6, 0.1 / 0.6, 1.0])
    np.testing.assert_allclose(weights.sample, [0.6])


@pytest.mark.parametrize(
    "options",
    [
        {"window": 0},
        {"window": -3},
        {"window": 1.5},
        {"gamma": 0},
        {"eps": 0},
        {"name": "bft-v2"},
        {"windw": 8},
    ],
)
def test_bad_options_are_refused(options):
    with pytest.raises(ValidationError, match=next(iter(options))):
        Objective(**options)


def test_an_objective_is_saved_whole():
    objective = Objective(name="bft-v1", window=64, gamma=0.5)
    assert Objective(**json.loads(objective.model_dump_json())) == objective
    assert named(objective) is objective
    assert named("bft-v1", window=64, gamma=0.5) == objective
    assert Objective() == named("bft", window=256)


def word_tokenizer():
    tokenizers = pytest.importorskip("tokenizers")
    from transformers import PreTrainedTokenizerFast

    words = {word: i for i, word in enumerate(["<pad>", "<eos>", "<unk>", *"abcdefgh"])}
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    return PreTrainedTokenizerFast(tokenizer_object=model, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")


# TRL sets options of transformers by their old names.
@pytest.mark.filterwarnings("ignore:.*is deprecated and will be removed:FutureWarning")
@pytest.mark.parametrize(("name", "loss_type"), [("dft", "dft"), ("sft", "nll")])
@pytest.mark.parametrize("n_tokens", [None, 57])
def test_equals_trl(tmp_path, name, loss_type, n_tokens):
    """TRL's own `compute_loss` on a small model, beside ours on the logits of a copy of it."""
    pytest.importorskip("datasets", reason="needs the package `datasets` (extra tune)")
    trl = pytest.importorskip("trl", reason="needs the package `trl` (extra tune)")
    from datasets import Dataset
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {"vocab_size": 11, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2}
    config = LlamaConfig(**shape, num_attention_heads=2, initializer_range=0.3, pad_token_id=0, eos_token_id=1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs, ours = LlamaForCausalLM(config), LlamaForCausalLM(config)
    ours.load_state_dict(theirs.state_dict())
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(3, 11, (3, 14), generator=generator)
    labels = ids.masked_fill(torch.rand(ids.shape, generator=generator) < 0.3, -100)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    arguments = trl.SFTConfig(
        output_dir=str(tmp_path), loss_type=loss_type, report_to="none", use_cpu=True, bf16=False, disable_tqdm=True
    )
    trainer = trl.SFTTrainer(
        theirs,
        args=arguments,
        train_dataset=Dataset.from_dict({"input_ids": ids.tolist()}),
        processing_class=word_tokenizer(),
    )
    theirs.train()
    expected = trainer.compute_loss(theirs, dict(batch), num_items_in_batch=n_tokens)
    expected.backward()
    ours.train()
    supervised, targets, lengths = rows(ours(input_ids=ids, attention_mask=batch["attention_mask"]).logits, labels)
    loss, _ = Objective(name=name).loss(logits_logprobs(supervised, targets), lengths, n_tokens=n_tokens)
    loss.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
    for (parameter, value), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(
            value.grad, other.grad, rtol=1e-4, atol=1e-7, msg=lambda text, at=parameter: f"{at}: {text}"
        )


@pytest.mark.parametrize("options", [{"objective": "bff"}, {"window": 0}, {"windw": 3}, {"gamma": float("inf")}])
def test_a_name_or_option_from_python_is_refused_in_one_sentence(options):
    wrong = "name" if "objective" in options else next(iter(options))
    with pytest.raises(InputError, match=f"no such objective: `{wrong}` is") as caught:
        named(**{"objective": "bft"} | options)
    assert "\n" not in str(caught.value)


def focal(logprobs, lengths, *, power=2.0):
    return (1 - logprobs.exp()) ** power


def by_length(logprobs, lengths, window):
    return Weights(torch.ones_like(logprobs), (lengths / window).float())


@pytest.fixture
def registered():
    """Objectives of this test alone."""
    before = dict(objectives._KINDS)
    register_objective("focal", focal)
    register_objective("by-length", by_length, per_sample=True)
    yield
    objectives._KINDS.clear()
    objectives._KINDS.update(before)


@pytest.mark.usefixtures("registered")
def test_objectives_of_users():
    logprobs = torch.tensor([-0.5, -1.0, -0.1, -2.0], requires_grad=True)
    lengths = torch.tensor([3, 1])
    loss, weights = Objective(name="focal", options={"power": 3.0}).loss(logprobs, lengths)
    factors = (1 - np.exp([-0.5, -1.0, -0.1, -2.0])) ** 3
    np.testing.assert_allclose(weights.token, factors, rtol=1e-6)
    assert weights.sample.tolist() == [1, 1]
    (slope,) = torch.autograd.grad(loss, logprobs)
    np.testing.assert_allclose(slope, -factors / 4, rtol=1e-6)
    loss, _ = Objective(name="by-length", window=2).loss(logprobs, lengths)
    assert float(loss.detach()) == pytest.approx((1.5 * 1.6 / 3 + 0.5 * 2) / 2)


def defined_anew(factor):
    def made_in_a_cell(logprobs, lengths):
        return torch.full_like(logprobs, factor)

    return made_in_a_cell


@pytest.mark.usefixtures("registered")
def test_a_cell_of_a_notebook_run_twice_registers_the_newer_function():
    register_objective("cell", defined_anew(1.0))
    register_objective("cell", defined_anew(2.0))
    weights = Objective(name="cell").weights(torch.zeros(2), torch.tensor([2]))
    assert weights.token.tolist() == [2, 2]


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "focl"}, r"'focl': did you mean `focal`\? There are sft, dft, bft-v1, bft, focal, by-length\."),
        ({"objective": "focal", "options": {"powr": 1}}, r"takes no option `powr`. Did you mean `power`\?"),
        ({"objective": "bft", "options": {"window": 1}}, "`bft` takes no option `window`"),
    ],
)
def test_what_objectives_of_users_do_not_take(options, message):
    with pytest.raises(InputError, match=message):
        named(**options)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("bft", focal, "There is an objective `bft` already"),
        ("focal", by_length, "There is an objective `focal` already"),
        ("one", lambda logprobs: logprobs, "no function of `logprobs` and `lengths`"),
        ("none", 3, "no function of `logprobs` and `lengths`, but `3`"),
    ],
)
def test_what_cannot_be_registered(name, weights, message):
    with pytest.raises(InputError, match=message):
        register_objective(name, weights)


@pytest.mark.usefixtures("registered")
def test_weights_of_another_shape_are_refused():
    register_objective("short", lambda logprobs, lengths: logprobs[:1])
    with pytest.raises(InputError, match=r"`short` gives token weights of shape \(1,\).*expected \(3,\) and \(1,\)"):
        Objective(name="short").loss(torch.zeros(3), torch.tensor([3]))


@pytest.mark.usefixtures("registered")
def test_an_objective_of_an_installed_package(installed):
    """In a configuration, as `bftembed tune` reads it."""
    code = (
        "from bftembed.tune.loss.objectives import ObjectiveKind\n"
        "MINE = ObjectiveKind(lambda logprobs, lengths, *, alpha=1.0: alpha * logprobs.exp(), per_sample=True)\n"
    )
    installed("plug_one", code, "[bftembed.objectives]\nplugged = plug_one:MINE\n")
    values = {"data": {"train": "a"}, "output": "out", "objective": {"name": "plugged", "options": {"alpha": 0.5}}}
    objective = parse_config(values).objective
    assert objective.per_sample
    assert not objective.has_window
    assert objective.weights(torch.zeros(2), torch.tensor([2])).token.tolist() == [0.5, 0.5]
    with pytest.raises(InputError, match="plugged"):
        named("pluged")
