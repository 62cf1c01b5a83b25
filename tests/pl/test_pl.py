import matplotlib as mpl
import numpy as np
import pytest

import bftembed as bft
from bftembed.errors import InputError

mpl.use("Agg")


@pytest.fixture(scope="module")
def genes():
    texts = {f"G{i}": f"Gene number {i} does " + "something " * i for i in range(20)}
    return bft.embed([*texts, "WITHOUT"], facts="none", profiles=texts)


def test_profile_length_draws_every_profile(genes, tmp_path):
    import matplotlib.pyplot as plt

    _, given = plt.subplots()
    ax = bft.pl.profile_length(genes, ax=given, show=False, save=tmp_path / "a.png")
    assert ax is given
    assert sum(patch.get_height() for patch in ax.patches) == 20
    assert (tmp_path / "a.png").stat().st_size > 1000
    plt.close("all")


# scanpy 1.11 with matplotlib 3.11, and UMAP with a seed
@pytest.mark.filterwarnings("ignore:The set_bad function:PendingDeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*n_jobs value.*:UserWarning")
def test_embedding_is_a_umap_through_scanpy(genes):
    import matplotlib.pyplot as plt

    figure = bft.pl.embedding(genes, show=False, return_fig=True)
    assert figure.axes
    assert genes.obsm["X_bft_umap"].shape == (21, 2)
    before = genes.obsm["X_bft_umap"].copy()
    bft.pl.embedding(genes, show=False)
    np.testing.assert_array_equal(before, genes.obsm["X_bft_umap"])
    with pytest.raises(InputError, match="no `X_none`"):
        bft.pl.embedding(genes, key="X_none")
    plt.close("all")
