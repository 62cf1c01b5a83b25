import pytest

from bftembed.entities import entities_of
from bftembed.errors import InputError


def test_aliases_become_symbols_with_their_facts(mirror):
    entities, used = entities_of(["p53", "NOT-A-GENE"], kind="gene", facts="auto", check=False)
    assert [entity.id for entity in entities] == ["TP53", "NOT-A-GENE"]
    assert entities[0].facts["full_name"] == "tumor protein p53"
    assert used.startswith("sha256:")


def test_unknown_kinds_are_refused():
    with pytest.raises(InputError, match="'perturbation' or 'gene_set', got 'cells'"):
        entities_of(["A"], kind="cells", facts="none")
