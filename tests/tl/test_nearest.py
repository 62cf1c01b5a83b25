import numpy as np
import pytest

import bftembed as bft
from bftembed.encoders import get_encoder
from bftembed.errors import InputError

TEXTS = {
    "CD3E": "A subunit of the T cell receptor complex.",
    "CD3D": "Another subunit of the T cell receptor complex.",
    "ALB": "Albumin, the main protein of blood plasma, made by the liver.",
    "APOA1": "A lipoprotein of blood plasma made by the liver.",
}


@pytest.fixture(scope="module")
def genes():
    return bft.embed([*TEXTS, "NONE"], facts="none", profiles=TEXTS)


def test_neighbours_of_a_name_are_ranked_by_cosine(genes):
    found = bft.tl.nearest(genes, "CD3E", n=3)
    assert found["name"].tolist()[0] == "CD3D"
    matrix = genes.X[:4].astype(float)
    expected = matrix @ matrix[0] / np.linalg.norm(matrix, axis=1) / np.linalg.norm(matrix[0])
    assert found["similarity"].iloc[0] == pytest.approx(expected[1], abs=1e-5)
    assert found["similarity"].is_monotonic_decreasing
    assert "NONE" not in set(bft.tl.nearest(genes, "CD3E", n=10)["name"])


def test_a_free_text_goes_through_the_encoder_of_the_embedding(genes):
    found = bft.tl.nearest(genes, "proteins in blood plasma")
    assert set(found["name"][:2]) == {"ALB", "APOA1"}
    vector = get_encoder().encode(["proteins in blood plasma"])[0][0]
    row = genes.X[genes.obs_names.get_loc(found["name"][0])]
    assert found["similarity"][0] == pytest.approx(float(row @ vector), abs=1e-5)


def test_genes_and_cells_of_one_adata(genes):
    import anndata

    adata = anndata.AnnData(np.array([[5, 4, 0, 0], [0, 0, 3, 6]], dtype=np.float32))
    adata.obs_names, adata.var_names = ["t cell", "liver cell"], list(TEXTS)
    adata.varm["X_bft"] = genes.X[:4]
    bft.tl.embed_cells(adata)
    assert bft.tl.nearest(adata, "CD3E", among="cells")["name"].tolist() == ["t cell", "liver cell"]
    assert bft.tl.nearest(adata, "liver cell", among="genes", n=2)["name"].isin(["ALB", "APOA1"]).all()
    with pytest.raises(InputError, match="pass the `encoder`"):
        bft.tl.nearest(adata, "free text")
    assert len(bft.tl.nearest(adata, "free text", encoder="default")) == 4


def test_missing_embedding_and_other_encoder_are_named(genes):
    with pytest.raises(InputError, match="embed_cells first"):
        bft.tl.nearest(genes, "CD3E", key="X_other")
    with pytest.raises(InputError, match="'genes' or 'cells'"):
        bft.tl.nearest(genes, "CD3E", among="rows")
    other = genes.copy()
    other.uns["bft"]["X_bft"]["entities"]["encoder"]["revision"] = "sha256:0"
    with pytest.raises(InputError, match="is not the one that made"):
        bft.tl.nearest(other, "free text")
