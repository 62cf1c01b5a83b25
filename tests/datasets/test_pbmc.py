from bftembed.datasets import pbmc68k_reduced


def test_pbmc68k_reduced_comes_with_scanpy():
    adata = pbmc68k_reduced()
    assert adata.shape == (700, 765)
    assert adata.obs["bulk_labels"].nunique() == 10
    assert adata.X.min() < 0 <= adata.raw.X.min(), "scaled X, log-normalised raw"
