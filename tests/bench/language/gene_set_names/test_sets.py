import pytest

from bftembed.bench.language.gene_set_names.sets import GeneSet, few_sets, gene_set, known_sets, term_names, top_terms
from bftembed.errors import DataError
from bftembed.naming import TermSets


def test_genes_once_without_what_a_file_puts_around_them():
    assert gene_set("1", "x", ['TREH"', " MSH2", "MSH2", ""]) == GeneSet("1", "x", ("MSH2", "TREH"))
    with pytest.raises(DataError, match="`1` has no genes"):
        gene_set("1", "x", [" "])
    with pytest.raises(DataError, match="`1` has no name"):
        gene_set("1", " ", ["MSH2"])


def test_sets_without_two_known_genes_are_removed_and_unknown_symbols_counted(mirror):
    sets = [
        GeneSet("b", "repair", ("MLH1", "MSH2", "NOSUCHGENE")),
        GeneSet("a", "old symbols", ("H3F3A", "PARK2")),
        GeneSet("c", "one", ("MLH1", "NOSUCHGENE")),
    ]
    kept, removed, counts = known_sets(sets)
    assert [each.id for each in kept] == ["a", "b"]
    assert removed == {"sets with fewer than 2 known genes": 1}
    assert counts == {"genes in the sets": 5, "of these unknown symbols": 1}
    assert "NOSUCHGENE" in kept[1].genes
    with pytest.raises(DataError, match="None of the 1 gene sets"):
        known_sets(sets[2:])
    with pytest.raises(DataError, match="the id `b`"):
        known_sets([sets[0], sets[0]])


def test_few_sets_are_small_and_the_same_whatever_the_order():
    sets = [GeneSet(f"s{i}", "x", tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: 2 + i % 25])) for i in range(60)]
    few = few_sets(sets)
    assert few == few_sets(sets[::-1])
    assert len(few) == 8
    assert max(len(each.genes) for each in few) <= 20
    large = [GeneSet(f"s{i}", "x", tuple(f"G{j}" for j in range(21 + i))) for i in range(30)]
    assert sorted(len(each.genes) for each in few_sets(large)) == list(range(21, 29))


def test_the_best_term_with_and_without_the_one_that_the_set_is():
    terms = TermSets({"DNA repair (GO:1)": ["A", "B", "C"], "more": ["A", "B", "D"], "else": ["X", "Y", "Z", "D"]})
    sets = [GeneSet("1", "dna repair", ("A", "B", "C")), GeneSet("2", "none of these", ("Q",))]
    assert term_names(top_terms(sets, terms, own=True), sets) == ["dna repair", "none"]
    assert term_names(top_terms(sets, terms, own=False), sets) == ["more", "none"]
