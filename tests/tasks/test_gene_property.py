"""Every task of the family loads, says what it left out, and has the classes that the data are known to have."""

import pytest

from bftembed.bench import find_tasks

TASKS = {task.name.partition(".")[2]: task for task in find_tasks(names=["gene_property"])}


@pytest.mark.parametrize("name", ["dosage", "bivalent_no_methyl", "bivalent_lys4", "tf_range", "tf", "essential"])
def test_a_binary_task(mirror, name):
    problem = TASKS[name].load(False)
    assert problem.target == "binary"
    n, positive = len(problem.labels), int(problem.labels.sum())
    expected = {
        "dosage": (487, 122),
        "bivalent_no_methyl": (131, 94),
        "bivalent_lys4": (171, 95),
        "tf_range": (174, 46),
        "tf": (2757, 1636),
        "essential": (1608, 684),
    }[name]
    assert abs(n - expected[0]) <= 2
    assert abs(positive - expected[1]) <= 2
    assert problem.entities == sorted(set(problem.entities))


def test_classes_and_values(mirror):
    location = TASKS["location"].load(False)
    assert set(location.labels) == {"Cytoplasm", "Nucleus", "Cell membrane"}
    kinds = TASKS["gene_type"].load(False)
    assert set(kinds.labels) == {"protein coding", "lncRNA", "miRNA", "snRNA", "snoRNA", "rRNA", "pseudogene"}
    loeuf = TASKS["constraint"].load(False)
    assert loeuf.target == "value"
    assert loeuf.labels.min() > 0  # rows without an estimate hold 0 in the file
    assert loeuf.removed["rows without an estimate"] == 533


@pytest.mark.parametrize(("name", "positives"), [("kinases", 347), ("gpcrs", 391)])
def test_doubtful_genes_are_no_negatives(mirror, name, positives):
    problem = TASKS[name].load(False)
    assert abs(int(problem.labels.sum()) - positives) <= 3
    genes = set(problem.entities)
    assert "OR2A1" not in genes if name == "gpcrs" else "PIK3CA" not in genes
    assert any("that the list lacks" in reason and n > 100 for reason, n in problem.removed.items())


def test_terms(mirror):
    problem = TASKS["go_terms"].load(False)
    assert len(problem.terms) == 52
    assert problem.removed == {
        "terms with fewer than ten genes": 4,
        "labels of genes without a canonical name": 41,
    }
    assert min(term.labels.sum() for term in problem.terms.values()) >= 10


@pytest.mark.parametrize("name", TASKS)
def test_a_fast_run_is_small(mirror, name):
    problem = TASKS[name].load(True)
    assert 50 < len(problem.entities) <= (1300 if name == "go_terms" else 250)
    assert problem.n_repeats == 1
