"""Other ways to make cells of an embedding of genes, by their short names."""

import anndata
import numpy as np
import pandas as pd
import pytest

from bftembed.bench import NotApplicableError, get_source
from bftembed.bench.sources.of_genes import cells_of_genes
from bftembed.errors import InputError


def cells(**columns):
    values = np.random.default_rng(0).gamma(0.6, 1.0, size=(60, 20)).astype(np.float32)
    obs = pd.DataFrame(columns, index=[f"c{i}" for i in range(60)])
    return anndata.AnnData(values, obs=obs, var=pd.DataFrame(index=[f"G{i}" for i in range(20)]))


@pytest.mark.parametrize("recipe", ["mean", "batchwise"])
def test_an_embedding_whose_cells_are_made_in_another_way(recipe):
    adata = cells(batch=["x", "y"] * 30)
    source, plain = get_source(f"{recipe}:random"), get_source("random")
    names = list(adata.var_names)
    np.testing.assert_array_equal(source.genes(names), plain.genes(names))
    np.testing.assert_array_equal(source.drugs(["aspirin"]), plain.drugs(["aspirin"]))
    found = source.cells(adata)
    assert found.recipe == recipe
    assert found.genes_used.all()
    np.testing.assert_array_equal(found.matrix, cells_of_genes(adata, plain.genes(names), recipe=recipe))
    assert not np.allclose(found.matrix, plain.cells(adata).matrix)


def test_descriptions_of_all_ways_differ():
    described = [str(get_source(spec).describe()) for spec in ("random", "mean:random", "batchwise:random", "mean:hpa")]
    assert len(set(described)) == 4
    assert get_source("x=mean:random").label == "x"
    assert get_source("mean:random").label == "mean:random"


def test_what_is_within_is_checked_and_encoded_as_by_itself(tmp_path):
    with pytest.raises(InputError, match=r"`randon` is no embedding\. Did you mean `random`\?"):
        get_source("mean:randon")
    with pytest.raises(InputError, match="write `mean:EMBEDDING`"):
        get_source("mean")
    with pytest.raises(InputError, match="There is no file"):
        get_source(f"mean:file:{tmp_path}/no.csv").check()
    encoder = object()
    assert get_source("mean:text:refseq", encoder=encoder).source.encoder is encoder


def test_what_has_no_genes_or_no_batches_is_not_applicable():
    with pytest.raises(NotApplicableError, match="`pca` has no embedding of genes"):
        get_source("mean:pca").cells(cells())
    for columns in ({}, {"batch": ["x"] * 60}):
        with pytest.raises(NotApplicableError, match="`batchwise:random` has nothing to do: the cells have no batches"):
            get_source("batchwise:random").cells(cells(**columns))


def test_the_vectors_of_all_genes_are_those_of_what_is_within(tmp_path, mirror):
    path = tmp_path / "e.csv"
    path.write_text("gene,d0,d1\nTP53,1,2\nP53,3,4\nBRCA1,5,6\nnothing,7,8\nKRT5,,\n")
    for spec in (f"file:{path}", f"mean:file:{path}"):  # each gene once, and only genes
        np.testing.assert_array_equal(get_source(spec).all_genes(), [[1, 2], [5, 6]])
    assert get_source("mean:random").all_genes() is None
