import anndata
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

import bftembed as bft
from bftembed.errors import InputError

mpl.use("Agg")


@pytest.fixture
def cells():
    rng = np.random.default_rng(0)
    made = anndata.AnnData(rng.random((30, 2), dtype=np.float32), obsm={"X_bft": rng.normal(size=(30, 5))})
    made.obs["group"] = ["a", "b", "c"] * 10
    yield made
    plt.close("all")


def test_an_unknown_key_names_those_there_are(cells):
    with pytest.raises(InputError, match=r"`adata\.obsm` has no `X_btf`: it has X_bft\. Did you mean `X_bft`\?"):
        bft.pl.embedding(cells, use_rep="X_btf", show=False)


def test_an_unknown_colour_is_refused_in_a_sentence(cells):
    with pytest.raises(InputError, match=r"color='groups' is neither a column .*\(group\).*Did you mean `group`"):
        bft.pl.embedding(cells, color=["0", "groups"], show=False)
    assert len(bft.pl.embedding(cells, color=["0", "group"], show=False)) == 2


def drawn(adata, **how):
    """Coordinates of the points."""
    ax = bft.pl.embedding(adata, show=False, **how)
    found = np.asarray(ax.collections[0].get_offsets())
    plt.close("all")
    return found


def test_the_points_are_those_of_scanpy_and_nothing_is_written(cells):
    import scanpy as sc

    before = cells.copy()
    found = drawn(cells)
    sc.pp.neighbors(before, use_rep="X_bft", n_neighbors=15, random_state=0)
    sc.tl.umap(before, random_state=0)
    np.testing.assert_allclose(found, before.obsm["X_umap"], rtol=1e-6)
    assert set(cells.obsm) == {"X_bft"}
    assert not cells.uns
    assert not cells.obsp


def test_the_umap_is_of_the_vectors_that_are_there_now(cells):
    first = drawn(cells)
    cells.obsm["X_bft"] = np.random.default_rng(1).normal(size=(30, 5))
    second = drawn(cells)
    assert np.abs(first - second).max() > 0.1
    fresh = anndata.AnnData(cells.X, obsm={"X_bft": cells.obsm["X_bft"]})
    np.testing.assert_array_equal(drawn(fresh), second)


def test_neighbours_and_seed_are_respected_each_time(cells):
    found = [drawn(cells), drawn(cells, n_neighbors=5), drawn(cells, random_state=1), drawn(cells)]
    assert np.abs(found[0] - found[1]).max() > 0.1
    assert np.abs(found[0] - found[2]).max() > 0.1
    np.testing.assert_array_equal(found[0], found[3])


def test_a_umap_of_the_user_is_neither_drawn_nor_lost(cells):
    own = np.zeros((30, 2), dtype=np.float32)
    cells.obsm["X_bft_umap"] = own
    assert np.ptp(drawn(cells)) > 0
    np.testing.assert_array_equal(cells.obsm["X_bft_umap"], own)


def test_rows_without_a_vector_are_not_drawn(cells):
    cells.obsm["X_bft"][[0, 7]] = np.nan
    found = drawn(cells)
    assert np.isnan(found[[0, 7]]).all()
    assert np.isfinite(np.delete(found, [0, 7], axis=0)).all()


def test_views_stay_views_and_options_reach_scanpy(cells):
    view = cells[5:]
    figure = bft.pl.embedding(view, show=False, color="group", return_fig=True)
    assert isinstance(figure, mpl.figure.Figure)
    assert view.is_view


@pytest.mark.parametrize("n", [1, 3, 4])
def test_few_rows(cells, n):
    few = cells[:n].copy()
    if n < 4:
        with pytest.raises(InputError, match=f"{n} of {n} rows .* needs at least 4"):
            bft.pl.embedding(few, show=False)
    else:
        assert np.isfinite(drawn(few)).all()


def test_a_missing_key_is_named(cells):
    with pytest.raises(InputError, match="no `X_none`"):
        bft.pl.embedding(cells, use_rep="X_none")


def test_scanpy_draws_what_is_written(tmp_path):
    import scanpy as sc

    texts = {"CD3E": "T cell receptor.", "CD3D": "The T cell receptor.", "ALB": "Blood plasma.", "INS": "A hormone."}
    genes = bft.embed(list(texts), facts="none", profiles=texts)
    adata = anndata.AnnData(np.random.default_rng(0).poisson(3, (12, 4)).astype(np.float32))
    adata.var_names = list(texts)
    adata.varm["X_bft"] = np.asarray(genes.obsm["X_bft"])
    bft.tl.embed_cells(adata, key_added="X_contrast")
    for made in (genes, adata):
        made.write_h5ad(tmp_path / "made.h5ad")
        read = anndata.read_h5ad(tmp_path / "made.h5ad")
        key = "X_contrast" if "X_contrast" in read.obsm else "X_bft"
        ax = sc.pl.embedding(read, basis=key, dimensions=(1, 3), show=False)
        np.testing.assert_allclose(ax.collections[0].get_offsets(), read.obsm[key][:, [1, 3]])
        plt.close("all")


@pytest.mark.parametrize("how", [{}, {"color": ["group", "group"]}, {"return_fig": True}])
def test_a_figure_is_written_where_it_is_said_and_shown_if_asked(cells, tmp_path, monkeypatch, how):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(1))
    assert bft.pl.embedding(cells, show=False, save=tmp_path / "map.png", **how) is not None
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    assert not shown
    made = bft.pl.embedding(cells, **how)
    assert (made is None) == (shown == [1]) == ("return_fig" not in how)
