"""Tables of vectors: which row is a gene's, and arrays of AnnData files."""

import hashlib
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from bftembed.bench import get_source
from bftembed.bench.sources.tables import rows_by_gene
from bftembed.errors import InputError


def test_the_better_match_of_a_gene_wins(tmp_path, mirror, caplog):
    path = tmp_path / "e.csv"
    path.write_text("gene,d0\nP53,1\nTP53,2\ntp53,3\nSEPT1,4\nENSG00000180096,5\nBRCA1,6\nnothing,7\n")
    with caplog.at_level("INFO", logger="bftembed"):
        vectors = get_source(f"mine=file:{path}").genes(["TP53", "SEPTIN1", "BRCA1"])
    np.testing.assert_array_equal(vectors[:, 0], [2, 5, 6])  # an Ensembl id says more than a former symbol
    assert "`mine`: 3 rows are left out" in caplog.text


def test_an_approved_symbol_without_a_vector_leaves_the_gene_to_its_alias(tmp_path, mirror, caplog):
    path = tmp_path / "e.csv"
    path.write_text("gene,d0\nTP53,\nP53,1\nBRCA1,2\n")
    with caplog.at_level("INFO", logger="bftembed"):
        vectors = get_source(f"file:{path}").genes(["TP53", "BRCA1"])
    np.testing.assert_array_equal(vectors[:, 0], [1, 2])
    assert "left out" not in caplog.text


def test_names_without_gene_tables_and_no_names(monkeypatch):
    monkeypatch.setattr("bftembed.datasets._symbols.gene_table", lambda: None)
    assert rows_by_gene(["P53", "TP53", "P53"], "x") == {"P53": 0, "TP53": 1}
    assert rows_by_gene([], "x") == {}


def test_a_file_is_hashed_once_until_it_changes(tmp_path, monkeypatch):
    hashed = []
    real = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda file, name: hashed.append(file.name) or real(file, name))
    path = tmp_path / "e.csv"
    path.write_text("gene,d0\nTP53,1\n")
    (tmp_path / "scgpt").mkdir()
    (tmp_path / "scgpt" / "vocab.json").write_text("{}")
    sources = [get_source(f"file:{path}"), get_source(f"h5ad:{path}#varm/X"), get_source(f"scgpt:{tmp_path}/scgpt")]
    before = [[source.describe() for source in sources] for _ in range(3)]
    assert before[0] == before[1] == before[2]
    assert sorted(Path(name).name for name in hashed) == ["e.csv", "vocab.json"]
    path.write_text("gene,d0\nTP53,22\n")
    assert sources[0].describe()["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["my#1.h5ad", "a#varm/b.h5ad", "plain.h5ad"])
@pytest.mark.parametrize("key", ["X", "X#1"])
def test_files_and_arrays_with_a_hash_in_their_names(tmp_path, name, key):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    adata = anndata.AnnData(np.ones((1, 2), dtype=np.float32), var=pd.DataFrame(index=["TP53", "BRCA1"]))
    adata.varm[key] = np.array([[1, 2], [3, 4]], dtype=np.float32)
    adata.write_h5ad(path)
    np.testing.assert_array_equal(get_source(f"h5ad:{path}#varm/{key}").genes(["BRCA1"]), [[3, 4]])


@pytest.mark.parametrize("argument", ["varm/X", "#varm/X", "x.h5ad#layers/X", "x#1.h5ad"])
def test_what_names_no_array(argument):
    with pytest.raises(InputError, match="names no array"):
        get_source(f"h5ad:{argument}")


def test_random_vectors_of_texts_are_drawn_by_text():
    source = get_source("random")
    first, again = source.texts(["B cell", "T cell"]), source.texts(["T cell"])
    np.testing.assert_array_equal(first[1], again[0])
    assert not np.array_equal(first[1], source.genes(["T cell"])[0])
