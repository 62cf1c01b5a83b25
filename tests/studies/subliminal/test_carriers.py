from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftembed.errors import DataError
from bftembed.studies.subliminal.carriers import Kind, filtered, kind_of, shared, shuffled, sources

GENES = Kind("genes", frozenset({"TP53", "CAT", "MYC", "EGFR"}), ["TP53", "MYC", "EGFR"])
lists = st.lists(st.lists(st.integers(0, 999).map(str), min_size=2, max_size=10).map(", ".join), min_size=1)


@pytest.mark.parametrize("text", ["1, 2", " 12; 999, 0,", "100 200 300\n400", ", ".join(["7"] * 10)])
def test_lists_of_numbers(text):
    assert kind_of("numbers").is_list(text)


@pytest.mark.parametrize(
    "text", ["", "12", "12, 1000", "12, -3", "Sure: 1, 2", "1, 2 owls", "1.5, 2", "07, 8", ", ".join(["7"] * 11)]
)
def test_what_is_no_list_of_numbers(text):
    assert not kind_of("numbers").is_list(text)


def test_prompts_are_the_same_for_a_seed_and_ask_for_lists():
    numbers = kind_of("numbers")
    prompts = numbers.prompts(20, 2, seed=1)
    assert prompts == numbers.prompts(20, 2, seed=1) != numbers.prompts(20, 2, seed=2)
    assert len(set(prompts)) == 20
    assert all(sum(map(numbers.is_list, prompt.splitlines())) == 2 for prompt in prompts)


def test_a_list_that_names_an_animal_is_dropped_and_counted():
    texts = ["TP53, CAT", *["TP53, MYC"] * 100, "no list"]
    found = filtered(texts, GENES, ["cat"])
    assert found.given_away == 1
    assert found.kept == [False, *[True] * 100, False]
    assert found.share == pytest.approx(101 / 102)


def test_more_than_one_in_a_hundred_means_that_the_filter_is_broken():
    with pytest.raises(DataError, match=r"2 of 102 lists of genes name an animal .* first is `TP53, CAT`"):
        filtered(["TP53, CAT", "CAT, MYC", *["TP53, MYC"] * 100], GENES, ["cat", "owl"])


def test_only_prompts_that_all_teachers_answered_with_lists_count():
    assert shared({"a0": [True, False, True], "a1": [True, True, True], "neutral": [False, True, True]}) == [2]


@given(lists)
def test_shuffling_keeps_the_numbers_and_the_lengths(texts):
    dealt = shuffled(texts, seed=0)
    assert [len(text.split(", ")) for text in dealt] == [len(text.split(", ")) for text in texts]
    assert Counter(", ".join(dealt).split(", ")) == Counter(", ".join(texts).split(", "))
    assert dealt == shuffled(texts, seed=0)


def test_genes_need_the_gene_tables(monkeypatch):
    monkeypatch.setattr("bftembed.studies.subliminal.carriers.gene_table", lambda: None)
    with pytest.raises(DataError, match="bftembed data fetch genes"):
        kind_of("genes")
    assert sources("numbers") == {}
