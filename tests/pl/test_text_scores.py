import anndata
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import bftembed as bft
from bftembed.errors import InputError

mpl.use("Agg")


@pytest.fixture
def cells():
    rng = np.random.default_rng(0)
    adata = anndata.AnnData(rng.random((30, 2), dtype=np.float32), obsm={"X_umap": rng.normal(size=(30, 2))})
    adata.obs["group"] = pd.Categorical(["a", "b", "c"] * 10)
    adata.obs["text_T cell"] = np.tile([2.0, 0.0, -1.0], 10)
    adata.obs["text_liver"] = rng.normal(size=30)
    adata.uns["bft"] = {"text": {"scores": {"texts": pd.DataFrame({"name": ["T cell", "liver"], "text": ["x", "y"]})}}}
    yield adata
    plt.close("all")


def test_panels_show_the_scores_around_zero(cells):
    axes = bft.pl.text_scores(cells, show=False)
    assert [ax.get_title() for ax in axes] == ["T cell", "liver"]
    points = axes[0].collections[0]
    assert sorted(set(points.get_array())) == [-1, 0, 2]
    np.testing.assert_allclose(points.cmap(points.norm(0.0)), mpl.colormaps["RdBu_r"](0.5), atol=0.01)
    assert bft.pl.text_scores(cells, "liver", show=False).get_title() == "liver"


def test_a_matrix_of_texts_by_groups_has_their_means(cells):
    plot = bft.pl.text_scores(cells, groupby="group", return_fig=True)
    assert plot.values_df["text_T cell"].tolist() == [2, 0, -1]
    means = cells.obs.groupby("group", observed=True)["text_liver"].mean()
    np.testing.assert_allclose(plot.values_df["text_liver"], means)


@pytest.mark.parametrize("numbers", [[1, 2, 3], [0.5, 1.0, 2.0], [False, True, True]])
def test_numbers_are_groups_too(cells, numbers):
    cells.obs["number"] = numbers * 10
    plot = bft.pl.text_scores(cells, groupby="number", return_fig=True)
    means = cells.obs.groupby("number")["text_T cell"].mean()
    np.testing.assert_allclose(plot.values_df["text_T cell"], means)
    assert cells.obs["number"].tolist() == numbers * 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": "txt"}, "there are those of 'text'.*Did you mean `text`"),
        ({"texts": ["livr"]}, "`livr` is no text that was asked.*Did you mean `liver`"),
        ({"groupby": "leiden"}, "no column `leiden`"),
        ({"basis": "X_tsne"}, "no `X_tsne`"),
        ({"basis": "X_line"}, "no two coordinates"),
        ({"texts": []}, "`texts` is empty"),
        ({"texts": 5}, "`5` is no text that was asked"),
        ({"key": "odd"}, "not what this package keeps"),
    ],
)
def test_what_is_missing_is_told(cells, options, message):
    cells.obsm["X_line"] = np.zeros((30, 1))
    cells.uns["bft"]["odd"] = 5
    with pytest.raises(InputError, match=message):
        bft.pl.text_scores(cells, show=False, **options)
    del cells.uns["bft"]
    with pytest.raises(InputError, match=r"bft\.tl\.score_text makes them"):
        bft.pl.text_scores(cells, show=False)


@pytest.mark.parametrize("how", [{}, {"groupby": "group"}, {"groupby": "group", "return_fig": True}])
def test_a_figure_is_written_where_it_is_said(cells, tmp_path, how):
    assert bft.pl.text_scores(cells, show=False, save=tmp_path / "scores.png", **how) is not None
    assert (tmp_path / "scores.png").read_bytes().startswith(b"\x89PNG")
