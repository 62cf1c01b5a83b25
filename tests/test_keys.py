import anndata
import numpy as np
import pytest

import bftembed as bft
from bftembed.errors import InputError


@pytest.mark.parametrize("key", ["", " ", "a/b", None])
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
