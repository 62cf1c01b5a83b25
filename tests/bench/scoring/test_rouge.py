"""Against values counted by hand; the stemmer makes `repairs` and `repair` one word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftembed.bench.scoring.rouge import best_constant, rouge


def f(shared, in_gold, in_name):
    """F-measure of precision and recall."""
    return 2 * shared / (in_gold + in_name)


@pytest.mark.parametrize(
    ("gold", "name", "one", "two", "longest"),
    [
        ("dna repair", "dna repair", 1, 1, 1),
        ("regulation of dna repair", "dna repairs", f(2, 4, 2), f(1, 3, 1), f(2, 4, 2)),
        ("a b c d", "d c b a", 1, 0, f(1, 4, 4)),  # all words, no pair, one after the other
        ("a b c d e", "a x c y e", f(3, 5, 5), 0, f(3, 5, 5)),
        ("a b a b", "a b", f(2, 4, 2), f(1, 3, 1), f(2, 4, 2)),  # each word as often as both have it
        ("Cell-cycle", "cell cycle", 1, 1, 1),
        ("globins", "dna repair", 0, 0, 0),
        ("repair", "repair", 1, 0, 1),
    ],
)
def test_pairs_counted_by_hand(gold, name, one, two, longest):
    found = {kind: values[0] for kind, values in rouge([gold], [name]).items()}
    assert found == pytest.approx({"rouge-1": one, "rouge-2": two, "rouge-l": longest})


WORDS = st.lists(st.sampled_from(["cell", "growth", "of", "process", "dna"]), min_size=1, max_size=4).map(" ".join)


@given(st.lists(WORDS, min_size=1, max_size=5))
def test_the_best_constant_is_no_worse_than_any_word(golds):
    best = rouge(golds, [best_constant(golds)] * len(golds))["rouge-l"].mean()
    for word in {word for gold in golds for word in gold.split()}:
        assert best >= rouge(golds, [word] * len(golds))["rouge-l"].mean() - 1e-12


def test_a_constant_that_every_name_holds_in_order():
    golds = ["regulation of dna repair", "regulation of cell growth", "regulation of yeast budding"]
    assert best_constant(golds) == "regulation of"
