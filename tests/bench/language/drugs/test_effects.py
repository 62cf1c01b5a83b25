"""Genes that a drug changes, from cells with planted effects."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.stats import ranksums
from statsmodels.stats.multitest import multipletests

from bftembed.bench.language.drugs.effects import drug_effects
from bftembed.errors import DataError, InputError

GENES = ["CDKN1A", "MDM2", "MYC", "GAPDH", *(f"feature{i}" for i in range(246))]
#: What a drug does in a cell line: factors of genes.
PLANTED = {
    ("nutlin-3", "A549"): {"CDKN1A": 5, "MDM2": 5},
    ("nutlin-3", "MCF7"): {"CDKN1A": 5},
    ("JQ1", "A549"): {"MYC": 0.1},
    ("JQ1", "MCF7"): {},
}


def cells(n=40, control="DMSO_TF", planted=PLANTED):
    """Counts (float32) of `n` cells of each drug and the control in each line, in an order that means nothing."""
    rng = np.random.default_rng(0)
    means = rng.gamma(5, 1, len(GENES))
    obs, counts = [], []
    for drug, line in [*planted, *((control, line) for line in dict.fromkeys(line for _, line in planted))]:
        factors = [planted.get((drug, line), {}).get(gene, 1) for gene in GENES]
        counts.append(rng.poisson(means * factors, (n, len(GENES))))
        obs += [(drug, line)] * n
    names = [f"c{i}" for i in range(len(obs))]
    made = AnnData(
        np.vstack(counts).astype(np.float32),
        obs=pd.DataFrame(obs, columns=["drug", "cell_line"], index=names),
        var=pd.DataFrame(index=GENES),
    )
    return made[rng.permutation(made.n_obs)].copy()


@pytest.fixture(scope="module")
def adata():
    return cells()


@pytest.fixture(scope="module")
def effects(adata):
    return drug_effects(adata)


def test_planted_effects_are_found(effects):
    rows, removed = effects
    changed = rows[rows["label"] == 1].set_index(["pert", "cell", "gene"]).sort_index()["up"]
    for (drug, line), factors in PLANTED.items():
        found = changed.xs((drug, line)).to_dict() if (drug, line) in changed.index else {}
        assert {gene: factor > 1 for gene, factor in factors.items()}.items() <= found.items()
    assert removed == {}
    assert rows.equals(rows.sort_values(["pert", "gene", "cell"]))


def test_labels_are_those_of_scipy_and_statsmodels(adata, effects):
    rows, _ = effects
    logs = np.log1p(adata.X / adata.X.sum(axis=1, keepdims=True) * 1e4)
    of = adata.obs["drug"].to_numpy(), adata.obs["cell_line"].to_numpy()
    for drug, line in PLANTED:
        treated, control = (logs[(of[0] == name) & (of[1] == line)].astype(np.float64) for name in (drug, "DMSO_TF"))
        p = ranksums(treated, control).pvalue
        change = np.log2((np.expm1(treated.mean(0)) + 1e-9) / (np.expm1(control.mean(0)) + 1e-9))
        yes = (multipletests(p, method="fdr_bh")[1] < 0.05) & (np.abs(change) > 0.25)
        mine = rows[(rows["pert"] == drug) & (rows["cell"] == line)].set_index("gene")
        assert set(mine.index[mine["label"] == 1]) == set(np.array(GENES)[yes])
        no = np.array(GENES)[~yes & (p > 0.1)]
        taken = mine.index[mine["label"] == 0]
        assert len(taken) == min(200, len(no))
        assert set(taken) <= set(no)
        assert mine["up"].to_dict() == {g: bool(c > 0) for g, c in zip(GENES, change, strict=True) if g in mine.index}


def test_the_order_of_cells_and_genes_decides_nothing(adata, effects):
    rng = np.random.default_rng(1)
    mixed = adata[rng.permutation(adata.n_obs), rng.permutation(adata.n_vars)].copy()
    pd.testing.assert_frame_equal(drug_effects(mixed)[0], effects[0])
    other = drug_effects(adata, seed=1)[0]
    unchanged, changed = ([rows[rows["label"] == label] for rows in (other, effects[0])] for label in (0, 1))
    assert unchanged[0]["gene"].tolist() != unchanged[1]["gene"].tolist()
    assert changed[0].reset_index(drop=True).equals(changed[1].reset_index(drop=True))


def test_a_file_and_log_normalised_values(adata, effects, tmp_path):
    logs = adata.copy()
    logs.X = np.log1p(adata.X / adata.X.sum(axis=1, keepdims=True) * 1e4)
    logs.write_h5ad(tmp_path / "cells.h5ad")
    pd.testing.assert_frame_equal(drug_effects(tmp_path / "cells.h5ad")[0], effects[0])


def test_other_columns_and_controls(adata, effects):
    renamed = adata.copy()
    renamed.obs = pd.DataFrame(
        {"agent": adata.obs["drug"].replace("DMSO_TF", "buffer"), "line": adata.obs["cell_line"]}
    )
    found, _ = drug_effects(renamed, drug_key="agent", cell_line_key="line", control="buffer")
    pd.testing.assert_frame_equal(found, effects[0])
    with pytest.raises(DataError, match=r"no column drug, .*, but agent, line; name that of the drugs as `drug_key=`"):
        drug_effects(renamed)
    with pytest.raises(DataError, match=r"No cell has a name of a control.*`control=`"):
        drug_effects(renamed, drug_key="agent")
    with pytest.raises(DataError, match="No cell is of the control `water`"):
        drug_effects(renamed, drug_key="agent", control="water")
    with pytest.raises(InputError, match=r"`adata\.obs` has no column `lines`"):
        drug_effects(renamed, drug_key="agent", cell_line_key="lines")
    one_line = adata[(adata.obs["cell_line"] == "A549").to_numpy()].copy()
    del one_line.obs["cell_line"]
    changed = effects[0][(effects[0]["cell"] == "A549") & (effects[0]["label"] == 1)]
    found, _ = drug_effects(one_line)
    assert set(found["cell"]) == {""}
    assert found[found["label"] == 1]["gene"].tolist() == changed["gene"].tolist()


def test_what_is_left_out_is_counted(adata):
    some = adata.copy()
    drugs = some.obs["drug"].to_numpy(dtype=object)
    lines = some.obs["cell_line"].to_numpy(dtype=object)
    of = {drug: np.flatnonzero((drugs == drug) & (lines == "A549")) for drug in ("DMSO_TF", "JQ1")}
    drugs[of["DMSO_TF"][:5]] = "untreated"
    drugs[of["JQ1"][:3]] = None
    drugs[of["JQ1"][3:12]] = "rare"
    lines[np.flatnonzero((drugs == "DMSO_TF") & (lines == "MCF7"))[9:]] = "HeLa"
    some.obs = pd.DataFrame({"drug": drugs, "cell_line": lines}, index=some.obs_names)
    rows, removed = drug_effects(some)
    assert removed == {
        "cells without a name of a drug": 3,
        "cells of another control": 5,
        "drugs with fewer than 10 cells in a cell line": 1,
        "cell lines with fewer than 10 cells of the control": 1,
    }
    assert set(rows["cell"]) == {"A549"}
    assert set(rows["pert"]) == {"JQ1", "nutlin-3"}


def test_nothing_to_ask():
    with pytest.raises(DataError, match="No cell line has 10 cells of a drug and as many of the control"):
        drug_effects(cells(n=9))


def test_values_that_cannot_be_tested(adata):
    scaled = adata.copy()
    scaled.X = scaled.X - 3
    with pytest.raises(InputError, match="negative"):
        drug_effects(scaled)
