import matplotlib as mpl
import pytest

import bftembed as bft

pytestmark = pytest.mark.filterwarnings("ignore:.*no text in .profiles")  # a name without a vector

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


def test_genes_without_a_text_are_not_counted(genes):
    ax = bft.pl.profile_length(genes, show=False)
    assert ax.get_title().startswith("20 profiles")
    kept = genes[["WITHOUT", "G3"]].copy()
    kept.obs["X_bft_text"] = ["", "abc"]
    assert bft.pl.profile_length(kept, show=False).get_title() == "1 profiles, median 3"
