import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bftembed.bench import Answer
from bftembed.bench.language.gene_set_names.answers import another_name, answer_counts, random_genes, read_answer
from bftembed.bench.language.gene_set_names.sets import GeneSet


def test_what_is_no_answer_has_no_name_and_is_counted():
    answers = [
        Answer("1", text="Process: DNA repair\nConfidence: 0.5"),
        Answer("2", "cut", text="Process: DNA repair\nThe genes"),
        Answer("3", "cut", text="\nProcess: regulation of"),
        Answer("4", "too_long"),
        Answer("5", text="Process: System of unrelated proteins"),
    ]
    named = [read_answer(answer) for answer in answers]
    assert [each.name for each in named] == ["DNA repair", "DNA repair", "none", "none", "System of unrelated proteins"]
    assert answer_counts(answers, named) == {
        "sets": 5,
        "too long": 1,
        "cut": 2,
        "without a name": 2,
        "without a confidence": 4,
        "called unrelated": 1,
    }


def test_random_genes_are_as_many_others_and_always_the_same():
    pool = [f"G{i}" for i in range(30)]
    given_set = GeneSet("GO:1", "x", tuple(pool[:10]))
    drawn = random_genes(given_set, pool)
    assert len(set(drawn)) == 10
    assert set(drawn).isdisjoint(given_set.genes)
    assert drawn == random_genes(given_set, pool)
    assert drawn != random_genes(given_set._replace(id="GO:2"), pool)
    assert len(random_genes(given_set, pool[:13])) == 3


@given(st.lists(st.text("abc", min_size=1), min_size=2, unique=True))
def test_another_name_is_that_of_another_set(names):
    others = another_name(names)
    assert sorted(others) == sorted(names)
    assert not np.any(np.array(others) == np.array(names))
