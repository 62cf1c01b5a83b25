"""No vectors, and vectors that were computed elsewhere."""

import anndata
import numpy as np
import pandas as pd
import pytest

import bftembed as bft
from bftembed.encoders import FileEncoder, KnownVectors, NoEncoder, encode_cached, get_encoder
from bftembed.errors import EncoderError, InputError

TEXTS = {"TP53": "A tumour suppressor, the NA of cancer.", "CD3E": "A part of the T cell receptor."}


@pytest.fixture(params=[".csv", ".parquet"])
def table(request, tmp_path):
    path = tmp_path / f"vectors{request.param}"
    frame = pd.DataFrame({"text": [*TEXTS.values(), "NA"], "a": [1.0, 2, 0], "b": [3.0, 4, 0]})
    frame.to_csv(path, index=False) if request.param == ".csv" else frame.to_parquet(path, index=False)
    return path


def test_texts_without_vectors(tmp_path):
    adata = bft.embed(list(TEXTS), profiles=TEXTS, encoder="none", facts="none")
    assert adata.obsm["X_bft"].shape == (2, 0)
    assert adata.obs["X_bft_text"].tolist() == list(TEXTS.values())
    adata.write_h5ad(tmp_path / "texts.h5ad")
    assert get_encoder("none").describe() == {"encoder": "none"}


def test_vectors_of_a_file_are_those_of_the_texts(table):
    adata = bft.embed(list(TEXTS), profiles=TEXTS, encoder=f"file:{table}", facts="none")
    np.testing.assert_array_equal(adata.obsm["X_bft"], [[1, 3], [2, 4]])


def test_nothing_of_either_goes_into_the_cache(table, tmp_path):
    for encoder in (FileEncoder(table), NoEncoder()):
        encode_cached(list(TEXTS.values()), encoder, cache=tmp_path / "cache.sqlite")
    assert not (tmp_path / "cache.sqlite").exists()


def test_the_contents_of_the_file_are_its_description(table):
    before = FileEncoder(table).describe()
    moved = table.rename(table.with_stem("other"))
    assert FileEncoder(moved).describe() == before
    frame = pd.DataFrame({"text": ["x"], "a": [1.0]})
    frame.to_csv(moved, index=False) if moved.suffix == ".csv" else frame.to_parquet(moved, index=False)
    assert FileEncoder(moved).describe() != before


def test_a_text_that_the_file_lacks_is_named(table):
    with pytest.raises(EncoderError, match=r"no vector of 1 of 2 texts, e\.g\. 'Unknown\.'"):
        FileEncoder(table).encode([TEXTS["TP53"], "Unknown."])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.csv", "name,a\nx,1\n", "no column `text`; it has name, a"),
        ("v.csv", "text,a\nx,much\n", "no table of a column"),
        ("v.csv", "text,a\nx,\n", "no table of a column"),
        ("v.csv", "text,a\nx,inf\n", "missing or infinite"),
        ("v.csv", "", "no table of a column"),
        ("v.parquet", "no parquet", "no table of a column"),
        ("v.npy", "", r"\.csv and \.parquet"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(EncoderError, match=message):
        FileEncoder(tmp_path / name)


def test_a_missing_file_and_incomplete_names_are_refused(tmp_path):
    with pytest.raises(EncoderError, match="No such file"):
        FileEncoder(tmp_path / "nothing.csv")
    for spec in ("none:x", "file", "file:"):
        with pytest.raises(InputError, match="is no encoder"):
            get_encoder(spec)


def test_cells_have_no_vectors_where_genes_have_none():
    adata = anndata.AnnData(np.ones((2, 2), dtype=np.float32), var=pd.DataFrame(index=list(TEXTS)))
    adata.varm["X_bft"] = np.empty((2, 0), dtype=np.float32)
    with pytest.raises(InputError, match=r"\(2, 0\): its texts were not encoded"):
        bft.tl.embed_cells(adata)


def test_known_vectors_stand_for_the_encoder_that_made_them():
    known = KnownVectors(["b", "a"], np.eye(2, dtype=np.float32), {"encoder": "mine", "weights": "0", "spec": "mine:x"})
    np.testing.assert_array_equal(known.encode(["a", "b", "a"])[0], [[0, 1], [1, 0], [0, 1]])
    assert known.describe() == {"encoder": "mine", "weights": "0"}
    assert known.record() == {"encoder": "mine", "weights": "0", "spec": "mine:x"}
    for texts, query in ((["c"], False), (["a"], True)):
        with pytest.raises(EncoderError, match="give the encoder that made them"):
            known.encode(texts, query=query)
