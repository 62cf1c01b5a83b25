import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact
from statsmodels.stats.multitest import multipletests

from bftembed.errors import DataError, InputError
from bftembed.naming import TermSets

GENES = [f"G{i}" for i in range(12)]
SETS = st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from(GENES), min_size=1), min_size=1)


@settings(max_examples=40)
@given(sets=SETS, query=st.lists(st.sampled_from([*GENES, "unknown"]), min_size=1))
def test_like_fishers_test_and_statsmodels(sets, query):
    background = set().union(*sets.values())
    drawn = set(query) & background
    expected = {}
    for name, listed in sets.items():
        genes = set(listed)
        table = [[len(genes & drawn), len(genes - drawn)], [len(drawn - genes), len(background - genes - drawn)]]
        expected[name] = fisher_exact(table, alternative="greater").pvalue
    q = dict(zip(expected, multipletests(list(expected.values()), method="fdr_bh")[1], strict=True))
    found = TermSets(sets).enrich(query)
    assert {term.name for term in found} == {name for name in sets if set(sets[name]) & drawn}
    for term in found:
        assert term.p_value == pytest.approx(expected[term.name], rel=1e-9)
        assert term.q_value == pytest.approx(q[term.name], rel=1e-9)
        assert term.overlap == tuple(sorted(set(sets[term.name]) & drawn))
        assert term.size == len(set(sets[term.name]))
    assert np.all(np.diff([term.p_value for term in found]) >= 0)


def test_own_term_is_left_out_by_name_and_by_genes():
    sets = TermSets(
        {
            "DNA repair (GO:0006281)": GENES[:3],
            "the same genes": GENES[:9],
            "nine of ten": GENES[:10],
            "eight of ten": GENES[:8],
            "others": GENES[10:],
        }
    )
    query = GENES[:10]
    assert {term.name for term in sets.enrich(query)} == set(sets.sets) - {"others"}
    assert [term.name for term in sets.enrich(query, without="dna-repair")] == ["eight of ten"]
    assert len(sets.enrich(query, without="something else", max_jaccard=1.01)) == 4
    tested = sets.enrich(query[:2], without="dna repair", top=1)
    assert len(tested) == 1


def test_background_and_genes_outside_of_it():
    sets = TermSets({"a": ["A", "B"], "b": ["C"]}, background=["A", "C", "X", "Y"])
    (term,) = sets.enrich(["A", "B", "unknown"])
    assert (term.name, term.overlap, term.size) == ("a", ("A",), 2)
    assert term.p_value == pytest.approx(1 / 4)
    assert sets.enrich(["B", "unknown"]) == []
    assert sets.enrich([]) == []


def test_a_gmt_with_spaces_names_the_line(tmp_path):
    path = tmp_path / "sets.gmt"
    path.write_text("a\tsource\tA\tB\nb source C D\n")
    with pytest.raises(DataError, match="Line 2 of"):
        TermSets.read_gmt(path)
    path.write_text("a\tsource\tA\tB\n")
    assert TermSets.read_gmt(path).sets == {"a": {"A", "B"}}


def test_no_genes_at_all():
    with pytest.raises(InputError, match="no genes in the gene sets"):
        TermSets({"a": []})


def test_gene_ontology(mirror):
    sets = TermSets.go()
    assert len(sets.sets) == 6036
    assert TermSets.go() is sets
    best = sets.enrich(["MLH1", "MSH2", "MSH6", "PMS2"], top=1)[0]
    assert best.name == "mismatch repair (GO:0006298)"
