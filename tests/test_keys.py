import anndata
import numpy as np
import pytest

import bftembed as bft
from bftembed._keys import with_provenance
from bftembed.errors import InputError


@pytest.mark.parametrize("key", ["", " ", "a/b", ".", "a\0", None])
def test_keys_that_files_cannot_hold_are_refused_before_any_work(key):
    adata = anndata.AnnData(np.ones((1, 1), dtype=np.float32))
    calls = [
        lambda: bft.tl.embed_genes(adata, key_added=key, profiles={}),
        lambda: bft.tl.embed_cells(adata, key_added=key),
        lambda: bft.embed(["A"], key_added=key, profiles={}),
        lambda: bft.tl.embed_perturbations(["A"], key_added=key, profiles={}),
    ]
    for call in calls:
        with pytest.raises(InputError, match="without `/`"):
            call()
    assert not adata.uns


def test_whatever_an_engine_says_of_itself_can_be_written(tmp_path):
    info = {
        "path": tmp_path,
        "stop": ("a", 1),
        "none": None,
        "numbers": (1, 2.5),
        "nested": {3: [[1], ["b"]], "empty": ()},
        "set": {"x"},
        "flags": [True, False],
        "array": np.arange(3),
    }
    adata = anndata.AnnData(np.ones((1, 1), dtype=np.float32))
    adata.uns["bft"] = with_provenance({}, "X_bft", "genes", info)
    adata.write_h5ad(tmp_path / "x.h5ad")
    found = anndata.read_h5ad(tmp_path / "x.h5ad").uns["bft"]["X_bft"]["genes"]
    assert found["path"] == str(tmp_path)
    assert list(found["stop"]) == ["a", "1"]
    assert found["numbers"].tolist() == [1, 2.5]
    assert list(found["nested"]["3"]) == ["[1]", "['b']"]
    assert found["flags"].tolist() == [True, False]
    assert found["array"].tolist() == [0, 1, 2]


def test_a_view_of_a_backed_anndata_is_refused_before_any_work(tmp_path):
    adata = anndata.AnnData(np.ones((2, 1), dtype=np.float32), uns={"bft": {}})
    adata.write_h5ad(tmp_path / "cells.h5ad")
    view = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")[:1]
    calls = [
        lambda: bft.tl.embed_genes(view),
        lambda: bft.tl.embed_cells(view),
        lambda: bft.tl.embed_cell_profiles(view),
        lambda: bft.tl.score_text(view, "T cell"),
        lambda: bft.tl.annotate(view, ["T cell", "B cell"]),
    ]
    for call in calls:
        with pytest.raises(InputError, match="view of a backed AnnData"):
            call()
