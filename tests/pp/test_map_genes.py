import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from bftembed import data, datasets, pp
from bftembed.errors import BftembedWarning, GeneNameError, InputError

NAMES = ["TP53", "p53", "SEPT2", "DIFF6", "ENSG00000010610.7", "nope", "ENSG00000141510"]
COUNTS = np.array([[1, 0, 0, 1, 2, 1, 2], [1, 3, 0, 1, 0, 1, 1]], dtype=np.float32)
KEPT = [None, "TP53", "SEPTIN2", None, "CD4", None, None]  # TP53 three times: 2, 3 and 3 counts, the first 3 wins
KINDS = {"dense": np.asarray, "csr": sp.csr_matrix, "csc": sp.csc_matrix, "csr_array": sp.csr_array}


@pytest.fixture
def adata():
    return ad.AnnData(sp.csr_matrix(COUNTS), var=pd.DataFrame(index=NAMES))


@pytest.fixture
def no_sources(monkeypatch, tmp_path):
    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path))
    monkeypatch.delenv("BFTEMBED_MIRROR", raising=False)


def genes(adata, key="bft_gene"):
    column = pd.Series(np.asarray(adata.var[key], dtype=object))
    return [None if pd.isna(gene) else gene for gene in column]


@pytest.mark.parametrize("kind", KINDS)
def test_columns_of_one_gene_keep_the_largest(table, kind):
    adata = ad.AnnData(KINDS[kind](COUNTS), var=pd.DataFrame(index=NAMES))
    pp.map_genes(adata, table=table)
    assert genes(adata) == KEPT
    assert adata.var["bft_gene_rule"].tolist() == [
        "duplicate",
        "alias",
        "previous",
        "ambiguous",
        "ensembl",
        "unknown",
        "duplicate",
    ]
    assert adata.var_names.tolist() == NAMES
    np.testing.assert_array_equal(adata.X if kind == "dense" else adata.X.toarray(), COUNTS)


def test_what_became_of_each_name_is_in_uns(adata, table):
    adata.uns["bft"] = {"other": 1}
    pp.map_genes(adata, table=table)
    summary = adata.uns["bft"]["map_genes"]
    assert adata.uns["bft"]["other"] == 1
    assert summary["counts"] == {"duplicate": 2, "alias": 1, "previous": 1, "ambiguous": 1, "ensembl": 1, "unknown": 1}
    assert summary["ambiguous"]["name"].tolist() == ["DIFF6"]
    assert summary["ambiguous"]["candidates"].tolist() == ["SEPTIN1|SEPTIN2"]
    assert summary["duplicates"]["dropped"].tolist() == ["TP53", "ENSG00000141510"]
    assert summary["duplicates"]["kept"].tolist() == ["p53", "p53"]
    assert summary["duplicates"]["gene"].tolist() == ["TP53", "TP53"]
    assert summary["table"] == table.digest


def test_the_log_has_one_line_and_the_duplicates(adata, table, caplog):
    with caplog.at_level("INFO", logger="bftembed"):
        pp.map_genes(adata, table=table)
    report, duplicates = caplog.messages
    assert report.startswith(
        "7 gene names: 5 mapped (1 approved, 2 ensembl, 1 previous, 1 alias), 1 ambiguous, 1 unknown"
    )
    assert "\n" not in report
    assert "TP53 (kept: p53)" in duplicates


@pytest.mark.parametrize("kind", ["dense", "csr", "csc"])
def test_backed(table, kind, tmp_path):
    ad.AnnData(KINDS[kind](COUNTS), var=pd.DataFrame(index=NAMES)).write_h5ad(tmp_path / "x.h5ad")
    adata = ad.read_h5ad(tmp_path / "x.h5ad", backed="r")
    pp.map_genes(adata, table=table)
    assert genes(adata) == KEPT
    adata.file.close()


@pytest.mark.filterwarnings("ignore:.*zarr:UserWarning")
@pytest.mark.parametrize("kind", ["dense", "csr", "csc"])
@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_lazy(table, kind, suffix, tmp_path):
    pytest.importorskip("dask")
    pytest.importorskip("xarray")
    path = tmp_path / f"x.{suffix}"
    var = pd.DataFrame({"gene": pd.Categorical(NAMES)}, index=[f"g{i}" for i in range(7)])
    source = ad.AnnData(KINDS[kind](COUNTS), var=var)
    (source.write_h5ad if suffix == "h5ad" else source.write_zarr)(path)
    adata = ad.experimental.read_lazy(path)
    pp.map_genes(adata, table=table, gene_key="gene")
    assert genes(adata) == KEPT
    assert adata.uns["bft"]["map_genes"]["gene_key"] == "gene"


@pytest.mark.filterwarnings("ignore:.*zarr:UserWarning")
@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
@pytest.mark.parametrize("names", [NAMES, ["TP53", "CD4", "a/b", "DIFF6", "x", "y", "z"], ["CD4", "TP53", *"abcde"]])
def test_results_survive_writing(table, suffix, names, tmp_path):
    adata = ad.AnnData(COUNTS, var=pd.DataFrame(index=names))
    pp.map_genes(adata, table=table)
    path = tmp_path / f"x.{suffix}"
    (adata.write_h5ad if suffix == "h5ad" else adata.write_zarr)(path)
    back = ad.read_h5ad(path) if suffix == "h5ad" else ad.read_zarr(path)
    pd.testing.assert_frame_equal(back.var, adata.var, check_index_type=False, check_categorical=False)
    before, after = adata.uns["bft"]["map_genes"], back.uns["bft"]["map_genes"]
    assert after["counts"] == before["counts"]
    assert after["table"] == before["table"]
    for what in ("ambiguous", "duplicates"):
        assert {k: v.tolist() for k, v in after[what].items()} == {k: v.tolist() for k, v in before[what].items()}


@pytest.mark.parametrize("dtype", ["string", "category", "object"])
def test_any_type_of_index(table, dtype):
    adata = ad.AnnData(COUNTS)
    adata.var["gene"] = pd.Series(NAMES, index=adata.var_names, dtype=dtype)
    if dtype != "category":
        adata.var_names = pd.Index(NAMES, dtype=dtype)
        pp.map_genes(adata, table=table)
        assert genes(adata) == KEPT
    pp.map_genes(adata, table=table, gene_key="gene", key_added="other")
    assert genes(adata, "other") == KEPT


def test_missing_names_are_missing(table):
    adata = ad.AnnData(COUNTS[:, :3], var=pd.DataFrame({"gene": ["TP53", None, np.nan]}, index=list("abc")))
    pp.map_genes(adata, table=table, gene_key="gene")
    assert adata.var["bft_gene_rule"].tolist() == ["approved", "missing", "missing"]


def test_gene_id_type_is_passed_on(adata, table):
    pp.map_genes(adata, table=table, gene_id_type="ensembl")
    assert genes(adata) == [None, None, None, None, "CD4", None, "TP53"]


def test_of_equal_totals_the_first_wins_and_nan_loses(table):
    names = ["TP53", "p53", "CD4", "cd4"]
    counts = np.array([[1.0, 1.0, np.nan, 0.0]])
    adata = ad.AnnData(counts, var=pd.DataFrame(index=names))
    pp.map_genes(adata, table=table)
    assert genes(adata) == ["TP53", None, None, "CD4"]


def test_without_x_the_first_wins(table):
    adata = ad.AnnData(obs=pd.DataFrame(index=["c"]), var=pd.DataFrame(index=["p53", "TP53"]))
    pp.map_genes(adata, table=table)
    assert genes(adata) == ["TP53", None]


def test_repeated_var_names_are_refused_and_the_remedy_works(table):
    adata = ad.AnnData(COUNTS[:, :3])
    adata.var_names = pd.Index(["CD4", "TP53", "CD4"])
    with pytest.raises(InputError, match=r"1 names .* more than once \('CD4'\)") as caught:
        pp.map_genes(adata, table=table)
    assert "bft_gene" not in adata.var
    remedy = str(caught.value).split("`")[3]
    exec(remedy, {"adata": adata})
    pp.map_genes(adata, table=table, gene_key="gene_name")
    assert genes(adata) == ["CD4", "TP53", None]


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_empty_is_refused(table, shape):
    with pytest.raises(InputError, match=f"empty: {shape[0]} cells x {shape[1]} genes"):
        pp.map_genes(ad.AnnData(np.zeros(shape)), table=table)


def test_an_unknown_column_is_refused(adata, table):
    adata.var["symbol"] = NAMES
    with pytest.raises(InputError, match=r"no column 'gene'; it has \['symbol'\]"):
        pp.map_genes(adata, table=table, gene_key="gene")


def test_no_known_gene_is_an_error_with_examples(table):
    adata = ad.AnnData(COUNTS[:, :4], var=pd.DataFrame(index=["peak1", "peak2", "peak3", "peak4"]))
    with pytest.raises(GeneNameError, match=r"None of 4 .*'peak1', 'peak2', 'peak3'\).*`gene_key="):
        pp.map_genes(adata, table=table)
    assert adata.var.columns.empty
    assert "bft" not in adata.uns


@pytest.mark.parametrize(
    "names", [["Tp53", "Cd4", "Gm1", "TP53"], ["ENSMUSG00000059552", "ENSMUSG00000023274.1", "x", "y"]]
)
def test_mouse_genes_that_are_called_human_are_refused(table, names):
    adata = ad.AnnData(COUNTS[:, :4], var=pd.DataFrame(index=names))
    with pytest.raises(GeneNameError, match=r"2 of 4 are mouse Ensembl ids or match .* by case alone.*species='mouse'"):
        pp.map_genes(adata, table=table)


def test_capitals_are_the_way_out_for_human_genes_in_title_case(table):
    adata = ad.AnnData(COUNTS[:, :2], var=pd.DataFrame(index=["Tp53", "Cd4"]))
    adata.var["gene_name"] = adata.var_names.str.upper()
    pp.map_genes(adata, table=table, gene_key="gene_name")
    assert genes(adata) == ["TP53", "CD4"]


def test_lower_case_is_no_mouse(table):
    adata = ad.AnnData(COUNTS[:, :2], var=pd.DataFrame(index=["tp53", "cd4"]))
    pp.map_genes(adata, table=table)
    assert genes(adata) == ["TP53", "CD4"]


def test_a_mixture_of_species_is_warned_of(table):
    adata = ad.AnnData(COUNTS[:, :4], var=pd.DataFrame(index=["TP53", "CD4", "SEPTIN2", "Ms4a1"]))
    with pytest.warns(BftembedWarning, match="1 of 4 gene names look like those of a mouse"):
        pp.map_genes(adata, table=table)


def test_mouse_with_orthologs(table):
    adata = ad.AnnData(COUNTS[:, :3], var=pd.DataFrame(index=["Trp53", "Cd4", "Gm1"]))
    pp.map_genes(adata, table=table, species="mouse", orthologs={"Trp53": "TP53", "Cd4": "CD4"})
    assert genes(adata) == ["TP53", "CD4", None]
    assert adata.uns["bft"]["map_genes"]["species"] == "mouse"


def test_mouse_without_orthologs_keeps_its_names(table):
    adata = ad.AnnData(COUNTS[:, :2], var=pd.DataFrame(index=["Trp53", "Cd4"]))
    with pytest.warns(BftembedWarning, match="no ortholog table") as caught:
        pp.map_genes(adata, table=table, species="mouse")
    assert len(caught) == 1
    assert genes(adata) == ["Trp53", "Cd4"]
    assert set(adata.var["bft_gene_rule"]) == {"unmapped species"}


def test_without_a_table_names_stay_with_one_warning(adata, no_sources):
    with pytest.warns(BftembedWarning, match="bftembed data fetch hgnc_genes") as caught:
        pp.map_genes(adata)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert genes(adata) == NAMES
    assert adata.uns["bft"]["map_genes"]["table"] == "none"


def test_mapping_a_mapped_matrix_changes_nothing(adata, table):
    pp.map_genes(adata, table=table)
    pp.map_genes(adata, table=table, gene_key="bft_gene", key_added="again")
    assert genes(adata, "again") == genes(adata)


def test_pbmc68k(mirror):
    adata = datasets.pbmc68k_reduced()
    pp.map_genes(adata)
    mapped = adata.var["bft_gene"].dropna()
    assert mapped.is_unique
    assert len(mapped) > 0.97 * adata.n_vars
    assert adata.uns["bft"]["map_genes"]["counts"]["approved"] < len(mapped), "some symbols have changed since"


def test_real_repeated_genes_keep_the_largest_total(mirror):
    adata = data.load("bremsc_pbmc", "rna")
    with pytest.raises(InputError, match="24 names"):
        pp.map_genes(adata)
    adata.var["gene_name"] = adata.var_names
    adata.var_names_make_unique()
    pp.map_genes(adata, gene_key="gene_name")
    kept = adata.var["bft_gene"].dropna()
    assert kept.is_unique
    total = pd.Series(np.asarray(adata.X.sum(axis=0)).ravel(), index=adata.var["gene_name"])
    repeated = adata.var["gene_name"][adata.var["gene_name"].duplicated()]
    won = 0
    for name in repeated:
        winner = adata.var.index[(adata.var["bft_gene"] == name).to_numpy()]
        if len(winner):
            won += 1
            assert np.asarray(adata[:, winner].X.sum()) >= total[name].max()
    assert won > 0
