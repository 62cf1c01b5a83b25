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
from bftembed.tune.loss import kinds
from bftembed.tune.loss.given_logits import logits_logprobs
from bftembed.tune.loss.kinds import register_objective
from bftembed.tune.loss.logprobs import TokenLogprobs, token_logprobs
from bftembed.tune.loss.objectives import (
    OBJECTIVES,
    Objective,
    named,
)
from bftembed.tune.loss.weights import bft, bft_v1
from tests.tune.loss import oracle
from tests.tune.loss.batches import ALONE, SAMPLES, WINDOWS, flat, quick, with_statistics

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


@pytest.fixture(autouse=True)
def _nothing_stays_registered(monkeypatch):
    monkeypatch.setattr(kinds, "_KINDS", dict(kinds._KINDS))


def chosen(name):
    """The objective that a case of the golden file stands for."""
    return Objective(name="bft-v1", window=int(name.split("_g")[1])) if name.startswith("bft") else Objective(name=name)


def rows(logits, labels):
    """Logits and targets of the supervised tokens, and how many each row has."""
    mask = labels[:, 1:] != -100
    return logits[:, :-1][mask], labels[:, 1:][mask], mask.sum(1)


def identity_head(logits, targets, **asked):
    return token_logprobs(logits, torch.eye(logits.shape[1], dtype=logits.dtype), targets, chunk_size=7, **asked)


def small(name, **options):
    """An objective for small vocabularies, whose likeliest tokens are two."""
    return Objective(name=name, options={"k": 2} if name == "eaft" else {}, **options)


def loss_of(objective, logits, labels, logprobs=logits_logprobs, **totals):
    """Loss, its gradient with respect to the logits, and the weights."""
    logits = logits.clone().requires_grad_()
    supervised, targets, lengths = rows(logits, labels)
    loss, weights = objective.loss(logprobs(supervised, targets, **objective.asks), lengths, **totals)
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
@pytest.mark.parametrize("name", ALONE)
def test_equals_the_loops_in_float64(golden, case, name, logprobs):
    logits, labels = golden[f"{case}/logits"].astype(np.float64), golden[f"{case}/labels"]
    for window in (1, 8, 16, 256):
        objective = small(name, window=window)
        loss, gradient, weights = loss_of(objective, torch.from_numpy(logits), torch.from_numpy(labels), logprobs)
        expected, slope, lowest = oracle.objective(logits, labels, name, window=window, k=2)
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
    name=st.sampled_from(ALONE),
)
def test_equals_the_loops_on_any_batch(seed, shape, spread, share, window, gamma, eps, name):
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, spread, shape)
    labels = np.where(draw.random(shape[:2]) < share, draw.integers(0, shape[2], shape[:2]), -100)
    totals = {"n_tokens": max(1, int((labels[:, 1:] != -100).sum())), "n_samples": shape[0]}
    objective = small(name, window=window, gamma=gamma, eps=eps)
    loss, gradient, _ = loss_of(objective, torch.from_numpy(logits), torch.from_numpy(labels))
    expected, slope, _ = oracle.objective(logits, labels, name, window=window, gamma=gamma, eps=eps, k=2, **totals)
    np.testing.assert_allclose(loss, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gradient, slope, rtol=1e-9, atol=1e-12)


@quick
@given(samples=SAMPLES, window=WINDOWS, name=st.sampled_from(ALONE))
def test_weights_equal_those_of_the_loops(samples, window, name):
    logprobs, lengths = flat(samples)
    values = with_statistics(logprobs)
    weights = Objective(name=name, window=window).weights(values, lengths)
    spread = [
        {"entropy": entropy.tolist(), "purity": purity.tolist()}
        for entropy, purity in zip(*(part.split(lengths.tolist()) for part in values[1:3]), strict=True)
    ]
    expected = [
        oracle.sample(row, name, window=window, **own) if row else ([], 1.0, 0.0)
        for row, own in zip(samples, spread, strict=True)
    ]
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
@given(samples=SAMPLES, window=WINDOWS, name=st.sampled_from(ALONE), dtype=st.sampled_from(["float32", "float64"]))
def test_weights_are_bounded_and_carry_no_gradient(samples, window, name, dtype):
    logprobs, lengths = flat(samples, getattr(torch, dtype))
    for weights in Objective(name=name, window=window).weights(with_statistics(logprobs), lengths):
        assert not weights.requires_grad
        assert weights.dtype == torch.float64
        assert ((weights >= 0) & (weights <= 1)).all()
    assert len(logprobs) == int(lengths.sum())


def closed_form(name, p, logits, **options):
    """Losses of tokens of probability p (with gradient), as their authors write them."""
    everything = logits.detach().softmax(-1)
    if name == "power":
        return (1 - p ** options["alpha"]) / options["alpha"]
    if name == "profit":
        return torch.where(p >= options["tau"], -p.log(), torch.zeros_like(p))
    if name == "eaft":
        largest = everything.sort(descending=True).values[:, : options["k"]]
        largest = largest / largest.sum(1, keepdim=True)
        return (-(largest * largest.log()).sum(1) / np.log(options["k"])) ** options["alpha"] * -p.log()
    if name == "deft":
        exponent = (everything**2).sum(1)
        return -(p**exponent - 1) / exponent
    return {"sft": -p.log(), "dft": -p}[name]


@pytest.mark.parametrize("logprobs", [logits_logprobs, identity_head])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sft", {}),
        ("dft", {}),
        ("power", {"alpha": 0.3}),
        ("power", {"alpha": 10.0}),
        ("profit", {"tau": 0.1}),
        ("profit", {"tau": 0.9}),
        ("eaft", {"alpha": 1.0, "k": 20}),
        ("eaft", {"alpha": 0.5, "k": 3}),
        ("deft", {}),
    ],
)
def test_gradients_are_those_of_the_closed_form(name, options, logprobs):
    """Autograd of the loss as it is published, float64; what a weighted likelihood adds to the value is constant."""
    generator = torch.Generator().manual_seed(4)
    logits = (torch.randn(3, 30, 40, generator=generator, dtype=torch.float64) * 3).requires_grad_()
    labels = torch.randint(0, 40, (3, 30), generator=generator)
    labels[:, ::2] = logits.detach().roll(1, 1).argmax(-1)[:, ::2]  # confident ones too
    labels[1, :9] = labels[2] = -100
    supervised, targets, _ = rows(logits, labels)
    p = supervised.softmax(-1).gather(1, targets[:, None])[:, 0]
    assert 0.05 < (p > 0.5).double().mean() < 0.95
    (expected,) = torch.autograd.grad(closed_form(name, p, supervised, **options).mean(), logits)
    _, gradient, _ = loss_of(Objective(name=name, options=options), logits.detach(), labels, logprobs)
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(("alpha", "name"), [(0.0, "sft"), (1.0, "dft")])
def test_the_ends_of_the_power_family_bit_for_bit(alpha, name, dtype):
    generator = torch.Generator().manual_seed(0)
    hidden, weight = torch.randn(300, 16, generator=generator), torch.randn(500, 16, generator=generator)
    targets, lengths = torch.randint(0, 500, (300,), generator=generator), torch.tensor([120, 0, 180])
    results = []
    for objective in (named("power", alpha=alpha), named(name)):
        leaves = [leaf.to(dtype, copy=True).requires_grad_() for leaf in (hidden, weight)]
        loss, weights = objective.loss(token_logprobs(*leaves, targets, **objective.asks), lengths, n_tokens=811)
        loss.backward()
        results.append([loss.detach(), *weights, *(leaf.grad for leaf in leaves)])
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))
    logprobs, lengths = torch.tensor([-torch.inf, -800.0, 0.0]), torch.tensor([3])  # probabilities of 0 too
    assert torch.equal(
        named("power", alpha=alpha).weights(logprobs, lengths).token, named(name).weights(logprobs, lengths).token
    )


def test_weights_of_published_copies_of_eaft():
    """One divides by 3.0 whatever k is, another not at all: both are off by a factor, and for k = 5 above 1."""
    logits = torch.randn(40, 60, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    logits[:3] = 0  # as uncertain as can be
    for k in (5, 20):
        largest = logits.softmax(-1).topk(k).values
        largest = largest / largest.sum(1, keepdim=True)
        entropy = -(largest * largest.log()).sum(1)
        objective = named("eaft", k=k)
        values = logits_logprobs(logits, torch.zeros(40, dtype=torch.long), **objective.asks)
        ours = objective.weights(values, torch.tensor([40])).token
        torch.testing.assert_close(entropy / 3.0, ours * (np.log(k) / 3.0))
        torch.testing.assert_close(entropy, ours * np.log(k))
        torch.testing.assert_close(ours[:3], torch.ones(3, dtype=torch.float64))
        assert ours.max() < 1 + 1e-12
    assert np.log(20) / 3.0 == pytest.approx(0.9986, abs=5e-5)
    assert np.log(5) / 3.0 == pytest.approx(0.536, abs=5e-4)  # what cannot be less certain has half the weight


def test_a_confident_conflict_has_no_weight_in_eaft():
    """The model is sure of another token: SFT's gradient is largest, DFT's vanishes with p, EAFT's with the entropy."""
    logits = torch.zeros(2, 50, dtype=torch.float64)
    logits[0, 7] = 15.0
    values = logits_logprobs(logits, torch.tensor([3, 3]), entropy=True, k=20, purity=True)
    tokens = {name: named(name).weights(values, torch.tensor([2])).token for name in ("eaft", "deft", "dft")}
    assert tokens["eaft"][0] < 1e-4 * tokens["eaft"][1]
    # For DEFT the one is DFT, and the other, of probability 1/50 among fifty, nearly SFT.
    torch.testing.assert_close(tokens["deft"][0], tokens["dft"][0], rtol=1e-2, atol=0)
    assert float(tokens["deft"][1]) == pytest.approx(50 ** (-1 / 50))


def test_a_mean_of_profit_counts_the_tokens_that_it_drops():
    logprobs = torch.tensor([0.5, 0.05, 0.1, 0.3], dtype=torch.float64).log()
    loss, weights = named("profit").loss(logprobs, torch.tensor([4]))
    assert weights.token.tolist() == [1, 0, 1, 1]
    assert float(loss) == pytest.approx(-np.log([0.5, 0.1, 0.3]).sum() / 4)
    assert named("profit", tau=0).weights(logprobs, torch.tensor([4])).token.tolist() == [1] * 4
    assert named("profit", tau=1).weights(logprobs, torch.tensor([4])).token.tolist() == [0] * 4


@pytest.mark.parametrize("name", ALONE)
def test_a_logit_that_is_no_number_is_not_hidden(name):
    """Weights of zero times a loss that is no number would be a run that goes on with a lost model."""
    logits = torch.zeros(1, 6, 9)
    logits[0, 2, 4] = torch.inf
    for target in (3, 4):
        loss, _, _ = loss_of(small(name), logits, torch.full((1, 6), target))
        assert not loss.isfinite()


@pytest.mark.parametrize("name", ALONE)
def test_masked_vocabulary_entries_change_nothing(name):
    """Logits of minus infinity, as some models give their padded vocabulary."""
    generator = torch.Generator().manual_seed(2)
    logits, labels = torch.randn(2, 6, 9, generator=generator), torch.randint(0, 9, (2, 6), generator=generator)
    wider = torch.cat([logits, torch.full((2, 6, 70), -torch.inf)], 2)
    loss, gradient, _ = loss_of(small(name), logits, labels)
    again, slope, _ = loss_of(small(name), wider, labels)
    torch.testing.assert_close(again, loss)
    torch.testing.assert_close(slope[:, :, :9], gradient)
    assert not slope[:, :, 9:].any()


@quick
@given(
    samples=SAMPLES,
    size=st.integers(1, 5),
    weight=st.floats(0, 2),
    name=st.sampled_from(["sft+kl", "asft", "bft+kl"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_divergence_is_a_mean_as_the_rest(samples, size, weight, name, seed):
    """Also over parts of a global batch, of which a public copy of ASFT takes the mean of each."""
    plain = named({"sft+kl": "sft", "asft": "dft", "bft+kl": "bft"}[name])
    if name == "bft+kl":
        register_objective(name, bft, per_sample=True, kl=0.1)
    objective = named(name, **{"lambda": weight})
    logprobs, lengths = flat(samples)
    divergence = torch.from_numpy(np.random.default_rng(seed).gamma(1.0, 1.0, len(logprobs))).requires_grad_()
    loss, _ = objective.loss(TokenLogprobs(logprobs, divergence=divergence), lengths)
    alone, _ = plain.loss(logprobs, lengths)
    own = divergence.split(lengths.tolist())
    if plain.per_sample:
        mean = sum(part.mean() for part in own if len(part)) / len(own)
    else:
        mean = divergence.sum() / max(len(divergence), 1)
    torch.testing.assert_close(loss, alone + weight * mean, rtol=1e-9, atol=1e-12)
    totals = {"n_tokens": lengths.sum(), "n_samples": len(lengths)}
    parts = 0
    for begin in range(0, len(samples), size):
        some = slice(begin, begin + size)
        values = TokenLogprobs(torch.cat(logprobs.split(lengths.tolist())[some]), divergence=torch.cat(own[some]))
        parts = parts + objective.loss(values, lengths[some], **totals)[0]
    torch.testing.assert_close(parts, loss, rtol=1e-9, atol=1e-12)


def test_means_of_parts_are_not_the_mean_of_the_whole():
    """A copy of ASFT ignores the number of tokens of the global batch: those of short micro-batches weigh more."""
    logprobs, divergence = torch.tensor([-1.0, -2.0, -0.1, -0.2, -0.3]), torch.tensor([1.0, 2.0, 0.0, 0.0, 0.0])
    objective, lengths = named("asft"), torch.tensor([2, 3])
    whole, _ = objective.loss(TokenLogprobs(logprobs, divergence=divergence), lengths)
    halves = [
        TokenLogprobs(one, divergence=other)
        for one, other in zip(logprobs.split([2, 3]), divergence.split([2, 3]), strict=True)
    ]
    exact = sum(objective.loss(half, lengths[[i]], n_tokens=5)[0] for i, half in enumerate(halves))
    theirs = sum(objective.loss(half, lengths[[i]])[0] for i, half in enumerate(halves)) / 2
    torch.testing.assert_close(exact, whole)
    assert abs(float(theirs / whole) - 1) > 0.05


@quick
@given(samples=SAMPLES, window=WINDOWS, name=st.sampled_from(ALONE), seed=st.integers(0, 2**32 - 1))
def test_weights_from_the_reference_are_those_of_its_probabilities(samples, window, name, seed):
    logprobs, lengths = flat(samples)
    start = with_statistics(torch.from_numpy(-np.random.default_rng(seed).gamma(1.0, 2.0, len(logprobs))))
    objective = Objective(name=name, window=window, weights_from="reference")
    values = start._replace(logprobs=logprobs, frozen=start.logprobs)
    loss, weights = objective.loss(values, lengths)
    expected = Objective(name=name, window=window).weights(start, lengths)
    assert all(torch.equal(one, other) for one, other in zip(weights, expected, strict=True))
    (slope,) = torch.autograd.grad(loss, logprobs)
    (again,) = torch.autograd.grad(objective.loss(values._replace(logprobs=logprobs - 1), lengths)[0], logprobs)
    torch.testing.assert_close(slope, again)  # of a token's own probability nothing is left in its weight


def test_what_needs_a_reference():
    assert [name for name in OBJECTIVES if named(name).needs_reference] == ["sft+kl", "asft"]
    assert (named("asft").kl, named("sft+kl", **{"lambda": 0.1}).kl, named("bft").kl) == (0.05, 0.1, 0)
    assert not named("asft", **{"lambda": 0}).needs_reference
    assert named("bft", weights_from="reference").needs_reference
    for objective, missing in ((named("asft"), "divergence"), (named("dft", weights_from="reference"), "frozen")):
        with pytest.raises(InputError, match=f"`{objective.name}` needs the `{missing}` of the tokens; `Tuner`"):
            objective.loss(torch.zeros(2), torch.tensor([2]))


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
    name=st.sampled_from(ALONE),
    padding=st.integers(0, 9),
    left=st.booleans(),
    order=st.randoms(use_true_random=False),
)
def test_padding_and_order_change_nothing(samples, window, name, padding, left, order):
    objective = Objective(name=name, window=window)
    logprobs, lengths = flat(samples)
    whole, weights = objective.loss(with_statistics(logprobs), lengths)
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
    token, sample = objective.weights(with_statistics(padded[mask]), mask.sum(1))
    for place, (b, own) in enumerate(zip(shuffled, token.split(mask.sum(1).tolist()), strict=True)):
        torch.testing.assert_close(own, weights.token.split(lengths.tolist())[b], rtol=1e-9, atol=0)
        torch.testing.assert_close(sample[place], weights.sample[b], rtol=1e-9, atol=1e-15)
    again = padded.clone().requires_grad_()
    loss, _ = objective.loss(with_statistics(again[mask]), mask.sum(1))
    (slope,) = torch.autograd.grad(loss, again)
    torch.testing.assert_close(loss, whole, rtol=1e-9, atol=1e-12)
    for place, b in enumerate(shuffled):
        torch.testing.assert_close(
            slope[place][mask[place]], gradient.split(lengths.tolist())[b], rtol=1e-9, atol=1e-15
        )


@quick
@given(samples=SAMPLES, window=WINDOWS, name=st.sampled_from(ALONE), size=st.integers(1, 5))
def test_parts_of_a_global_batch_add_up(samples, window, name, size):
    objective = Objective(name=name, window=window)
    logprobs, lengths = flat(samples)
    whole, _ = objective.loss(with_statistics(logprobs), lengths)
    (gradient,) = torch.autograd.grad(whole, logprobs)
    totals = {"n_tokens": lengths.sum(), "n_samples": len(lengths)}
    parts = [flat(samples[begin : begin + size]) for begin in range(0, len(samples), size)]
    losses = [objective.loss(with_statistics(own), n, **totals)[0] for own, n in parts]
    slopes = [torch.autograd.grad(loss, part[0])[0] for loss, part in zip(losses, parts, strict=True)]
    torch.testing.assert_close(sum(losses), whole, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(torch.cat(slopes), gradient, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", ALONE)
def test_nothing_supervised_stays_connected(name):
    logits = torch.randn(2, 5, 7, requires_grad=True)
    for totals in ({}, {"n_tokens": 40, "n_samples": 8}, {"n_tokens": 0, "n_samples": 0}):
        supervised, targets, lengths = rows(logits, torch.full((2, 5), -100))
        objective = small(name)
        values = logits_logprobs(supervised, targets, **objective.asks)
        loss, weights = objective.loss(values, lengths, **totals)
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


@pytest.mark.parametrize(
    ("name", "token"),
    [("sft", 1.0), ("dft", 0.2), ("bft-v1", 0.2), ("bft", 1.0), ("power", 0.2**0.5), ("profit", 1.0)],
)
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


@pytest.mark.parametrize("by_bias", [False, True])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sft", {}),
        ("power", {"alpha": 0.0}),
        ("power", {"alpha": 0.3}),
        ("power", {"alpha": 1.0}),
        ("dft", {}),
        ("profit", {}),
        ("deft", {}),
        ("bft", {"window": 2}),
        ("bft-v1", {"window": 2}),
    ],
)
def test_a_target_that_is_ruled_out_adds_what_its_limit_is(name, options, by_bias):
    """A masked vocabulary: a logit of minus infinity against one of minus 700, whose probability is 1e-304."""
    objective, generator = named(name, **options), torch.Generator().manual_seed(0)
    hidden = torch.randn(6, 5, dtype=torch.float64, generator=generator)
    targets, lengths, vocabulary = torch.tensor([0, 1, 4, 2, 4, 3]), torch.tensor([4, 2]), torch.eye(5).double()
    found = []
    for least in (-torch.inf, -700.0):
        mask, leaf = torch.tensor([0, 0, 0, 0, least], dtype=torch.float64), hidden.clone().requires_grad_()
        if by_bias:
            rows = vocabulary.clone().requires_grad_()
            values = token_logprobs(leaf, rows, targets, bias=mask, **objective.asks)
        else:
            values = logits_logprobs(leaf + mask, targets, **objective.asks)
        loss, _ = objective.loss(values, lengths)
        loss.backward()
        found.append((float(loss.detach()), leaf.grad, *([rows.grad] if by_bias else [])))
    (loss, *gradients), (limit, *near) = found
    for gradient, other in zip(gradients, near, strict=True):
        assert gradient.isfinite().all()
        torch.testing.assert_close(gradient, other)
    if name == "sft" or options.get("alpha") == 0.0:
        assert (loss, limit > 200) == (np.inf, True)
    else:
        assert loss == pytest.approx(limit, rel=1e-12)


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
        {"options": {"alpha": 1}, "name": "sft"},
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


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("power", {"alpha": -0.1}, "`alpha` is -0.1: input should be greater than or equal to 0"),
        ("power", {"alpha": float("nan")}, "`alpha` is nan: input should be a finite number"),
        ("power", {"alpha": float("inf")}, "`alpha` is inf: input should be a finite number"),
        ("power", {"alpha": "much"}, "`alpha` is 'much': input should be a valid number"),
        ("power", {"alhpa": 1}, r"`power` takes no option `alhpa`. Did you mean `alpha`\?"),
        ("profit", {"tau": -0.1}, "`tau` is -0.1: input should be greater than or equal to 0"),
        ("profit", {"tau": 1.5}, "`tau` is 1.5: input should be less than or equal to 1"),
        ("eaft", {"alpha": -1}, "`alpha` is -1"),
        ("eaft", {"k": 1}, "`k` is 1: input should be greater than or equal to 2"),
        ("eaft", {"k": 2.5}, "`k` is 2.5"),
        ("eaft", {"entropy": 1}, "`eaft` takes no option `entropy`"),
        ("asft", {"lambda": -0.1}, "`lambda` is -0.1: input should be greater than or equal to 0"),
        ("dft", {"weights_from": "somewhere"}, "`weights_from` is 'somewhere': input should be 'model' or 'reference'"),
        ("deft", {"alpha": 1}, "no such objective: `alpha` is 1"),
    ],
)
def test_options_out_of_range_are_refused(name, options, message):
    with pytest.raises(InputError, match=message):
        named(name, **options)


def test_more_likeliest_tokens_than_there_are():
    with pytest.raises(InputError, match="`k` is 20; the entropy of the `k` likeliest of 9 tokens"):
        loss_of(named("eaft"), torch.zeros(1, 3, 9), torch.zeros(1, 3, dtype=torch.long))


@pytest.mark.parametrize("name", ["eaft", "deft"])
def test_statistics_that_were_not_asked_for(name):
    with pytest.raises(InputError, match=f"`{name}` needs the `(entropy|purity)` of the tokens"):
        named(name).loss(torch.zeros(3), torch.tensor([3]))


def test_what_is_asked_for_is_what_the_weights_depend_on():
    asked = {name: named(name).asks for name in OBJECTIVES if named(name).asks}
    assert asked == {"eaft": {"entropy": True, "k": 20}, "deft": {"purity": True}}
    assert named("eaft", k=5).asks == {"entropy": True, "k": 5}


def test_options_in_a_configuration():
    values = {"data": {"train": "a"}, "output": "out"}
    long = parse_config({**values, "objective": {"name": "power", "options": {"alpha": 0.25}}}).objective
    short = parse_config(
        {**values, "objective": {"name": "power", "alpha": "2.5e-1"}}
    ).objective  # text, as YAML has it
    assert long == short == named("power", alpha=0.25)
    assert parse_config({**values, "objective": "power"}).objective.options == {}
    with pytest.raises(InputError, match=r"`objective.options` is .*: `power` takes no option `alhpa`"):
        parse_config({**values, "objective": {"name": "power", "alhpa": 0.25}})
    with pytest.raises(InputError, match=r"there is no key `objective.windw`; did you mean `window`"):
        parse_config({**values, "objective": {"name": "bft", "windw": 3}})
    with pytest.raises(InputError, match=r"no key `objective\.alpha`"):
        parse_config({**values, "objective": {"name": "power", "alpha": 1, "options": {"alpha": 2}}})


@pytest.mark.parametrize("options", [{"objective": "bff"}, {"window": 0}, {"windw": 3}, {"gamma": float("inf")}])
def test_a_name_or_option_from_python_is_refused_in_one_sentence(options):
    wrong = "name" if "objective" in options else next(iter(options))
    with pytest.raises(InputError, match=f"no such objective: `{wrong}` is") as caught:
        named(**{"objective": "bft"} | options)
    assert "\n" not in str(caught.value)
