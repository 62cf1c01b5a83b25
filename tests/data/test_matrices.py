import gzip
import warnings

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse as sp

from bftembed.data._matrices import cells_by_genes, read_h5ad, read_mtx, read_npz
from bftembed.errors import DataError

CELLS_BY_GENES = np.array([[0, 2, 0], [1, 0, 5]])


@pytest.fixture
def directory(tmp_path):
    scipy.io.mmwrite(tmp_path / "matrix.mtx", sp.coo_matrix(CELLS_BY_GENES.T))
    (tmp_path / "features.tsv").write_text("ENSG1\tTP53\tGene\nENSG2\tNA\tGene\nENSG3\tA1BG\tGene\n")
    (tmp_path / "barcodes.tsv").write_text("AAA-1\nCCC-1\n")
    return tmp_path


def test_mtx_of_genes_by_cells(directory):
    adata = read_mtx(directory / "matrix.mtx", features="features.tsv", barcodes="barcodes.tsv")
    assert isinstance(adata.X, sp.csr_matrix)
    np.testing.assert_array_equal(adata.X.toarray(), CELLS_BY_GENES)
    assert adata.var_names.tolist() == ["ENSG1", "ENSG2", "ENSG3"]
    assert adata.var["column_1"].tolist() == ["TP53", "NA", "A1BG"]
    assert adata.obs_names.tolist() == ["AAA-1", "CCC-1"]


def test_mtx_gzipped_and_without_names(directory):
    path = directory / "matrix.mtx"
    zipped = path.with_suffix(".mtx.gz")
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    adata = read_mtx(zipped, cells_in_rows=True)
    np.testing.assert_array_equal(adata.X.toarray(), CELLS_BY_GENES.T)


def test_mtx_with_names_of_another_number(directory):
    with pytest.raises(DataError, match=r"holds 3 genes, but barcodes\.tsv beside it names 2"):
        read_mtx(directory / "matrix.mtx", features="barcodes.tsv")


@pytest.mark.parametrize("name", ["../features.tsv", "/etc/passwd", "a/b"])
def test_mtx_reads_names_from_its_own_directory_only(directory, name):
    with pytest.raises(DataError, match="must be the name of a file beside"):
        read_mtx(directory / "matrix.mtx", features=name)


def test_npz(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, a=np.arange(3), b=np.eye(2, dtype=np.float32))
    arrays = read_npz(path)
    np.testing.assert_array_equal(arrays["a"], [0, 1, 2])
    assert arrays["b"].dtype == np.float32


def test_npz_with_a_pickle_inside_is_refused(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read_npz(path)


def test_h5ad(tmp_path):
    path = tmp_path / "x.h5ad"
    anndata.AnnData(sp.csr_matrix(CELLS_BY_GENES.astype("float32"))).write_h5ad(path)
    np.testing.assert_array_equal(read_h5ad(path).X.toarray(), CELLS_BY_GENES)
    backed = read_h5ad(path, backed="r")
    assert backed.isbacked
    backed.file.close()


def test_repeated_names_are_kept_without_a_warning_but_others_come_through():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adata = cells_by_genes(sp.csr_matrix(CELLS_BY_GENES), obs=["a", "a"], var=["x", "x", "y"])
    assert adata.var_names.tolist() == ["x", "x", "y"]
    with pytest.warns(UserWarning, match="Transforming to str index"):
        cells_by_genes(sp.csr_matrix(CELLS_BY_GENES), obs=None, var=pd.DataFrame(index=[1, 2, 3]))
