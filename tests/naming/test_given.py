import numpy as np
import pytest

from bftembed.errors import GeneNameError, InputError
from bftembed.naming import TermSets
from bftembed.naming.given import given_sets, in_current_symbols


def test_names_become_canonical_once_each_and_unknown_ones_stay(mirror):
    names = ["TNFRSF6", "FAS", "ENSG00000141510.17", "tp53", "not a {gene}", np.nan, " ", None, "not a {gene}"]
    sets, removed = given_sets({"a": names})
    assert removed == {}
    assert sets["a"].genes == ("FAS", "TP53", "not a {gene}")
    assert (sets["a"].known, sets["a"].unknown) == (["FAS", "TP53"], ("not a {gene}",))


def test_sets_of_fewer_than_two_known_genes_are_removed_and_counted(mirror, caplog):
    with caplog.at_level("WARNING", logger="bftembed"):
        sets, removed = given_sets({"a": ["TP53", "FAS"], "one": ["TP53", "TP53"], "none": ["x1y2"], "empty": []})
    assert (list(sets), list(removed)) == (["a"], ["one", "none", "empty"])
    assert "3 of 4 gene sets have fewer than 2 known genes and get no name: 'one', 'none', 'empty'" in caplog.text


@pytest.mark.parametrize("genes", [[], ["TP53"], ["TP53", "TP53"], ["TP53", "x1y2"], ["x1y2", "z3q4"]])
def test_a_single_set_of_too_few_genes_is_refused(mirror, genes):
    with pytest.raises(InputError, match=r"The gene set 'a' has fewer than 2 genes that are known"):
        given_sets({"a": genes})


def test_many_names_that_are_no_genes_are_refused_with_what_they_look_like(mirror):
    with pytest.raises(GeneNameError, match=r"None of 30 gene names could be mapped.*Entrez ids"):
        given_sets({"a": [str(number) for number in range(100, 130)]})


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ({}, "There are no gene sets"),
        (["TP53"], "a mapping from the set's name"),
        ({"a": "TP53"}, "a mapping from the set's name"),
        ({"a": {"b": ["TP53"]}}, "a mapping from the set's name"),
        ({"a": 3}, "genes of the set 'a' are a list of names, got 3"),
        ({1: ["TP53", "FAS"], "1": ["TP53", "FAS"]}, "Two gene sets have the same name"),
    ],
)
def test_what_is_no_mapping_of_lists_is_refused(sets, message):
    with pytest.raises(InputError, match=message):
        given_sets(sets)


def test_456_genes_are_taken_whole(mirror):
    from bftembed.datasets import gene_table

    genes = list(gene_table().symbols[:456])
    assert list(given_sets({"a": genes})[0]["a"].genes) == genes


def test_terms_in_symbols_of_today(mirror):
    made = in_current_symbols(TermSets({"clock": ["ARNTL", "CLOCK"]}, background=["ARNTL", "CLOCK", "my gene"]))
    assert made.sets == {"clock": frozenset({"BMAL1", "CLOCK"})}
    assert made.background == {"BMAL1", "CLOCK", "my gene"}
