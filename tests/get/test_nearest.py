import copy

import anndata
import numpy as np
import pytest

import bftembed as bft
from bftembed.encoders import get_encoder
from bftembed.errors import BftembedWarning, InputError

pytestmark = pytest.mark.filterwarnings("ignore:.*no text in .profiles")  # a name without a vector

TEXTS = {
    "CD3E": "A subunit of the T cell receptor complex.",
    "CD3D": "Another subunit of the T cell receptor complex.",
    "ALB": "Albumin, the main protein of blood plasma, made by the liver.",
    "APOA1": "A lipoprotein of blood plasma made by the liver.",
}
IDS = ["ENSG00000198851", "ENSG00000167286", "ENSG00000163631", "ENSG00000118137"]


@pytest.fixture(scope="module")
def rows():
    return bft.embed([*TEXTS, "NONE"], facts="none", profiles=TEXTS)


@pytest.fixture
def cells(rows):
    """Two cells, four genes with vectors and one without."""
    adata = anndata.AnnData(np.array([[5, 4, 0, 0, 1], [0, 0, 3, 6, 1]], dtype=np.float32))
    adata.obs_names, adata.var_names = ["t cell", "liver cell"], [*TEXTS, "GAPDH"]
    adata.varm["X_bft"] = rows.X
    adata.uns["bft"] = {"X_bft": {"genes": copy.deepcopy(rows.uns["bft"]["X_bft"]["entities"])}}
    bft.tl.embed_cells(adata)
    return adata


def test_neighbours_of_a_name_are_ranked_by_cosine(rows):
    found = bft.get.nearest(rows, "CD3E", n=3)
    assert found["name"].tolist()[0] == "CD3D"
    matrix = rows.X[:4].astype(float)
    expected = matrix @ matrix[0] / np.linalg.norm(matrix, axis=1) / np.linalg.norm(matrix[0])
    assert found["similarity"].iloc[0] == pytest.approx(expected[1], abs=1e-5)
    assert found["similarity"].is_monotonic_decreasing
    assert "NONE" not in set(bft.get.nearest(rows, "CD3E", n=10)["name"])


def test_a_free_text_goes_through_the_encoder_of_the_embedding(rows):
    found = bft.get.nearest(rows, "proteins in blood plasma")
    assert set(found["name"][:2]) == {"ALB", "APOA1"}
    vector = get_encoder().encode(["proteins in blood plasma"])[0][0]
    row = rows.X[rows.obs_names.get_loc(found["name"][0])]
    assert found["similarity"][0] == pytest.approx(float(row @ vector), abs=1e-5)


def test_a_free_text_gets_the_query_prompt_of_the_embedding():
    encoder = get_encoder("default", prompt="passage: ", query_prompt="query: ")
    rows = bft.embed([*TEXTS], facts="none", profiles=TEXTS, encoder=encoder)
    found = bft.get.nearest(rows, "proteins in blood plasma", n=1)
    vector = get_encoder().encode(["query: proteins in blood plasma"])[0][0]
    row = rows.X[rows.obs_names.get_loc(found["name"][0])]
    assert found["similarity"][0] == pytest.approx(float(row @ vector), abs=1e-5)


def test_genes_and_cells_of_one_adata(cells):
    assert bft.get.nearest(cells, "CD3E", among="cells")["name"].tolist() == ["t cell", "liver cell"]
    assert bft.get.nearest(cells, "liver cell", among="genes", n=2)["name"].isin(["ALB", "APOA1"]).all()
    assert len(bft.get.nearest(cells, "liver cell", among="cells")) == 1


def test_an_embedding_of_an_encoder_object_needs_it_for_texts(cells):
    cells.uns["bft"]["X_bft"]["genes"]["encoder"]["spec"] = ""
    with pytest.raises(InputError, match="pass the `encoder`"):
        bft.get.nearest(cells, "free text")
    assert len(bft.get.nearest(cells, "free text", encoder="default")) == 4


@pytest.mark.parametrize("column", ["bft_gene", "symbol"])
def test_the_gene_asked_for_is_left_out_under_any_of_its_names(cells, column):
    cells.var[column] = cells.var_names
    cells.var_names = [*IDS, "ENSG00000111640"]
    options = {} if column == "bft_gene" else {"gene_symbols": "symbol"}
    found = bft.get.nearest(cells, "CD3E", **options)
    assert found["name"].tolist()[0] == ("ENSG00000167286" if column == "bft_gene" else "CD3D")
    assert len(found) == 3
    assert bft.get.nearest(cells, IDS[0], **options).equals(found)


def test_several_queries_make_one_frame(rows):
    found = bft.get.nearest(rows, ["CD3E", "proteins in blood plasma", "ALB", "made by the liver"], n=2)
    assert found.columns.tolist() == ["query", "name", "similarity"]
    assert found["query"].tolist() == sorted(found["query"], key=list(dict.fromkeys(found["query"])).index)
    for query, frame in found.groupby("query"):
        alone = bft.get.nearest(rows, query, n=2)
        assert frame["name"].tolist() == alone["name"].tolist()
        np.testing.assert_allclose(frame["similarity"], alone["similarity"], atol=1e-6)


@pytest.mark.parametrize("query", ["GAPDH", "NONE"])
def test_a_gene_without_a_vector_is_no_free_text(cells, rows, query):
    adata = cells if query == "GAPDH" else rows
    with pytest.raises(InputError, match=rf"`{query}` is a .* here, and has no vector"):
        bft.get.nearest(adata, query)
    assert len(bft.get.nearest(adata, query, query_type="text")) == 4


@pytest.mark.parametrize(("query", "meant"), [("CD3Dd", "CD3D"), ("APOA-1", "APOA1")])
def test_a_misspelt_gene_is_no_free_text(cells, query, meant):
    with pytest.raises(InputError, match=f"`{query}` is no name .* Did you mean `{meant}`"):
        bft.get.nearest(cells, query)
    assert len(bft.get.nearest(cells, query, query_type="text")) == 4


def test_a_text_that_may_be_meant_as_a_name_is_read_with_a_warning(cells):
    with pytest.warns(BftembedWarning, match="`XKLF9` is no name here and is read as free text"):
        bft.get.nearest(cells, "XKLF9")
    with pytest.warns(BftembedWarning, match="Did you mean `liver cell`"):
        bft.get.nearest(cells, "livr cell")
    for text in ("monocyte", "T cell receptor", "insulin secretion in pancreas"):
        assert len(bft.get.nearest(cells, text)) == 4


def test_one_reading_can_be_forced(cells):
    cells.obs_names = ["CD3E", "x"]
    assert len(bft.get.nearest(cells, "CD3E", among="cells", query_type="cell")) == 1
    assert len(bft.get.nearest(cells, "CD3E", among="cells", query_type="gene")) == 2
    as_text = bft.get.nearest(cells, "CD3E", query_type="text")
    assert "CD3E" in set(as_text["name"])
    with pytest.raises(InputError, match=r"`CD3Dd` is no gene here\. Did you mean `CD3D`"):
        bft.get.nearest(cells, "CD3Dd", query_type="gene")
    with pytest.raises(InputError, match="`ALB` is no cell here"):
        bft.get.nearest(cells, "ALB", query_type="cell")


def test_bad_arguments_are_named(rows):
    with pytest.raises(InputError, match=r"no `X_bfd`: they have X_bft\. Did you mean `X_bft`\?"):
        bft.get.nearest(rows, "CD3E", use_rep="X_bfd")
    with pytest.raises(InputError, match=r"no `X_bft`: it is empty\. `bft\.tl\.embed_genes`"):
        bft.get.nearest(anndata.AnnData(np.ones((1, 1))), "CD3E", among="genes")
    with pytest.raises(InputError, match="n=-1 must be at least 1"):
        bft.get.nearest(rows, "CD3E", n=-1)
    with pytest.raises(InputError, match="'genes' or 'cells'"):
        bft.get.nearest(rows, "CD3E", among="rows")
    with pytest.raises(InputError, match="'gene', 'cell' or 'text'"):
        bft.get.nearest(rows, "CD3E", query_type="name")
    with pytest.raises(InputError, match="no column `symbol`"):
        bft.get.nearest(rows, "CD3E", gene_symbols="symbol")
    for query in ([], [""], "  ", 3):
        with pytest.raises((InputError, TypeError)):
            bft.get.nearest(rows, query)
    other = rows.copy()
    other.uns["bft"]["X_bft"]["entities"]["encoder"]["weights"] = "sha256:0"
    with pytest.raises(InputError, match="is not the one that made"):
        bft.get.nearest(other, "free text")


def test_a_gene_that_is_not_there_is_no_text_and_has_no_look_alike(mirror, cells, rows):
    cells.var_names = [*TEXTS, "CSTB"]
    for adata in (cells, rows):
        with pytest.raises(InputError, match=r"^`ACTB` is a gene, but not one of this AnnData .*its letters\)\.$"):
            bft.get.nearest(adata, "ACTB")
        assert len(bft.get.nearest(adata, "ACTB", query_type="text")) == 4
    with pytest.raises(InputError, match="`ACTB` is a gene, but not one"):
        bft.get.nearest(cells, "ACTB", query_type="gene")


def test_a_text_that_ranks_cells_made_of_genes_is_warned_of(cells):
    with pytest.warns(BftembedWarning, match=r"`monocyte` is a free text.*bft\.tl\.score_text"):
        bft.get.nearest(cells, ["CD3E", "monocyte"], among="cells")


def test_an_anndata_without_an_embedding_is_told_how_to_make_one():
    bare = anndata.AnnData(np.ones((2, 2), dtype=np.float32))
    calls = (bft.pl.gene_map, bft.get.vectors, bft.get.provenance, bft.get.methods, bft.get.profiles)
    for call in (*calls, lambda adata: bft.get.nearest(adata, "CD3E"), lambda adata: bft.pl.query(adata, "liver")):
        with pytest.raises(InputError, match=r"`bft\.tl\.embed_genes` \(or `bftembed embed`\) makes one\."):
            call(bare)


def test_another_name_of_a_gene_stands_for_its_symbol(rows, monkeypatch, caplog):
    known = {"T3E": "CD3E", "p3d": "CD3D", "XX1": "NOT-HERE", "T3": None}
    monkeypatch.setattr("bftembed.get._nearest.canonical", lambda names: [known.get(name) for name in names])
    with caplog.at_level("INFO", logger="bftembed"):
        found = bft.get.nearest(rows, "T3E", n=3)
    assert "`T3E` is read as CD3E" in caplog.text
    assert found.equals(bft.get.nearest(rows, "CD3E", n=3))
    assert bft.get.nearest(rows, "p3d", n=1)["name"].tolist() == ["CD3E"]
    assert bft.get.nearest(rows, "T3E", n=1, query_type="text").shape == (1, 2)  # as asked
    with pytest.raises(InputError, match="`XX1` is no gene here"):
        bft.get.nearest(rows, "XX1", n=1, query_type="gene")


def test_texts_beside_the_names(rows, cells):
    found = bft.get.nearest(rows, ["CD3E", "liver"], n=2, with_text=True)
    assert found["text"].tolist() == [TEXTS[name] for name in found["name"]]
    with pytest.raises(InputError, match="X_bft_text"):
        bft.get.nearest(cells, "CD3E", with_text=True)
