import bz2
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import rdata
from anndata import AnnData

from bftembed.data._rdata import RMatrix, _compressed_columns, _triplets, read_rda, read_rds
from bftembed.errors import DataError

SYMPHONY = "single_cell/symphony_pbmcs_{}_small.rda"


def _raw(path, name):
    """The slots of a sparse matrix as rdata gives them, without our constructors."""
    objects = rdata.conversion.convert(
        rdata.parser.parse_file(path), {name: lambda value, _: value}, default_encoding="utf-8"
    )
    return objects


def test_compressed_columns_are_genes_by_cells_in_r_and_cells_by_genes_here(mirror):
    path = mirror / SYMPHONY.format("exprs")
    raw = _raw(path, "dgCMatrix")["pbmcs_exprs_small"]
    dense = np.zeros(raw.Dim)
    for column in range(raw.Dim[1]):
        stored = slice(raw.p[column], raw.p[column + 1])
        dense[raw.i[stored], column] = raw.x[stored]

    adata = read_rda(path, anndata=True)
    assert isinstance(adata, AnnData)
    np.testing.assert_array_equal(adata.X.toarray(), dense.T)
    assert adata.X.format == "csr"
    assert adata.var_names.tolist() == list(raw.Dimnames[0])

    matrix = read_rda(path)
    assert isinstance(matrix, RMatrix)
    np.testing.assert_array_equal(matrix.matrix.toarray(), dense)
    assert matrix.column_names == adata.obs_names.tolist()


def test_triplets(mirror):
    path = mirror / "single_cell" / "bremsc_inhouse_Protein.rds"
    raw = _raw(path, "dgTMatrix")
    dense = np.zeros(raw.Dim)
    np.add.at(dense, (raw.i, raw.j), raw.x)
    adata = read_rds(path, anndata=True)
    np.testing.assert_array_equal(adata.X.toarray(), dense.T)
    assert adata.var_names[1].startswith("CD4-")


def test_cells_of_the_matrix_are_those_of_its_table(mirror):
    cells = read_rda(mirror / SYMPHONY.format("meta"))
    adata = read_rda(mirror / SYMPHONY.format("exprs"), anndata=True)
    assert adata.obs_names.tolist() == cells["cell_id"].tolist()
    lyz = pd.Series(adata[:, "LYZ"].X.toarray().ravel(), index=cells.index)
    assert lyz.groupby(cells["cell_type_broad"]).mean().idxmax() == "Mono"


def test_several_objects_or_the_one_that_is_named(mirror):
    path = mirror / "single_cell" / "harmony_pbmc_stim.RData"
    both = read_rda(path, anndata=True)
    assert {name: adata.shape for name, adata in both.items()} == {"pbmc.stim": (1000, 9015), "pbmc.ctrl": (1000, 9015)}
    counts = read_rda(path, object="pbmc.ctrl", anndata=True).X
    assert (counts.data == np.round(counts.data)).all()
    with pytest.raises(DataError, match=r"has no object 'x'; it has pbmc\.stim, pbmc\.ctrl"):
        read_rda(path, object="x")


def test_matrix_without_names():
    slots = {
        "x": np.array([1.0, 2.0, 3.0]),
        "i": np.array([0, 1, 1]),
        "Dim": np.array([2, 2]),
        "Dimnames": [None, None],
    }
    compressed = _compressed_columns(SimpleNamespace(p=np.array([0, 1, 3]), **slots), {})
    np.testing.assert_array_equal(compressed.matrix.toarray(), [[1, 0], [0, 5]])
    repeated = _triplets(SimpleNamespace(j=np.array([0, 1, 1]), **slots), {})
    np.testing.assert_array_equal(repeated.matrix.toarray(), [[1, 0], [0, 5]])
    assert compressed[1:] == repeated[1:] == (None, None)


def test_data_frames_have_plain_names_and_count_from_zero(tmp_path):
    frame = pd.DataFrame({"gène": ["TP53", "NA", None], "n": [1, 2, 3]})
    path = tmp_path / "x.rds"
    rdata.write_rds(path, frame.set_axis(pd.RangeIndex(1, 4)))
    read = read_rds(path)
    assert [type(name) for name in read.columns] == [str, str]
    assert read["gène"].tolist()[:2] == ["TP53", "NA"]
    assert read["gène"].isna().tolist() == [False, False, True]
    pd.testing.assert_index_equal(read.index, pd.RangeIndex(3))


def test_same_as_rdata_but_for_how_strings_are_held(mirror):
    path = mirror / SYMPHONY.format("meta")
    pd.testing.assert_frame_equal(read_rda(path), rdata.read_rda(path)["pbmcs_meta_small"], check_column_type=False)


def test_rows_keep_their_names(mirror):
    assert read_rda(mirror / SYMPHONY.format("meta")).index[0] == 17642


def test_text_of_old_files_is_utf_8(tmp_path):
    """Version 2 of the format does not say in which encoding a file is; strings without a mark are taken for UTF-8."""
    name, text = b"x", "Sjögren".encode()
    words = [b"RDX2\nX\n", _int(2), _int(0x30400), _int(0x20300), _int(0x402), _int(1), _int(0x40009), _int(1), name]
    words += [_int(16), _int(1), _int(9), _int(len(text)), text, _int(254)]
    path = tmp_path / "x.rda"
    path.write_bytes(bz2.compress(b"".join(words)))
    assert read_rda(path).tolist() == ["Sjögren"]


def _int(value):
    return value.to_bytes(4, "big")
