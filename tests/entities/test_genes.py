import pytest

from bftembed.entities import canonical, gene_entities, gene_set_entities
from bftembed.errors import InputError


def test_canonical_symbols_are_none_where_a_name_is_unknown(mirror):
    assert canonical(["p53", "ENSG00000141510.5", "NOT-A-GENE"]).tolist() == ["TP53", "TP53", None]


def test_facts_are_auto_or_none():
    with pytest.raises(InputError, match="'auto' or 'none'"):
        gene_entities(["TP53"], facts="some")


def test_gene_sets_are_mappings():
    entities, _ = gene_set_entities({"T cell receptor": ["CD3E", "CD3D"]})
    assert entities[0].facts["genes"] == "CD3E, CD3D"
    with pytest.raises(InputError, match="mapping"):
        gene_set_entities(["CD3E"])
