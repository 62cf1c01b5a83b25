import anndata
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

import bftembed as bft
from bftembed.errors import InputError

mpl.use("Agg")


@pytest.fixture
def genes():
    """Eighty genes with a layout; one has no vector."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(80, 4)).astype(np.float32)
    vectors[7] = np.nan
    made = anndata.AnnData(np.ones((2, 80), dtype=np.float32), varm={"X_bft": vectors})
    made.var_names = [f"G{i}" for i in range(80)]
    made.varm["X_umap"] = rng.normal(size=(80, 2))
    made.varm["X_umap"][7] = np.nan
    made.var["kind"] = ["a", "b"] * 40
    made.var["level"] = np.arange(80.0)
    return made


def written(ax):
    return [text.get_text() for text in ax.texts]


def test_points_and_names_are_where_the_layout_has_them(genes):
    ax = bft.pl.gene_map(genes, labels=["G3", "G9"], show=False)
    points = np.asarray(ax.collections[0].get_offsets())
    np.testing.assert_allclose(points, genes.varm["X_umap"], rtol=1e-6)
    assert written(ax) == ["G3", "G9"]
    for text, row in zip(ax.texts, (3, 9), strict=True):
        np.testing.assert_allclose(text.xy, genes.varm["X_umap"][row], rtol=1e-6)
    assert (ax.get_title(), ax.get_xlabel()) == ("80 genes", "X_umap, as it stands in the file")
    assert list(genes.varm) == ["X_bft", "X_umap"]
    assert not genes.uns


def test_without_labels_all_of_few_and_some_of_many_are_named(genes):
    ax = bft.pl.gene_map(genes, show=False)
    assert 15 < len(written(ax)) <= 30
    assert len(set(written(ax))) == len(written(ax))
    assert written(ax) == written(bft.pl.gene_map(genes, show=False))
    few = bft.pl.gene_map(genes[:, :10].copy(), layout="pca", show=False)
    assert set(written(few)) <= {f"G{i}" for i in range(10) if i != 7}
    assert len(written(few)) >= 7
    assert few.get_xlabel() == "first two principal components of X_bft"
    assert written(bft.pl.gene_map(genes, labels=[], show=False)) == []


def test_names_hide_no_other_where_there_is_room(genes):
    genes.varm["X_umap"][:3] = [[0, 0], [0.02, 0], [0.04, 0]]
    ax = bft.pl.gene_map(genes, labels=["G0", "G1", "G2"], show=False)
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(box.count_overlaps(boxes[:i]) for i, box in enumerate(boxes) if i)
    genes.varm["X_umap"][:40] = [[0, 0]]
    names = [f"G{i}" for i in range(40) if i != 7]
    assert written(bft.pl.gene_map(genes, labels=names, show=False)) == names
    some = bft.pl.gene_map(genes[:, :40].copy(), show=False)
    assert len(some.texts) <= 4


def test_colours_axes_and_files(genes, tmp_path):
    own = plt.subplots()[1]
    ax = bft.pl.gene_map(genes, labels=[], color="level", ax=own, show=False, save=tmp_path / "map.png")
    assert ax is own
    order = np.argsort(np.asarray(ax.collections[0].get_offsets())[:, 0])
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    drawn = np.asarray(ax.collections[0].get_array())[order]
    expected = genes.var["level"].to_numpy()[np.argsort(genes.varm["X_umap"][:, 0])]
    np.testing.assert_allclose(drawn[:79], expected[:79])
    genes.uns["kind_colors"] = ["#ff0000", "#0000ff"]
    ax = bft.pl.gene_map(genes, labels=[], color="kind", show=False)
    assert {mpl.colors.to_hex(color) for color in ax.collections[0].get_facecolors()} == {"#ff0000", "#0000ff"}


def test_the_rows_of_embed_are_drawn_too():
    texts = {"CD3E": "T cell receptor.", "CD3D": "The T cell receptor.", "A$B$": "Blood plasma."}
    ax = bft.pl.gene_map(bft.embed(list(texts), facts="none", profiles=texts), labels=list(texts), show=False)
    assert written(ax) == ["CD3E", "CD3D", r"A\$B\$"]
    ax.figure.canvas.draw()


def test_a_gene_that_is_absent_is_told_to_be_one(mirror, genes):
    told = r"not among the 80 names here\. It is a gene, but not one of these data\.$"
    with pytest.raises(InputError, match=told):
        bft.pl.gene_map(genes, labels=["G6PD"], show=False)


def test_what_cannot_be_drawn(genes):
    for wrong, match in (
        ({"labels": ["G81"]}, "not among the 80 names.*Did you mean"),
        ({"labels": "G7"}, "no vector"),
        ({"color": "kin"}, "kin"),
        ({"use_rep": "X_none"}, "X_none"),
        ({"layout": "tsne"}, "no layout"),
    ):
        with pytest.raises(InputError, match=match):
            bft.pl.gene_map(genes, show=False, **wrong)
    with pytest.raises(InputError, match="is a path"):
        bft.pl.gene_map("genes.h5ad", show=False)
    genes.varm["X_bft"] = np.full_like(genes.varm["X_bft"], np.nan)
    with pytest.raises(InputError, match="Not one of 80 genes"):
        bft.pl.gene_map(genes, show=False)
