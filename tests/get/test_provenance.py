import pytest

import bftembed as bft
from bftembed.errors import InputError

TEXTS = {"TP53": "Guards the genome.", "CD3E": "Part of the T cell receptor."}


def test_provenance_of_an_unknown_key_lists_the_known_ones():
    adata = bft.embed(list(TEXTS), facts="none", profiles=TEXTS, key_added="X_mine")
    assert bft.get.provenance(adata, "X_mine")["entities"]["n_embedded"] == 2
    with pytest.raises(InputError, match="embeddings there: X_mine"):
        bft.get.provenance(adata)


def test_scores_are_no_embedding():
    adata = bft.embed(list(TEXTS), facts="none", profiles=TEXTS)
    adata.uns["bft"]["text"] = {"scores": {}}
    with pytest.raises(InputError, match=r"embeddings there: X_bft\. Did you mean `X_bft`"):
        bft.get.provenance(adata, "X_bfd")


def test_it_prints_as_an_indented_list():
    adata = bft.embed(list(TEXTS), facts="none", profiles=TEXTS)
    found = bft.get.provenance(adata)
    shown = str(found).splitlines()
    assert shown[0] == "entities:"
    assert "  n_embedded: 2" in shown
    assert "    spec: default" in shown
    assert max(map(len, shown)) < 330
    assert found == adata.uns["bft"]["X_bft"]
