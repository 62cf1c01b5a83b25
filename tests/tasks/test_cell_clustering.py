"""Every task of the family loads, with the cells and types that the data are known to have."""

import numpy as np
import pandas as pd
import pytest

from bftembed.bench import find_tasks, get_source
from bftembed.bench.problems.cell_data import load_cells, small_part

TASKS = {task.name.partition(".")[2]: task for task in find_tasks(names=["cell_clustering"])}


@pytest.mark.parametrize(
    ("name", "n_cells", "n_types", "n_batches"),
    [("symphony_pbmc", 1200, 9, 3), ("pbmc68k", 700, 10, 8), ("bremsc_pbmc", 1182, 6, None)],
)
def test_cells_types_and_batches(mirror, name, n_cells, n_types, n_batches):
    problem = TASKS[name].load(False)
    assert len(problem.entities) == n_cells
    assert len(set(problem.types)) == n_types
    assert (None if problem.batches is None else len(set(problem.batches))) == n_batches
    assert problem.removed.get("cells of unknown type", 0) == (190 if name == "bremsc_pbmc" else 0)
    assert problem.cells.X.max() < np.log1p(1e4)


def test_cells_of_two_conditions(mirror):
    adata = load_cells("pbmc_stim")
    assert dict(adata.obs["batch"].value_counts()) == {"ctrl": 1000, "stim": 1000}
    totals = np.expm1(adata.X).sum(axis=1)
    # Five columns that repeat a gene were left out after the counts were brought to 10,000.
    assert totals.min() > 9_900
    assert totals.max() < 10_001


def test_surface_proteins_have_genes(mirror):
    protein = load_cells("bremsc_pbmc").obsm["protein"]
    assert {"CD3E", "CD8A", "NCAM1", "FCGR3A"} < set(protein.columns)
    assert len(protein.columns) == 10
    np.testing.assert_allclose(protein.sum(axis=1), 0, atol=1e-9)


def test_a_small_part_keeps_the_shares_of_types_and_batches(mirror):
    adata = load_cells("symphony_pbmc")
    part = small_part(adata)
    assert part.n_obs == pytest.approx(250, abs=10)
    for column in ("cell_type", "batch"):
        shares = [cells.obs[column].value_counts(normalize=True) for cells in (adata, part)]
        assert (shares[0] - shares[1]).abs().max() < 0.02
    assert list(part.obs_names) == list(small_part(adata).obs_names)


def test_a_small_part_has_the_genes_that_vary_most_and_those_of_proteins(mirror):
    adata = load_cells("bremsc_pbmc")
    part = small_part(adata, n_genes=60)
    proteins = set(adata.obsm["protein"].columns)
    assert part.n_vars == 60
    assert proteins < set(part.var_names)
    variances = pd.Series(adata.X.toarray().var(axis=0), index=adata.var_names).drop(list(proteins))
    assert set(variances.nlargest(50).index) == set(part.var_names) - proteins
    assert part.X.shape == part.layers["counts"].shape


@pytest.mark.parametrize("name", TASKS)
def test_a_fast_run_is_small_and_expression_beats_a_constant(mirror, name):
    problem = TASKS[name].load(True)
    assert len(problem.entities) <= 260
    evaluation = problem.evaluate(problem.embed(get_source("pca")))
    assert evaluation.scores[0].mean > 0.2
    assert {score.method.partition(",")[0] for score in evaluation.baselines} == {"PCA", "random gene vectors"}
