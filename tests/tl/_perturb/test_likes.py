"""Names, vectors and doses that make parts alike."""

import anndata
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics.pairwise import cosine_similarity

import bftembed as bft
from bftembed.errors import InputError
from bftembed.tl._perturb.likes import Likes
from bftembed.tl._perturb.screen import Part

TABLE = pd.DataFrame(np.random.default_rng(0).normal(size=(4, 3)), index=["ax", "bx", "cx", "dx"])


def test_weights_are_of_cosines_and_doses():
    likes = Likes(TABLE, drugs=True)
    parts = [Part("ax", -6.0), Part("ax", -7.0), Part("bx", -6.0), Part("nowhere", -6.0)]
    found = likes.weights(parts, parts, temperature=0.3, dose_width=2.0)
    x = (TABLE - TABLE.mean()).to_numpy()[[0, 0, 1]]
    apart = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    expected = np.exp((cosine_similarity(x) - 1) / 0.3) * np.exp(-((apart / 2) ** 2) / 2)
    np.testing.assert_allclose(found[:3, :3], expected, rtol=1e-5)
    assert not found[3].any()
    assert not found[:, 3].any()


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".h5ad"])
def test_tables_are_read_from_files(tmp_path, suffix):
    path = tmp_path / f"table{suffix}"
    table = TABLE.rename(columns="d{}".format)
    if suffix == ".h5ad":
        anndata.AnnData(table.to_numpy(), obs=pd.DataFrame(index=table.index)).write_h5ad(path)
    else:
        table.to_parquet(path) if suffix == ".parquet" else table.to_csv(path)
    found = Likes(path, drugs=False)
    np.testing.assert_allclose(found.unit(["cx", "ax"]), Likes(TABLE, drugs=False).unit(["cx", "ax"]), atol=1e-6)
    assert found.has(["cx", "zx"]).tolist() == [True, False]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".vec", ".npz", ".safetensors"])
def test_files_of_write_vectors_are_tables(tmp_path, suffix):
    bft.write_vectors(TABLE.rename(columns="d{}".format), tmp_path / f"table{suffix}")
    found = Likes(tmp_path / f"table{suffix}", drugs=False)
    np.testing.assert_allclose(found.unit(["cx", "ax"]), Likes(TABLE, drugs=False).unit(["cx", "ax"]), atol=1e-6)


def test_rows_of_conditions_are_found_by_their_perturbation():
    obs = pd.DataFrame({"perturbation": ["Drug A", "Drug B"]}, index=["Drug A | 1 uM", "Drug B | 1 uM"])
    table = anndata.AnnData(np.eye(2), obs=obs)
    assert Likes(table, drugs=True).has(["drug a", "drug b | 1 um", "drug c"]).tolist() == [True, True, False]


def test_old_symbols_in_the_table_are_found(mirror):
    table = TABLE.set_axis(["MRE11A", "TP53", "KLF1", "GATA1"])
    assert Likes(table, drugs=False).has(["MRE11", "MRE11A"]).all()


def test_a_table_without_numbers_is_refused():
    with pytest.raises(InputError, match="has no vectors: its shape is"):
        Likes(pd.DataFrame({"text": ["a"]}, index=["ax"]), drugs=False)
