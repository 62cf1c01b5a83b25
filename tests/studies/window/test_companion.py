"""Shares of the gradient on the words of lexicons, against loops over tokens."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftembed.studies.window.companion import ANY, Tokens, covered, measure, tokens_of
from bftembed.tune.diagnosis.confidences import TokenTrack
from bftembed.tune.diagnosis.lexicon import pattern_lexicon

LENGTHS = np.array([5, 0, 40, 13])


@pytest.fixture
def tokens():
    rng = np.random.default_rng(5)
    n = LENGTHS.sum()
    spans = {"genes": rng.random(n) < 0.2, "none": np.zeros(n, dtype=bool)}
    return Tokens(np.log(rng.uniform(0.001, 1, n)).astype(np.float32), LENGTHS, {**spans, ANY: spans["genes"]})


@pytest.fixture
def found(tokens):
    return measure(tokens, [1, 8, 64], resamples=200)


def test_tokens_overlap_words():
    text = "TP53 causes apoptosis"
    spans = np.array([[0, 2], [2, 4], [4, 11], [11, 15], [15, 21]], dtype=np.int32)
    track = TokenTrack(0, 0, text, np.arange(5, dtype=np.int32), spans, np.full(5, 0.5, dtype=np.float32))
    lexicons = [pattern_lexicon("genes", "TP53"), pattern_lexicon("words", "apoptosis"), pattern_lexicon("no", "zebra")]
    made = tokens_of([track, track], lexicons)
    assert made.lengths.tolist() == [5, 5]
    assert made.spans["genes"].tolist() == [True, True, False, False, False] * 2
    assert made.spans["words"].tolist() == [False, False, False, True, True] * 2
    assert not made.spans["no"].any()
    assert made.spans[ANY].tolist() == [True, True, False, True, True] * 2
    np.testing.assert_allclose(np.exp(made.logprobs), 0.5, rtol=1e-6)


@given(st.sets(st.integers(0, 40), max_size=12), st.sets(st.integers(0, 40), min_size=2, max_size=12))
def test_covered_as_by_looking_at_every_character(borders, cuts):
    borders, cuts = sorted(borders), sorted(cuts)
    matches = np.array(list(zip(borders[::2], borders[1::2], strict=False)), dtype=np.int64).reshape(-1, 2)
    spans = np.array(list(itertools.pairwise(cuts)), dtype=np.int32)
    inside = {c for begin, end in matches for c in range(begin, end)}
    assert covered(matches, spans).tolist() == [any(c in inside for c in range(*span)) for span in spans]


def test_a_token_without_characters_covers_nothing():
    assert covered(np.array([[0, 9]]), np.array([[3, 3]])).tolist() == [False]


def test_the_share_under_sft_is_the_plain_share_of_tokens(tokens, found):
    assert found["objectives"]["sft"]["share"]["genes"][0] == pytest.approx(tokens.spans["genes"].mean())
    assert found["objectives"]["sft"]["share_ratio"]["genes"] == [1.0, None, None]


def test_shares_as_by_a_loop(tokens, found):
    confidence, genes = np.exp(tokens.logprobs.astype(float)), tokens.spans["genes"]
    parts = {"share": np.zeros(2), "step": np.zeros(2)}
    begin = 0
    for n in LENGTHS:
        c, mask = confidence[begin : begin + n], genes[begin : begin + n]
        begin += n
        if not n:
            continue
        firsts = [min(max(t - 4, 0), max(n - 8, 0)) for t in range(n)]
        context = np.array([c[first : first + 8].mean() for first in firsts])
        factor = np.minimum(c / context, 1) * (1 - context.min()) / n
        for name, scale in (("share", factor), ("step", factor * (1 - c))):
            parts[name] += scale[mask].sum(), scale.sum()
    for name, (above, below) in parts.items():
        value, low, high = found["objectives"]["bft-8"][name]["genes"]
        assert value == pytest.approx(above / below)
        assert low < value < high


def test_statistics_of_weights(tokens, found):
    dft = found["objectives"]["dft"]
    c = np.exp(tokens.logprobs.astype(float))
    assert dft["mean_token_weight"] == pytest.approx(c.mean())
    assert dft["low"] == pytest.approx((c < 0.1).mean())
    assert dft["effective_tokens"] == pytest.approx(c.sum() ** 2 / (c**2).sum() / len(c))
    assert found["objectives"]["sft"]["effective_tokens"] == pytest.approx(1)
    assert found["objectives"]["bft-1-even"]["effective_samples"] == pytest.approx(1)
    # A window of 1 gives every token the same weight, which correlates with nothing.
    assert found["correlations"]["bft-8"] is None
    assert 0 < found["correlations"]["bft-64"] < 1
    assert found["correlations"]["bft-v1-64"] == pytest.approx(1)  # the token weight has no window there


def test_texts_within_a_window_are_counted(found):
    assert found["texts"] == 3  # one has no token
    assert found["within"] == {"1": 0.0, "8": pytest.approx(1 / 3), "64": 1.0}


def test_a_lexicon_without_a_match_has_no_share(found):
    assert found["span_tokens"]["none"] == 0
    assert all("none" not in values["share"] for values in found["objectives"].values())


def test_intervals_hold_the_share_of_the_population():
    rng = np.random.default_rng(8)
    held = 0
    for seed in range(40):
        lengths = rng.integers(20, 60, 40)
        genes = rng.random(lengths.sum()) < 0.3
        logprobs = np.log(rng.uniform(0, 1, lengths.sum())).astype(np.float32)
        one = measure(Tokens(logprobs, lengths, {"genes": genes, ANY: genes}), [], resamples=200, seed=seed)
        _, low, high = one["objectives"]["dft"]["share"]["genes"]
        held += low <= 0.3 <= high
    assert held >= 33
