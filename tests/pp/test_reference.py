import re

import anndata
import numpy as np
import pandas as pd
import pytest

import bftembed as bft
from bftembed.errors import DataError, InputError
from bftembed.pp import Reference


@pytest.fixture
def made():
    rng = np.random.default_rng(0)
    adata = anndata.AnnData(rng.poisson(1, (40, 12)).astype(np.float32))
    adata.obs["batch"] = np.repeat(["10x/v2", "b"], 20)
    return bft.pp.reference(adata, batch_key="batch", n_top_genes=6)


@pytest.mark.parametrize("suffix", ["parquet", "h5ad"])
def test_it_is_the_same_after_writing_and_reading(suffix, made, tmp_path):
    path = tmp_path / f"r.{suffix}"
    for _ in range(2):  # the second takes the place of the first
        made.write(path)
    again = Reference.read(str(path))
    assert again.batches == made.batches == ("10x/v2", "b")
    assert again.genes.equals(made.genes)
    for name in ("mean", "sd", "detection", "level", "highly_variable", "n_cells"):
        np.testing.assert_array_equal(getattr(again, name), getattr(made, name))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert "10x/v2, b" in re.sub("<[^>]*>", "", again._repr_html_())


def test_it_is_taken_in_any_form(made, tmp_path):
    made.write(tmp_path / "r.parquet")
    for form in (made, made.table, made.table.astype({"gene": str, "batch": str}), tmp_path / "r.parquet"):
        np.testing.assert_array_equal(Reference.of(form).sd, made.sd)
    with pytest.raises(InputError, match=r"not a ndarray; make one with bft.pp.reference"):
        Reference.of(made.mean)


def test_it_is_found_in_the_file_of_an_embedding(made, tmp_path):
    path = tmp_path / "cells.h5ad"
    uns = {"bft": {"a": {"reference": made.table, "cells": {"n": 1}}, "map_genes": {"n": 2}}}
    anndata.AnnData(uns=uns).write_h5ad(path)
    np.testing.assert_array_equal(Reference.read(path).mean, made.mean)
    uns["bft"]["b"] = uns["bft"]["a"]
    anndata.AnnData(uns=uns).write_h5ad(path)
    with pytest.raises(InputError, match=r"of a, b: read one, reference=bft.pp.Reference.read\('.*', use_rep='a'\)"):
        Reference.read(path)
    np.testing.assert_array_equal(Reference.read(path, use_rep="b").mean, made.mean)
    with pytest.raises(InputError, match="no reference"):
        Reference.read(path, use_rep="c")


@pytest.mark.parametrize("suffix", ["parquet", "h5ad"])
def test_damaged_and_foreign_files_are_refused(suffix, made, tmp_path):
    path = tmp_path / f"r.{suffix}"
    with pytest.raises(InputError, match="There is no file"):
        Reference.read(path)
    made.write(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises((DataError, InputError), match="cannot be read"):
        Reference.read(path)
    if suffix == "parquet":
        pd.DataFrame({"gene": ["a"], "mean": [1.0]}).to_parquet(path)
        message = r"holds no usable reference\. A reference has the columns .* are missing"
    else:
        anndata.AnnData(np.eye(2)).write_h5ad(path)
        message = "holds no reference: make one"
    with pytest.raises(InputError, match=message):
        Reference.read(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.iloc[1:], "same genes in the same order"),
        (lambda t: t.sample(frac=1, random_state=0), "same genes in the same order"),
        (lambda t: t.assign(sd=np.nan), "numbers that are not negative"),
        (lambda t: t.assign(mean=-1.0), "numbers that are not negative"),
        (lambda t: t.assign(sd=0.0), "a batch in which all s.d. are zero"),
        (lambda t: t.assign(sd=np.where(t["batch"] == "b", 0.0, t["sd"])), "a batch in which all s.d. are zero"),
        (lambda t: t.assign(highly_variable=False), "no highly variable gene"),
        (lambda t: t.drop(columns="sd"), "sd are missing"),
        (lambda t: t.iloc[:0], "same genes"),
    ],
)
def test_tables_that_are_no_reference(change, message, made):
    with pytest.raises(InputError, match=message):
        Reference(change(made.table))


def test_places_that_cannot_be_written(made, tmp_path):
    with pytest.raises(InputError, match=r"ends in .parquet or .h5ad"):
        made.write(tmp_path / "r.csv")
    with pytest.raises(InputError, match="There is no directory"):
        made.write(tmp_path / "no" / "r.parquet")
    (tmp_path / "r.parquet").mkdir()
    with pytest.raises(DataError, match="cannot be written"):
        made.write(tmp_path / "r.parquet")


def changed(table, column, rows, value):
    other = table.astype({column: object}) if isinstance(value, str) else table.copy()
    other.loc[rows, column] = value
    return other


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.assign(sd=t["sd"].where(~t["highly_variable"], 0.0)),
            "all s.d. are zero among highly variable genes",
        ),
        (
            lambda t: t.assign(highly_variable=t["highly_variable"].astype(str)),
            "'highly_variable' of a reference holds",
        ),
        (lambda t: changed(t, "highly_variable", [0], value=not t["highly_variable"][0]), "`highly_variable` in all"),
        (lambda t: t.assign(n_cells=0), "`n_cells` .above zero."),
        (lambda t: changed(t, "n_cells", [0], 7), "`n_cells` .above zero. throughout a batch"),
        (lambda t: changed(t, "mean", [0], "much"), "'mean' of a reference holds numbers, not object"),
        (lambda t: t.to_dict(), "is made of a table, a DataFrame, not of a dict"),
    ],
)
def test_tables_that_nothing_can_be_compared_with_are_refused(made, change, message):
    with pytest.raises(InputError, match=message):
        Reference(change(made.table))
