import anndata
import numpy as np
import pandas as pd
import pytest

import bftembed as bft
from bftembed.errors import BftembedWarning, InputError

TEXTS = {"KLF1": "Erythroid genes fall.", "TP53": "Cells grow.", "KLF1+TP53": "Both."}


def cells(**columns):
    n = len(next(iter(columns.values())))
    return anndata.AnnData(obs=pd.DataFrame(columns, index=[f"c{i}" for i in range(n)]))


def test_a_vector_per_cell_and_per_condition(tmp_path):
    adata = cells(perturbation=["KLF1", "control", "TP53", None, "KLF1", "KLF1+TP53"])
    bft.tl.embed_perturbations(adata, facts="none", profiles=TEXTS)
    vectors = adata.obsm["X_bft"]
    assert vectors.dtype == np.float32
    assert np.isnan(vectors).all(axis=1).tolist() == [False, True, False, True, False, False]
    np.testing.assert_array_equal(vectors[0], vectors[4])
    alone = bft.embed(["KLF1", "TP53", "KLF1+TP53"], kind="perturbation", facts="none", profiles=TEXTS)
    np.testing.assert_array_equal(vectors[[0, 2, 5]], alone.X)
    assert adata.obs["X_bft_condition"].isna().tolist() == [False, True, False, True, False, False]
    info = bft.get.provenance(adata)["perturbations"]
    assert (info["n_controls"], info["n_cells_without"], info["n_entities"]) == (1, 2, 3)
    adata.write_h5ad(tmp_path / "a.h5ad")
    adata.write_zarr(tmp_path / "a.zarr")
    for read in (adata, anndata.read_h5ad(tmp_path / "a.h5ad"), anndata.read_zarr(tmp_path / "a.zarr")):
        conditions = bft.get.conditions(read)
        assert conditions.obs_names.tolist() == ["KLF1", "KLF1+TP53", "TP53"]
        assert conditions.obs["how"].tolist() == ["knockdown"] * 3
        np.testing.assert_array_equal(read.obsm["X_bft"][2], conditions.X[2])
        assert bft.get.profiles(read)["text"].to_dict() == TEXTS
        assert bft.get.profiles(conditions)["text"].to_dict() == TEXTS
        assert bft.get.nearest(conditions, "KLF1", n=2)["name"].isin(["TP53", "KLF1+TP53"]).all()


def test_conditions_for_each_dose_and_cell_line_that_occurs():
    adata = cells(drug=["a", "a", "b", "DMSO", "a"], dose=[1, 10, 1, np.nan, 1], line=["X", "X", None, "X", "X"])
    texts = {"a": "Inhibits something.", "b": "Activates something."}
    keys = {"obs_key": "drug", "dose_key": "dose", "cell_line_key": "line"}
    bft.tl.embed_perturbations(adata, **keys, how="drug", facts="none", profiles=texts)
    conditions = bft.get.conditions(adata)
    assert conditions.obs_names.tolist() == ["a | 1.0 | X", "a | 10.0 | X", "b | 1.0"]
    assert conditions.obs["dose"].tolist() == ["1.0", "10.0", "1.0"]
    assert adata.obs["X_bft_condition"].tolist()[:3] == ["a | 1.0 | X", "a | 10.0 | X", "b | 1.0"]
    assert np.isnan(adata.obsm["X_bft"]).all(axis=1).tolist() == [False, False, False, True, False]


def test_how_may_differ_between_cells(tmp_path):
    adata = cells(perturbation=["KLF1", "KLF1", "ctrl"], perturbation_type=["CRISPRi", "CRISPRa", None])
    texts = {"knock-down of KLF1": "Down.", "transcriptional activation (overexpression) of KLF1": "Up."}
    bft.tl.embed_perturbations(adata, how_key="perturbation_type", facts="none", profiles=texts)
    conditions = bft.get.conditions(adata)
    assert conditions.obs_names.tolist() == ["KLF1 | knockdown", "KLF1 | activation"]
    assert conditions.obs["X_bft_text"].tolist() == ["Down.", "Up."]
    assert bft.get.provenance(adata)["perturbations"]["how"] == ["activation", "knockdown"]
    adata.obs["perturbation_type"] = ["CRISPRi", "drug", None]
    with pytest.raises(InputError, match="in two calls"):
        bft.tl.embed_perturbations(adata, how_key="perturbation_type", facts="none", profiles=texts)
    adata.obs["perturbation_type"] = ["CRISPRi", None, None]
    with pytest.raises(InputError, match="got ''"):
        bft.tl.embed_perturbations(adata, how_key="perturbation_type", facts="none", profiles=texts)


def test_a_real_screen(mirror, tmp_path):
    screen = bft.data.load("norman_perturbench")
    screen = screen[(screen.obs["dataset"] == "norman19").to_numpy()].copy()
    bft.tl.embed_perturbations(
        screen, obs_key="condition", how="activation", engine="annotation", store=tmp_path / "s.sqlite"
    )
    result = bft.get.conditions(screen)
    assert result.obs_names.tolist() == sorted(set(screen.obs["condition"]) - {"control"})
    assert np.isfinite(result.X).all()
    controls = (screen.obs["condition"] == "control").to_numpy()
    np.testing.assert_array_equal(np.isnan(screen.obsm["X_bft"]).all(axis=1), controls)
    assert result.obs.loc["KLF1+MAP2K6", "parts"] == "KLF1 + MAP2K6"


def test_vectors_of_cells_are_replaced_with_a_warning():
    adata = cells(perturbation=["KLF1", "control"])
    adata.obsm["X_bft"] = np.zeros((2, 3), dtype=np.float32)
    adata.uns["bft"] = {"X_bft": {"cells": {"method": "weighted"}, "genes": {"kind": "gene"}}}
    with pytest.warns(BftembedWarning, match="held vectors of cells"):
        bft.tl.embed_perturbations(adata, facts="none", profiles=TEXTS)
    assert sorted(bft.get.provenance(adata)) == ["genes", "perturbations"]
    bft.tl.embed_perturbations(adata, facts="none", profiles=TEXTS)  # again: nothing else is lost


def test_bad_input_is_refused():
    adata = cells(x=["a"], perturbation=["ctrl"])
    with pytest.raises(InputError, match="'knockout', 'knockdown'"):
        bft.tl.embed_perturbations(cells(perturbation=["A"]), how="poison")
    with pytest.raises(InputError, match=r"no column `target`; it has x"):
        bft.tl.embed_perturbations(adata, obs_key="target")
    with pytest.raises(InputError, match="no perturbation but controls"):
        bft.tl.embed_perturbations(adata)
    with pytest.raises(InputError, match=r'bft.embed\(names, kind="perturbation"\)'):
        bft.tl.embed_perturbations(["A"])


def test_a_view_becomes_an_anndata_of_its_own_without_a_warning():
    adata = cells(perturbation=["KLF1", "control", "TP53"])
    view = adata[:2]
    bft.tl.embed_perturbations(view, facts="none", profiles=TEXTS)
    assert view.obsm["X_bft"].shape == (2, 384)
    assert "X_bft" not in adata.obsm


def test_one_line_says_what_was_done(caplog):
    with caplog.at_level("INFO", "bftembed"):
        bft.tl.embed_perturbations(cells(perturbation=["KLF1", "TP53"]), facts="none", profiles=TEXTS, key_added="P")
    assert "2 names (perturbation), 0 with facts, 2 texts (given), 384 dimensions -> obsm['P']" in caplog.messages
