import numpy as np
import pandas as pd
import pytest

from bftembed.errors import InputError
from bftembed.genes.orthologs import map_orthologs, ortholog_pairs


def test_tables_and_mappings_are_read_alike():
    frame = pd.DataFrame(
        {"human": ["TP53", "A", "B", None], "mouse": ["Trp53", "Ab", "Ab", "Gm1"], "score": [1, 2, 3, 4]}
    )
    mapping = {"Trp53": "TP53", "Ab": ("A", "B"), "Gm1": []}
    pd.testing.assert_frame_equal(ortholog_pairs(frame), ortholog_pairs(mapping))


def test_versions_of_ids_are_stripped():
    assert ortholog_pairs({"ENSMUSG00000059552.14": "TP53"})["mouse"].tolist() == ["ENSMUSG00000059552"]


def test_other_columns_are_refused():
    with pytest.raises(InputError, match=r"columns 'mouse' and 'human'; it has \['a', 'b'\]"):
        ortholog_pairs(pd.DataFrame({"a": ["Trp53"], "b": ["TP53"]}))


@pytest.mark.parametrize("empty", [{}, {"Trp53": []}, pd.DataFrame({"mouse": [None], "human": ["TP53"]})])
def test_a_table_without_a_pair_is_refused(empty):
    with pytest.raises(InputError, match="holds no pair"):
        ortholog_pairs(empty)


def test_without_a_gene_table_human_names_are_taken_as_they_are():
    names = np.array(["Trp53", "March1", "Gm1"], dtype=object)
    found = map_orthologs(names, {"Trp53": "TP53", "March1": "MARCH1"}, None)
    assert found.tolist() == ["TP53", "MARCH1", None]


def test_two_outdated_names_of_one_human_gene_are_one_ortholog(toy):
    found = map_orthologs(np.array(["Firrm"], dtype=object), {"Firrm": ["FIRRM", "C1orf112"]}, toy)
    assert found.tolist() == ["FIRRM"]


def test_orthologs_that_the_gene_table_does_not_know_are_no_answer(toy):
    assert map_orthologs(np.array(["Xyz"], dtype=object), {"Xyz": "XYZ", "Cd4": "CD4"}, toy).tolist() == [None]
    assert map_orthologs(np.array(["Xyz"], dtype=object), {"Xyz": "XYZ"}, toy).tolist() == [None]


def test_mouse_symbols_that_case_alone_tells_apart_are_not_guessed(toy):
    orthologs = {"Cad": "CAD", "cad": "CD4"}
    assert map_orthologs(np.array(["Cad", "cad", "CAD"], dtype=object), orthologs, toy).tolist() == ["CAD", "CD4", None]


@pytest.mark.parametrize(("given", "message"), [("o.csv", r"is a path: .*read_csv\('o\.csv'\)"), (3, "got int")])
def test_what_is_no_table_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        ortholog_pairs(given)
