import itertools

import numpy as np
import pandas as pd
import pytest

from bftembed.tune.diagnosis.confidences import TokenTrack
from bftembed.tune.diagnosis.estimates import Cells, Sums, added, count, groups, rate_ratio, windows_of
from bftembed.tune.diagnosis.lexicon import pattern_lexicon

LOWS = np.array([0.1, 0.5])
LEXICONS = [pattern_lexicon("x", "x"), pattern_lexicon("yy", "yy")]


def random_track(rng, document, part=0):
    """A text of one-letter and two-letter words, a token each."""
    words = rng.choice(["x", "yy", "z"], size=rng.integers(9, 40)).tolist()
    text = " ".join(words)
    ends = np.cumsum([len(word) + 1 for word in words]) - 1
    spans = np.stack([ends - [len(word) for word in words], ends], axis=1).astype(np.int32)
    confidence = rng.beta(0.6, 1.0, size=len(words)).astype(np.float32)
    return TokenTrack(document, part, text, np.arange(len(words), dtype=np.int32), spans, confidence)


@pytest.fixture
def tracks():
    rng = np.random.default_rng(11)
    return [random_track(rng, document) for document in (0, 1, 3, 3, 7)]


@pytest.fixture
def windows(tracks):
    rng = np.random.default_rng(0)
    return windows_of(tracks, LEXICONS, window=8, stride=3, skip=2, lows=LOWS, rng=rng)


def by_hand(tracks):
    """The same windows, token by token."""
    for index, track in enumerate(tracks):
        words = track.text.split(" ")
        n = len(words)
        size = min(8, n - 2)
        begins = [b for b in range(2, n, 3) if b + size <= n]
        for begin in sorted({*begins, n - size}):
            row = {"track": index, "document": track.document, "begin": begin, "size": size}
            for at, low in enumerate(LOWS):
                flags = [c < low for c in track.confidence[begin : begin + size]]
                row[f"share{at}"] = sum(flags) / size
                row[f"longest{at}"] = max((len(list(run)) for flag, run in itertools.groupby(flags) if flag), default=0)
            row |= {word: words[begin : begin + size].count(word) for word in ("x", "yy")}
            yield row


def test_windows_equal_those_made_token_by_token(tracks, windows):
    expected = pd.DataFrame(by_hand(tracks))
    for key in ("track", "document", "begin", "size"):
        np.testing.assert_array_equal(getattr(windows, key), expected[key])
    np.testing.assert_allclose(windows.low_share, expected[["share0", "share1"]].T)
    np.testing.assert_array_equal(windows.longest, expected[["longest0", "longest1"]].T)
    np.testing.assert_array_equal(windows.matches, expected[["x", "yy"]].T)


def test_shuffling_keeps_the_number_of_low_tokens(windows):
    n_low = np.rint(windows.low_share * windows.size)
    assert ((windows.shuffled > 0) == (n_low > 0)).all()
    assert (windows.shuffled <= n_low).all()
    assert (windows.shuffled != windows.longest).any()


def test_a_window_is_in_a_or_b_if_it_has_enough_low_tokens():
    share = np.array([0.1, 0.2, 0.2, 0.9])
    longest = np.array([9, 3, 4, 5])
    a, b = groups(share, longest, density=0.2, run=4)
    assert a.tolist() == [False, True, False, False]
    assert b.tolist() == [False, False, True, True]


def test_counts_are_sums_over_the_windows_of_each_cell(windows):
    cells = Cells(np.array([0, 1, 1]), np.array([0.1, 0.2, 0.6]), np.array([2, 3, 4]))
    corpus = count(windows, cells, n_resamples=50, rng=np.random.default_rng(1))
    assert corpus.texts == 4
    np.testing.assert_allclose(corpus.low_tokens, windows.low_share.mean(axis=1))
    for index, (low, density, run) in enumerate(zip(*cells, strict=True)):
        many = windows.low_share[low] >= density
        b = many & (windows.longest[low] >= run)
        a = many & ~b
        sums = corpus.sums
        assert sums.windows[index] == len(windows.size)
        assert [sums.n_a[index], sums.n_b[index]] == [a.sum(), b.sum()]
        assert sums.n_b_shuffled[index] == (many & (windows.shuffled[low] >= run)).sum()
        assert [sums.tokens_a[index], sums.tokens_b[index]] == [windows.size[a].sum(), windows.size[b].sum()]
        np.testing.assert_array_equal(sums.matches_a[:, index], windows.matches[:, a].sum(axis=1))
        np.testing.assert_array_equal(sums.matches_b[:, index], windows.matches[:, b].sum(axis=1))
    assert corpus.resampled.windows.shape == (50, 3)
    assert corpus.resampled.matches_b.shape == (50, 2, 3)


def test_texts_are_drawn_whole(windows):
    """Each resample is a sum of whole texts: its number of windows is one that four texts can have."""
    cells = Cells(np.array([0]), np.array([0.0]), np.array([1]))
    corpus = count(windows, cells, n_resamples=300, rng=np.random.default_rng(2))
    sizes = np.unique(windows.document, return_counts=True)[1]
    possible = {sum(draw) for draw in itertools.product(sizes.tolist(), repeat=4)}
    drawn = set(corpus.resampled.windows[:, 0].tolist())
    assert drawn <= possible
    assert len(drawn) > 3


def test_one_text_alone_gives_no_resamples(tracks):
    rng = np.random.default_rng(0)
    windows = windows_of(tracks[2:4], LEXICONS, window=8, stride=3, skip=2, lows=LOWS, rng=rng)
    corpus = count(windows, Cells(np.array([0]), np.array([0.0]), np.array([1])), n_resamples=9, rng=rng)
    assert corpus.texts == 1
    assert np.isnan(corpus.resampled.n_b).all()
    assert corpus.sums.windows[0] == len(windows.size)


def sums(tokens_a, tokens_b, matches_a, matches_b):
    """Counts of one cell and one lexicon."""
    one = np.ones(1)
    return Sums(
        *(one, one, one, one, np.array([tokens_a]), np.array([tokens_b])),
        *(np.array([[matches_a]]), np.array([[matches_b]])),
    )


def test_the_rate_ratio_of_one_corpus_is_the_plain_one():
    assert rate_ratio([sums(2000, 500, 10, 20)])[0, 0] == pytest.approx((20 / 500) / (10 / 2000))


def test_the_pooled_ratio_does_not_mistake_the_mix_of_corpora_for_enrichment():
    # In each corpus the rates are equal; the one with more of group B has more of the words.
    rich, poor = sums(1000, 9000, 100, 900), sums(9000, 1000, 9, 1)
    assert rate_ratio([rich, poor])[0, 0] == pytest.approx(1)
    together = added([rich, poor])
    assert (together.matches_b / together.tokens_b) / (together.matches_a / together.tokens_a) > 5


def test_the_pooled_ratio_is_that_of_mantel_and_haenszel():
    rng = np.random.default_rng(4)
    strata = [sums(*rng.integers(100, 900, 2), *rng.integers(1, 50, 2)) for _ in range(3)]
    above = sum(s.matches_b[0, 0] * s.tokens_a[0] / (s.tokens_a[0] + s.tokens_b[0]) for s in strata)
    below = sum(s.matches_a[0, 0] * s.tokens_b[0] / (s.tokens_a[0] + s.tokens_b[0]) for s in strata)
    assert rate_ratio(strata)[0, 0] == pytest.approx(above / below)
    common = [sums(1000 * k, 700 * k, 20 * k, 42 * k) for k in (1, 5)]
    assert rate_ratio(common)[0, 0] == pytest.approx((42 / 700) / (20 / 1000))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((0, 0, 0, 0), np.nan),
        ((100, 0, 5, 0), np.nan),
        ((0, 100, 0, 5), np.nan),
        ((100, 100, 0, 0), np.nan),
        ((100, 100, 0, 5), np.inf),
        ((100, 100, 5, 0), 0),
    ],
)
def test_a_ratio_that_is_not_there_is_not_made_up(counts, expected):
    assert np.array_equal(rate_ratio([sums(*counts)])[0, 0], expected, equal_nan=True)
