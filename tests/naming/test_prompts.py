import pytest

from bftembed.errors import InputError
from bftembed.naming import naming_request, parse_name


def test_a_set_has_one_prompt_that_holds_its_genes_once_and_nothing_of_its_id():
    asked = naming_request("HALLMARK_DNA_REPAIR", ["MSH6", "MLH1", " MSH2", "MLH1", ""])
    again = naming_request("other", ["MLH1", "MSH2", "MSH6"])
    assert asked.content == again.content
    assert "MLH1, MSH2, MSH6." in asked.user
    assert asked.user.count("MLH1") == 1
    assert "HALLMARK" not in asked.user + asked.system


def test_the_refusal_that_the_prompt_asks_for_is_read_as_one():
    asked = naming_request("x", ["A", "B"]).user
    assert parse_name(asked.splitlines()[-1]).unrelated


def test_a_prompt_that_is_repeated_has_no_confidence():
    assert parse_name(naming_request("x", ["A", "B"]).user).confidence is None


def test_no_genes():
    with pytest.raises(InputError, match="`x` has no genes"):
        naming_request("x", ["", " "])


def test_genes_in_another_order_are_the_same_genes():
    genes = [f"G{i}" for i in range(12)]
    orders = [naming_request("1", genes, seed=seed).user for seed in (1, 1, 2, None)]
    assert orders[0] == orders[1]
    assert len(set(orders)) == 3
    assert {frozenset(text.splitlines()[0].rstrip(".").split(": ")[1].split(", ")) for text in orders} == {
        frozenset(genes)
    }
