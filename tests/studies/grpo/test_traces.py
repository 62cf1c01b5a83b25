import math

import pytest

from bftembed.studies.grpo.traces import STATISTICS, Reader, contradicts, statistics
from bftembed.tune.diagnosis.lexicon import gene_lexicon, pattern_lexicon

KNOWN = Reader(
    {
        "genes": gene_lexicon(["TP53", "MDM2", "CDKN1A", "GATA1"]),
        "pathway words": pattern_lexicon("pathway words", "pathways?"),
        "causal connectives": pattern_lexicon("causal connectives", "because"),
        "mutations": pattern_lexicon("mutations", r"R\d+H", ignore_case=False),
    },
    {"TP53": frozenset({"MDM2"})},
)


def test_counts_are_per_hundred_words_and_new_symbols_apart():
    text = "TP53 falls because MDM2 rises; GATA1 of the pathway, R175H."  # ten words
    found = statistics([text], [None], prompt="TP53 and CDKN1A", genes=("TP53", "CDKN1A"), known=KNOWN)
    expected = {
        "words": 10.0,
        "gene symbols of the prompt per 100 words": 10.0,
        "new gene symbols per 100 words": 20.0,
        "share of new symbols that are known partners": 0.5,
        "mutations per 100 words": 10.0,
        "pathway words per 100 words": 10.0,
        "causal connectives per 100 words": 10.0,
        "distinct-2": 1.0,
        "repeated 4-grams": 0.0,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert tuple(found) == STATISTICS
    assert math.isnan(found["end contradicts the rest"])


def test_repetition_is_seen_in_both_measures():
    found = statistics(["it is so it is so it is so"], [None], prompt="", genes=(), known=KNOWN)
    assert found["distinct-2"] == pytest.approx(3 / 8)
    assert found["repeated 4-grams"] == pytest.approx(0.5)


def test_texts_without_words_are_no_numbers():
    found = statistics(["", " "], [None, None], prompt="", genes=(), known=KNOWN)
    assert found["words"] == 0
    assert math.isnan(found["distinct-2"])
    assert math.isnan(found["new gene symbols per 100 words"])


@pytest.mark.parametrize(
    ("text", "end", "expected"),
    [
        ("It is repressed and falls.\nAnswer: increase", "increase", True),
        ("It is repressed and falls.\nAnswer: decrease", "decrease", False),
        ("It rises. It rises. It falls. Answer: decrease", "decrease", True),
        ("It rises and falls.\nAnswer: increase", "increase", None),
        ("Answer: increase", "increase", None),
        ("It is repressed.\nAnswer: yes", "yes", None),
        ("It is repressed.", None, None),
    ],
)
def test_only_a_direction_can_contradict(text, end, expected):
    assert contradicts(text, end) is expected
