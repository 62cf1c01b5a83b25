import anndata
import numpy as np
import pandas as pd
import pytest

import bftembed as bft
from bftembed.errors import InputError


def test_one_row_per_perturbation_of_a_real_screen(mirror, tmp_path):
    screen = bft.data.load("norman_perturbench")
    screen = screen[(screen.obs["dataset"] == "norman19").to_numpy()]
    result = bft.tl.embed_perturbations(
        screen, key="condition", how="activation", engine="annotation", store=tmp_path / "s.sqlite"
    )
    expected = sorted(set(screen.obs["condition"]) - {"control"})
    assert result.obs_names.tolist() == expected
    assert np.isfinite(result.X).all()
    assert bft.get.provenance(result)["entities"]["n_controls"] == 1
    combined = result.obs.loc["KLF1+MAP2K6"]
    assert combined["parts"] == "KLF1 + MAP2K6"
    result.write_h5ad(tmp_path / "p.h5ad")
    assert anndata.read_h5ad(tmp_path / "p.h5ad").shape == result.shape


def test_rows_for_each_dose_and_cell_line_that_occurs():
    obs = pd.DataFrame(
        {"drug": ["a", "a", "b", "DMSO", "a"], "dose": ["1", "10", "1", "0", "1"], "line": ["X", "X", "Y", "X", "X"]},
        index=list("vwxyz"),
    )
    texts = {"a": "Inhibits something.", "b": "Activates something."}
    keys = {"key": "drug", "dose_key": "dose", "cell_line_key": "line"}
    result = bft.tl.embed_perturbations(anndata.AnnData(obs=obs), **keys, how="drug", facts="none", profiles=texts)
    assert result.obs_names.tolist() == ["a | 1 | X", "a | 10 | X", "b | 1 | Y"]
    assert result.obs["dose"].tolist() == ["1", "10", "1"]


def test_bad_input_is_refused():
    adata = anndata.AnnData(obs=pd.DataFrame({"x": ["a"]}, index=["c"]))
    with pytest.raises(InputError, match="'knockout', 'knockdown'"):
        bft.tl.embed_perturbations(["A"], how="poison")
    with pytest.raises(InputError, match=r"no column \['perturbation'\]; it has x"):
        bft.tl.embed_perturbations(adata)
    with pytest.raises(InputError, match=r"nothing but controls|no perturbation but controls"):
        bft.tl.embed_perturbations(["ctrl", "control"])
