import anndata
import matplotlib as mpl
import numpy as np
import pytest

import bftembed as bft
from bftembed.errors import InputError
from bftembed.pl._finish import check_save

mpl.use("Agg")


@pytest.mark.parametrize(
    ("save", "match"),
    [("none/a.png", "There is no directory"), ("a.pngg", r"no ending of a figure: .*Did you mean `png`")],
)
def test_files_that_cannot_be_written_are_refused(tmp_path, save, match):
    with pytest.raises(InputError, match=match):
        check_save(tmp_path / save)
    check_save(tmp_path / "a.png")
    check_save(tmp_path / "without")
    check_save(None)


@pytest.mark.parametrize(
    "plot", ["confidence", "embedding", "gene_map", "profile_length", "query", "scores", "text_scores", "training"]
)
def test_every_plot_refuses_them_before_its_work(plot):
    given = {"query": ("liver",)}.get(plot, ())
    with pytest.raises(InputError, match="There is no directory 'none'"):
        getattr(bft.pl, plot)(anndata.AnnData(np.ones((1, 1))), *given, save="none/a.png", show=False)
