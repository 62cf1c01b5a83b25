import json
import os

import anndata
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import load_file

import bftembed as bft
from bftembed._unicode import writable
from bftembed.errors import BftembedWarning, DataError, InputError
from bftembed.vectors import read_table

SUFFIXES = [".csv", ".parquet", ".vec", ".npz", ".safetensors"]
MATRIX = np.array([[0.1, -2], [3e-38, 1 / 3], [np.nan, np.nan]], dtype=np.float32)


@pytest.fixture
def embedded():
    columns = {"ensembl": ["ENSG1", "", "ENSG3"], "entrez": ["1", "2", "3"], "approved": [True, False, True]}
    obs = pd.DataFrame(columns, index=["TP53", "ALB", "GONE"])
    made = anndata.AnnData(MATRIX.copy(), obs=obs, obsm={"X_bft": MATRIX.copy()})
    info = {"kind": "gene", "coverage": {"genes": 3}, "n_split": np.int64(1), "sources": ["HGNC. Licence: MIT."]}
    made.uns["bft"] = {"X_bft": {"entities": info}}
    return made


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr", ".parquet"])
def test_tables_are_read_from_files_of_an_anndata_or_of_vectors(embedded, tmp_path, suffix):
    path = tmp_path / f"table{suffix}"
    if suffix == ".parquet":
        bft.write_vectors(embedded, path)
    else:
        embedded.write_h5ad(path) if suffix == ".h5ad" else embedded.write_zarr(path)
    found = read_table(path, "table")[["TP53", "ALB"]]
    np.testing.assert_array_equal(found.obsm["X_bft"], MATRIX[:2])


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no file '.*gone.h5ad' of the vectors for `similarity`: check the path"):
        read_table(tmp_path / "gone.h5ad", "similarity")


def gensim_reads(path):
    """What gensim's `KeyedVectors.load_word2vec_format(path)` does: counts, then lines cut at single blanks."""
    with path.open("rb") as file:
        n, d = map(int, file.readline().decode("utf8").split())
        vectors = {}
        for _ in range(n):
            word, *weights = file.readline().rstrip().decode("utf8").split(" ")
            assert len(weights) == d
            assert word not in vectors
            vectors[word] = np.array(weights).astype(np.float32)
        assert file.read() == b""
    return vectors


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read_with_all_that_goes_along(embedded, suffix, tmp_path):
    bft.write_vectors(embedded, tmp_path / f"v{suffix}")
    found = bft.read_vectors(tmp_path / f"v{suffix}")
    assert found.obs_names.tolist() == ["TP53", "ALB"]
    np.testing.assert_array_equal(found.X, MATRIX[:2])
    np.testing.assert_array_equal(found.obsm["X_bft"], MATRIX[:2])
    assert found.obs.to_dict("list") == {"ensembl": ["ENSG1", ""], "entrez": ["1", "2"], "approved": [True, False]}
    entities = bft.get.provenance(found)["entities"]
    assert entities == {"kind": "gene", "coverage": {"genes": 3}, "n_split": 1, "sources": ["HGNC. Licence: MIT."]}
    found.write_h5ad(tmp_path / "again.h5ad")


def test_what_other_programs_find_in_the_files(embedded, tmp_path):
    for suffix in SUFFIXES:
        bft.write_vectors(embedded, tmp_path / f"v{suffix}")
    np.testing.assert_array_equal([*gensim_reads(tmp_path / "v.vec").values()], MATRIX[:2])
    assert pd.read_csv(tmp_path / "v.csv").columns.tolist() == ["name", "d0", "d1"]
    frame = pd.read_parquet(tmp_path / "v.parquet")
    assert frame.columns.tolist() == ["name", "ensembl", "entrez", "approved", "d0", "d1"]
    assert frame["d0"].dtype == np.float32
    about = json.loads(pq.read_schema(tmp_path / "v.parquet").metadata[b"bftembed"])
    assert about["provenance"]["entities"]["sources"] == ["HGNC. Licence: MIT."]
    assert json.loads((tmp_path / "v.vec.json").read_text())["columns"]["ensembl"] == ["ENSG1", ""]
    with np.load(tmp_path / "v.npz") as arrays_of:
        assert arrays_of["names"].tolist() == ["TP53", "ALB"]
        np.testing.assert_array_equal(arrays_of["matrix"], MATRIX[:2])
    np.testing.assert_array_equal(load_file(tmp_path / "v.safetensors")["vectors"], MATRIX[:2])


NAME = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6).map(str.strip).filter(bool)


@settings(max_examples=60)
@given(names=st.lists(NAME, min_size=1, max_size=5, unique=True), data=st.data())
@example(names=["T cells", "B\u2003cells", "\x85x", "a\rb", "é\u2028ß"], data=None)
def test_any_name_and_number_comes_back_from_word2vec_text(tmp_path_factory, names, data):
    path = tmp_path_factory.mktemp("any") / "v.vec"
    numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
    shape = len(names), 3
    matrix = np.ones(shape, np.float32) if data is None else data.draw(arrays(np.float32, shape, elements=numbers))
    names = ["g" + name for name in names]  # names that only count are refused by the reader
    clean = [writable(name) for name in names]
    flat = ["".join("_" if char.isspace() else char for char in name) for name in clean]
    if len(set(flat)) < len(flat) or len(set(clean)) < len(clean):
        with pytest.raises(InputError):
            bft.write_vectors(pd.DataFrame(matrix, index=names), path)
        return
    bft.write_vectors(pd.DataFrame(matrix, index=names), path)
    plain = gensim_reads(path)
    assert list(plain) == flat
    np.testing.assert_array_equal([*plain.values()], matrix)
    found = bft.read_vectors(path)
    assert found.obs_names.tolist() == clean
    np.testing.assert_array_equal(found.X, matrix)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz", ".safetensors"])
def test_the_other_formats_keep_blanks(suffix, tmp_path):
    names = ["T cells", "drug, 1\tµM", "nan", '"']
    bft.write_vectors(pd.DataFrame(np.ones((4, 2)), index=names), tmp_path / f"v{suffix}")
    assert bft.read_vectors(tmp_path / f"v{suffix}").obs_names.tolist() == names


def test_vectors_by_name(embedded):
    frame = bft.get.vectors(embedded)
    assert frame.index.tolist() == ["TP53", "ALB"]
    assert frame.columns.tolist() == ["d0", "d1"]
    np.testing.assert_array_equal(frame, MATRIX[:2])
    genes = anndata.AnnData(np.ones((2, 3), dtype=np.float32), varm={"X_bft": MATRIX}, obsm={"X_bft": MATRIX[:2]})
    assert len(bft.get.vectors(genes)) == 2
    assert bft.get.vectors(genes).index.tolist() == genes.var_names[:2].tolist()
    assert bft.get.vectors(genes, among="cells").index.tolist() == genes.obs_names.tolist()


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".parquet", ".csv"])
def test_rows_in_the_order_of_a_vocabulary(embedded, suffix, tmp_path):
    vocabulary = {"<pad>": 0, "ALB": 1, "GONE": 2, "TP53": 3}
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    bft.write_vectors(embedded, tmp_path / f"v{suffix}", vocabulary=tmp_path / "vocab.json")
    found = bft.read_vectors(tmp_path / f"v{suffix}")
    assert found.obs_names.tolist() == list(vocabulary)
    np.testing.assert_array_equal(found.X, [MATRIX[2], MATRIX[1], MATRIX[2], MATRIX[0]])


def test_an_embedding_layer_gets_a_matrix_and_a_mask(embedded, tmp_path):
    bft.write_vectors(embedded, tmp_path / "v.safetensors", vocabulary=["x", "TP53"])
    tensors = load_file(tmp_path / "v.safetensors")
    assert tensors["known"].tolist() == [False, True]
    np.testing.assert_array_equal(tensors["vectors"][1], MATRIX[0])
    with pytest.raises(InputError, match=r"no missing vectors.*\.safetensors"):
        bft.write_vectors(embedded, tmp_path / "v.vec", vocabulary=["x", "TP53"])


def test_what_cannot_be_written_is_said(embedded, tmp_path):
    with pytest.raises(InputError, match=r"must end in \.csv.*adata\.write_h5ad"):
        bft.write_vectors(embedded, tmp_path / "v.h5ad")
    with pytest.raises(InputError, match="no directory"):
        bft.write_vectors(embedded, tmp_path / "no" / "v.vec")
    with pytest.raises(InputError, match=r"ha(s|ve) no `X_other`"):
        bft.write_vectors(embedded, tmp_path / "v.vec", use_rep="X_other")
    with pytest.raises(InputError, match="'A' stands in several rows"):
        bft.write_vectors(pd.DataFrame(np.ones((2, 2)), index=["A", "A"]), tmp_path / "v.csv")
    with pytest.raises(InputError, match="two names become 'a_b'"):
        bft.write_vectors(pd.DataFrame(np.ones((2, 2)), index=["a b", "a_b"]), tmp_path / "v.vec")
    with pytest.raises(InputError, match="no vectors to write"):
        bft.write_vectors(embedded[2:].copy(), tmp_path / "v.vec")
    with pytest.raises(InputError, match="numbers in all columns"):
        bft.write_vectors(pd.DataFrame({"a": ["x"]}), tmp_path / "v.vec")
    (tmp_path / "v.csv").mkdir()
    with pytest.raises(DataError, match="cannot be written"):
        bft.write_vectors(embedded, tmp_path / "v.csv")


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_an_anndata_is_not_taken_for_a_file_of_vectors(embedded, suffix, tmp_path):
    getattr(embedded, f"write_{suffix[1:]}")(tmp_path / f"v{suffix}")
    with pytest.raises(DataError, match=rf"holds an AnnData.*anndata.read_{suffix[1:]}\(path\)"):
        bft.read_vectors(tmp_path / f"v{suffix}")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_all_files_are_read_by_those_who_read_a_new_file(embedded, tmp_path):
    (tmp_path / "plain").touch()
    for suffix in SUFFIXES:
        bft.write_vectors(embedded, tmp_path / f"v{suffix}")
        assert (tmp_path / f"v{suffix}").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("suffix", [".csv", ".vec"])
def test_what_stands_beside_other_names_is_left_out(embedded, suffix, tmp_path):
    """Another program wrote the file anew, with as many genes in another order."""
    path = tmp_path / f"v{suffix}"
    bft.write_vectors(embedded, path)
    header, *lines = path.read_text().splitlines()
    path.write_text("\n".join([header, *lines[::-1]]) + "\n")
    with pytest.warns(BftembedWarning, match=r"v\.(csv|vec)\.json` is of other names than"):
        found = bft.read_vectors(path)
    assert found.obs_names.tolist() == ["ALB", "TP53"]
    assert found.obs.columns.empty
    assert not bft.get.provenance(found)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.DataFrame([[1.0], [np.inf]], index=["A", "B"]), "A number of 'B' is infinite, or too large for float32"),
        (pd.DataFrame([[1.0], [1e300]], index=["A", "B"]), "A number of 'B' is infinite, or too large for float32"),
        (pd.DataFrame(np.ones((2, 2)), index=["0", "1"]), "which name no genes"),
        (pd.DataFrame(np.ones((2, 2)), index=["dim_1", "dim_2"]), "which name no genes"),
    ],
)
def test_what_would_not_be_read_is_not_written(table, message, suffix, tmp_path):
    with pytest.raises(InputError, match=message):
        bft.write_vectors(table, tmp_path / f"v{suffix}")
    assert not list(tmp_path.iterdir())


def test_a_carriage_return_in_a_name_comes_back_from_csv(tmp_path):
    bft.write_vectors(pd.DataFrame(np.ones((2, 2)), index=["a\rb", "c"]), tmp_path / "v.csv")
    assert bft.read_vectors(tmp_path / "v.csv").obs_names.tolist() == ["a\rb", "c"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_is_said(suffix, tmp_path, small_files):
    with pytest.raises(DataError, match=r"cannot be written .*Free space"), small_files(2000):
        bft.write_vectors(pd.DataFrame(np.ones((500, 9)), index=[f"g{i}" for i in range(500)]), tmp_path / f"v{suffix}")
    assert not list(tmp_path.iterdir())


def test_an_array_has_no_names(tmp_path):
    with pytest.raises(InputError, match=r"^`vectors` is a ndarray: .*DataFrame\(vectors, index=names\)"):
        bft.write_vectors(np.ones((2, 2)), tmp_path / "x.csv")
