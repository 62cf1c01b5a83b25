import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy import sparse

import bftembed as bft
from bftembed.engines import Completion, Engine
from bftembed.errors import InputError

T_CELL, B_CELL = ["CD3E", "CD3D", "CD3G", "LCK"], ["MS4A1", "CD79A", "CD79B", "CD19"]
OTHERS = ["ALB", "APOA1", "APOB", "TTR", "TF", "FGA", "FGB", "FGG", "HP", "HPX", "AHSG", "SERPINA1"]
OPTIONS = {"n_top": 4, "progress": False}


class Fixed(Engine):
    """Gives every prompt of a kind the same answer."""

    name = "fixed"

    def __init__(self):
        self.prompts = []

    def _generate(self, requests, sampling):
        self.prompts += [request.chat[-1]["content"] for request in requests]
        answers = {
            "claims": '["CD3E and CD79A signal through an antigen receptor."]',
            "tools": "TOOL: enrichment(all)",
            "verdict": "Verdict: supported 1",
        }
        named = "Process: antigen receptor signaling\nConfidence: 0.7"
        yield [Completion(one.id, answers.get(one.id.partition(":")[0], named), "stop") for one in requests]

    def describe(self):
        return {"engine": "fixed"}


@pytest.fixture
def terms(tmp_path):
    sets = {
        "T cell receptor signaling": [*T_CELL, "ZAP70"],
        "B cell receptor signaling": [*B_CELL, "BTK"],
        "others": [*OTHERS, *(f"X{i}" for i in range(40))],
    }
    (tmp_path / "terms.gmt").write_text("".join("\t".join([name, "", *genes]) + "\n" for name, genes in sets.items()))
    return tmp_path / "terms.gmt"


@pytest.fixture
def cells():
    """Counts of T cells, B cells and others, whose labels say nothing that genes could."""
    draw = np.random.default_rng(0)
    level = np.ones((3, 20))
    level[0, :4] = level[1, 4:8] = level[2, 8:] = 9
    obs = pd.DataFrame(
        {"label": np.repeat(["secret-t", "secret-b", "secret-o"], 15)}, index=[f"c{i}" for i in range(45)]
    )
    counts = sparse.csr_matrix(draw.poisson(level.repeat(15, axis=0)).astype(np.float32))
    return anndata.AnnData(counts, obs, pd.DataFrame(index=[*T_CELL, *B_CELL, *OTHERS]))


@pytest.fixture
def name(terms, tmp_path):
    def named(genes, **options):
        options = {"terms": terms, "engine": "annotation", "store": tmp_path / "a.sqlite", "progress": False} | options
        return bft.tl.name_gene_set(genes, **options)

    return named


def test_one_list_gives_one_row_and_a_mapping_a_table(name):
    one = name(T_CELL)
    assert (one["name"], one["terms"][0]["overlap"]) == ("T cell receptor signaling", sorted(T_CELL))
    table = name({"a": T_CELL, "b": B_CELL})
    assert table["name"].tolist() == ["T cell receptor signaling", "B cell receptor signaling"]
    assert table.loc["a"].drop("confidence").equals(one.drop("confidence"))
    for each in (tuple(T_CELL), np.array(T_CELL), pd.Series(T_CELL), pd.Index(T_CELL), (gene for gene in T_CELL)):
        assert name(each)["name"] == one["name"]


def test_groups_of_cells_are_named_by_their_genes(name, cells, tmp_path):
    engine = Fixed()
    table = name(cells, groupby="label", engine=engine, cascade=True, **OPTIONS)
    assert table.index.tolist() == ["secret-b", "secret-o", "secret-t"]  # as categories of text are sorted
    assert set(table.loc["secret-t", "genes"]) == set(T_CELL)
    assert table.loc["secret-t", "best_term"] == "T cell receptor signaling"
    assert [claim["verdict"] for claim in table.loc["secret-t", "claims"]] == ["supported"]
    assert not any("secret" in prompt for prompt in engine.prompts)
    cells.write_h5ad(tmp_path / "named.h5ad")
    held = anndata.read_h5ad(tmp_path / "named.h5ad").uns["bft"]["bft_process"]["names"]
    assert held["names"]["name"].tolist() == table["name"].tolist()
    assert held["names"].index.tolist() == table.index.tolist()
    assert held["names"].loc["secret-t", "genes"] == ", ".join(table.loc["secret-t", "genes"])
    assert set(held["terms"].query("gene_set == 'secret-t'")["term"]) == {"T cell receptor signaling"}
    assert held["claims"]["verdict"].tolist() == [c["verdict"] for those in table["claims"] for c in those]
    assert held["groupby"] == "label"
    assert held["genes_by"] == "Welch's t against all other cells"
    assert held["engine"]["engine"] == "fixed"


def test_results_without_claims_and_terms_can_be_written_too(name, cells, tmp_path):
    (tmp_path / "none.gmt").write_text("far\t\tBRCA1\tBRCA2\n")
    table = name(cells, groupby="label", terms=tmp_path / "none.gmt", key_added="k", **OPTIONS)
    assert table["agreement"].tolist() == ["no name"] * 3
    for path in (tmp_path / "named.h5ad", tmp_path / "named.zarr"):
        (cells.write_h5ad if path.suffix == ".h5ad" else cells.write_zarr)(path)
    held = anndata.read_h5ad(tmp_path / "named.h5ad").uns["bft"]["k"]["names"]
    assert (len(held["terms"]), len(held["claims"]), len(held["names"])) == (0, 0, 3)


def test_a_ranking_of_scanpy_is_used_where_it_is_of_these_groups(name, cells):
    logged = cells.copy()
    sc.pp.normalize_total(logged, target_sum=1e4)
    sc.pp.log1p(logged)
    sc.tl.rank_genes_groups(logged, "label", method="wilcoxon", groups=["secret-t", "secret-b"])
    used = name(logged, groupby="label", **OPTIONS)
    assert used.index.tolist() == ["secret-b", "secret-t"]
    assert logged.uns["bft"]["bft_process"]["names"]["genes_by"] == "uns['rank_genes_groups']"
    expected = sc.get.rank_genes_groups_df(logged, "secret-t").query("scores > 0")["names"][:4]
    assert used.loc["secret-t", "genes"] == expected.tolist()
    anew = name(logged, groupby="label", ranked=None, **OPTIONS)
    assert len(anew) == 3
    logged.obs["other"] = logged.obs["label"].astype(str).map({"secret-t": "1", "secret-b": "2", "secret-o": "2"})
    assert name(logged, groupby="other", **OPTIONS).index.tolist() == ["1", "2"]
    with pytest.raises(InputError, match=r"has no ranking 'mine'"):
        name(logged, groupby="label", ranked="mine", **OPTIONS)
    logged.uns["mine"] = logged.uns["rank_genes_groups"]
    with pytest.raises(InputError, match=r"is of 'label', not of 'other'"):
        name(logged, groupby="other", ranked="mine", **OPTIONS)


def test_a_ranking_that_was_filtered_or_read_from_a_file_is_one(name, cells, tmp_path):
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    sc.tl.rank_genes_groups(cells, "label", method="t-test")
    cells.write_h5ad(tmp_path / "c.h5ad")
    backed = anndata.read_h5ad(tmp_path / "c.h5ad", backed="r")
    assert name(backed, groupby="label", **OPTIONS).equals(name(cells, groupby="label", **OPTIONS))
    sc.tl.filter_rank_genes_groups(
        cells, key_added="few", min_fold_change=1.5, max_out_group_fraction=1
    )  # NaN in place of those it leaves out
    assert set(name(cells, groupby="label", ranked="few", n_top=20).loc["secret-t", "genes"]) == set(T_CELL)


def test_names_of_genes_in_a_column_of_var_and_ensembl_ids(name, cells, mirror):
    table = bft.datasets.gene_table()
    cells.var["symbol"] = cells.var_names
    cells.var_names = [table.ensembl_ids.get(gene, f"id{i}") for i, gene in enumerate(cells.var_names)]
    by_id = name(cells, groupby="label", **OPTIONS)
    assert set(by_id.loc["secret-t", "genes"]) == set(T_CELL)
    assert set(by_id.loc["secret-b", "genes"]) == set(B_CELL)
    by_column = name(cells, groupby="label", gene_symbols="symbol", **OPTIONS)
    assert set(by_column.loc["secret-b", "genes"]) == set(B_CELL)
    with pytest.raises(InputError, match="has no column `symbols`"):
        name(cells, groupby="label", gene_symbols="symbols", **OPTIONS)


def test_backed_cells_and_views(name, cells, tmp_path):
    expected = name(cells[cells.obs["label"] != "secret-o"].copy(), groupby="label", **OPTIONS)
    view = cells[cells.obs["label"] != "secret-o"]
    assert name(view, groupby="label", **OPTIONS).equals(expected)
    assert "bft_process" in view.uns["bft"]
    cells.write_h5ad(tmp_path / "c.h5ad")
    backed = anndata.read_h5ad(tmp_path / "c.h5ad", backed="r")
    assert set(name(backed, groupby="label", **OPTIONS).loc["secret-t", "genes"]) == set(T_CELL)
    with pytest.raises(InputError, match="view of a backed AnnData"):
        name(backed[:30], groupby="label", **OPTIONS)


def test_groups_that_are_numbers(name, cells):
    cells.obs["leiden"] = np.repeat([2, 10, 1], 15)
    assert name(cells, groupby="leiden", **OPTIONS).index.tolist() == ["1", "2", "10"]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {}, r"Say with `groupby`"),
        ({}, {"groupby": "labels"}, r"has no column `labels`.*Did you mean `label`"),
        ({"label": [np.nan, *["a"] * 22, *["b"] * 22]}, {"groupby": "label"}, r"1 of 45 cells have no cluster"),
        (
            {"label": ["alone", *["a"] * 22, *["b"] * 22]},
            {"groupby": "label"},
            r"Cluster 'alone' of `label` is one cell",
        ),
        ({"label": np.arange(45) / 7}, {"groupby": "label"}, r"is one cell, whose genes cannot be tested"),
        ({"label": ["a"] * 45}, {"groupby": "label"}, r"All 45 cells are in one cluster"),
        ({}, {"groupby": "label", "n_top": 1}, r"Each of the 3 gene sets has fewer than 2 genes that are known"),
        ({}, {"groupby": "label", "n_top": 0}, r"`n_top` is a whole number"),
        ({}, {"groupby": "label", "n_terms": 0}, r"`n_terms` is a whole number"),
        ({}, {"groupby": "label", "key_added": "a/b"}, r"cannot be a key"),
    ],
)
def test_cells_that_cannot_be_named_are_refused(name, cells, change, options, message):
    cells.obs = cells.obs.assign(**change)
    with pytest.raises(InputError, match=message):
        name(cells, **options)
    assert "bft" not in cells.uns


@pytest.mark.parametrize(
    ("genes", "options", "message"),
    [
        ([], {}, "fewer than 2 genes"),
        (["TP53"], {}, "fewer than 2 genes"),
        ("TP53", {}, "`genes` is a list of genes"),
        (None, {}, "`genes` is a list of genes"),
        (pd.DataFrame({"a": T_CELL}), {}, "`genes` is a list of genes"),
        (T_CELL, {"groupby": "label"}, "`groupby` is for an AnnData; genes were given as a list"),
        ({"a": T_CELL}, {"n_top": 5}, "`n_top` is for an AnnData"),
        (T_CELL, {"cascade": True}, "checks what a language model says"),
    ],
)
def test_lists_that_cannot_be_named_are_refused(name, genes, options, message):
    with pytest.raises(InputError, match=message):
        name(genes, **options)
