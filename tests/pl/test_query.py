import copy

import anndata
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

import bftembed as bft
from bftembed.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore:.*no text in .profiles")  # a name without a vector

mpl.use("Agg")
TEXTS = {
    "CD3E": "A subunit of the T cell receptor complex.",
    "CD3D": "Another subunit of the T cell receptor complex.",
    "CD8A": "A co-receptor of cytotoxic T cells.",
    "ALB": "Albumin, the main protein of blood plasma, made by the liver.",
    "APOA1": "A lipoprotein of blood plasma made by the liver.",
}


@pytest.fixture(scope="module")
def rows():
    return bft.embed([*TEXTS, "NONE"], facts="none", profiles=TEXTS)


@pytest.fixture
def cells(rows):
    """Twenty cells, half of which express the genes of the liver."""
    rng = np.random.default_rng(0)
    rates = np.repeat([[5, 5, 5, 0.2, 0.2, 2], [0.2, 0.2, 0.2, 5, 5, 2]], 10, axis=0)
    adata = anndata.AnnData(rng.poisson(rates).astype(np.float32))
    adata.var_names = rows.obs_names
    adata.varm["X_bft"] = np.asarray(rows.X)
    adata.uns["bft"] = {"X_bft": {"genes": copy.deepcopy(rows.uns["bft"]["X_bft"]["entities"])}}
    bft.tl.embed_cells(adata)
    adata.obsm["X_umap"] = rng.normal(size=(20, 2))
    return adata


def colours(ax):
    """Values of the points, in the order of their first coordinate."""
    points = ax.collections[0]
    return np.asarray(points.get_array())[np.argsort(np.asarray(points.get_offsets())[:, 0])]


def test_what_has_a_text_is_coloured_by_cosine(rows):
    ax = bft.pl.query(rows, "proteins of plasma", n=2, layout="pca", show=False)
    found = bft.get.similarity(rows, "proteins of plasma", query_type="text")["proteins of plasma"]
    np.testing.assert_allclose(np.sort(colours(ax)[:5]), np.sort(found.dropna()), rtol=1e-6)
    assert ax.get_title() == "proteins of plasma"
    assert ax.get_xlabel() == ", ".join(found.nlargest(2).index)
    assert {"ALB", "APOA1"} == set(found.nlargest(2).index)


def test_cells_made_of_genes_are_coloured_by_scores_and_nothing_is_written(cells):
    scored = cells.copy()
    bft.tl.score_text(scored, {"liver": "plasma protein made by the liver"}, key_added="text")
    before = cells.copy()
    ax = bft.pl.query(cells, {"liver": "plasma protein made by the liver"}, show=False)
    expected = scored.obs["text_liver"].to_numpy()[np.argsort(cells.obsm["X_umap"][:, 0])]
    np.testing.assert_allclose(colours(ax), expected, rtol=1e-5)
    assert ax.get_xlabel() == "X_umap, as it stands in the file"
    assert ax.collections[0].norm.vcenter == 0
    assert list(cells.obs) == list(before.obs) == []
    assert set(cells.uns["bft"]) == {"X_bft"}
    view = cells[3:]
    bft.pl.query(view, "liver", show=False)
    assert view.is_view


def test_the_matrix_of_scores_is_chosen_and_nothing_is_said_to_be_written(cells, caplog):
    expected = colours(bft.pl.query(cells, "plasma protein made by the liver", show=False))
    cells.raw = cells.copy()
    cells.X = np.asarray(cells.X) - np.asarray(cells.X).mean(axis=0)
    with caplog.at_level("INFO", logger="bftembed"):
        ax = bft.pl.query(cells, "plasma protein made by the liver", use_raw=True, show=False)
    np.testing.assert_allclose(colours(ax), expected)
    assert "bft_query" not in caplog.text
    with pytest.raises(InputError, match="use_raw=True has no place here"):
        bft.pl.query(cells, "liver", among="genes", use_raw=True, show=False)
    with pytest.raises(InputError, match="layer='counts' has no place here"):
        bft.pl.query(cells, "liver", among="genes", layer="counts", show=False)


def test_genes_of_an_adata_with_cells(cells):
    ax = bft.pl.query(cells, "T cell receptor", among="genes", show=False, n=1)
    assert ax.get_xlabel() in {"CD3E", "CD3D"}
    assert len(ax.collections[0].get_offsets()) == 6
    del cells.obsm["X_bft"]
    assert bft.pl.query(cells, "T cell receptor", show=False, n=1).get_xlabel() == ax.get_xlabel()


def test_a_panel_for_each_text_and_files(rows, tmp_path):
    panels = bft.pl.query(rows, ["T cell", "liver"], show=False, save=tmp_path / "two.png")
    assert [panel.get_title() for panel in panels] == ["T cell", "liver"]
    assert panels[0].get_xlabel() != panels[1].get_xlabel()
    assert (tmp_path / "two.png").read_bytes().startswith(b"\x89PNG")
    own = plt.subplots()[1]
    assert bft.pl.query(rows, "liver", ax=own, show=False) is own


def test_what_cannot_be_asked(rows, cells):
    own = plt.subplots()[1]
    for wrong, match in (
        ({"texts": ["a", "b"], "ax": own}, "room for one"),
        ({"texts": []}, "free texts"),
        ({"texts": " "}, "free texts"),
        ({"texts": "a", "use_rep": "X_none"}, "X_none"),
        ({"texts": "a", "among": "rows"}, "among"),
    ):
        with pytest.raises(InputError, match=match):
            bft.pl.query(rows, show=False, **wrong)
    cells.obs["bft_query_0"] = 1.0
    with pytest.raises(InputError, match="bft_query_0"):
        bft.pl.query(cells, "liver", show=False)
    assert (cells.obs["bft_query_0"] == 1).all()
