import itertools

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import bftembed.data
from bftembed import data, datasets, pp
from bftembed.errors import BftembedWarning, GeneNameError, InputError

NAMES = ["TP53", "p53", "SEPT2", "DIFF6", "ENSG00000010610.7", "nope", "ENSG00000141510"]
COUNTS = np.array([[1, 0, 0, 1, 2, 1, 2], [1, 3, 0, 1, 0, 1, 1]], dtype=np.float32)
KEPT = ["TP53", None, "SEPTIN2", None, "CD4", None, None]  # TP53 three times: the symbol, not the larger alias and id
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
def test_of_columns_of_one_gene_the_best_match_keeps_it(table, kind):
    adata = ad.AnnData(KINDS[kind](COUNTS), var=pd.DataFrame(index=NAMES))
    pp.map_genes(adata, table=table)
    assert genes(adata) == KEPT
    assert adata.var["bft_gene_rule"].tolist() == [
        "approved",
        "duplicate",
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
    assert summary["counts"] == {
        "duplicate": 2,
        "approved": 1,
        "previous": 1,
        "ambiguous": 1,
        "ensembl": 1,
        "unknown": 1,
    }
    assert summary["ambiguous"]["name"].tolist() == ["DIFF6"]
    assert summary["ambiguous"]["candidates"].tolist() == ["SEPTIN1|SEPTIN2"]
    assert summary["duplicates"]["dropped"].tolist() == ["p53", "ENSG00000141510"]
    assert summary["duplicates"]["rule"].tolist() == ["alias", "ensembl"]
    assert summary["duplicates"]["kept"].tolist() == ["TP53", "TP53"]
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
    assert "p53 (alias; kept: TP53), ENSG00000141510 (ensembl; kept: TP53)" in duplicates


@pytest.mark.parametrize(("n", "end"), [(5, "kept: TP53)"), (6, "kept: TP53), ...")])
def test_the_log_says_whether_more_were_left_out(table, n, end, caplog):
    names = ["TP53", *(f"ENSG00000141510.{i}" for i in range(n))]
    with caplog.at_level("INFO", logger="bftembed"):
        pp.map_genes(ad.AnnData(np.ones((2, n + 1), dtype=np.float32), var=pd.DataFrame(index=names)), table=table)
    assert caplog.messages[-1].endswith(end)


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
    pp.map_genes(adata, table=table, gene_symbols="gene")
    assert genes(adata) == KEPT
    assert adata.uns["bft"]["map_genes"]["gene_symbols"] == "gene"


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
    pp.map_genes(adata, table=table, gene_symbols="gene", key_added="other")
    assert genes(adata, "other") == KEPT


def test_missing_names_are_missing(table):
    adata = ad.AnnData(COUNTS[:, :3], var=pd.DataFrame({"gene": ["TP53", None, np.nan]}, index=list("abc")))
    pp.map_genes(adata, table=table, gene_symbols="gene")
    assert adata.var["bft_gene_rule"].tolist() == ["approved", "missing", "missing"]


def test_gene_id_type_is_passed_on(adata, table):
    pp.map_genes(adata, table=table, gene_id_type="ensembl")
    assert genes(adata) == [None, None, None, None, "CD4", None, "TP53"]


def test_among_equal_matches_the_largest_total_wins_then_the_first_and_nan_loses(table):
    ids = ["ENSG00000141510", "ENSG00000141510.2", "ENSG00000141510.3", "ENSG00000010610", "ENSG00000010610.7"]
    counts = np.array([[1.0, 2.0, 2.0, np.nan, 0.0]])
    adata = ad.AnnData(counts, var=pd.DataFrame(index=ids))
    pp.map_genes(adata, table=table)
    assert genes(adata) == [None, "TP53", None, None, "CD4"]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_a_weak_match_never_displaces_a_strong_one(table, order):
    """Whatever the counts and the order: symbol, id, case slip, alias."""
    names = np.array(["TP53", "ENSG00000141510", "tp53", "p53"])
    counts = np.array([0, 10, 100, 1000], dtype=np.float32)
    for n in range(4):
        left = [i for i in order if i >= n]
        adata = ad.AnnData(counts[None, left], var=pd.DataFrame(index=names[left]))
        pp.map_genes(adata, table=table)
        assert adata.var_names[adata.var["bft_gene"].notna()].tolist() == [names[n]]


def test_genes_of_a_virus_leave_those_of_its_host_alone(mirror):
    host, virus = ["XK", "PNP", "BLOC1S6", "PBRM1", "PTPN11", "DDR1", "TP53"], ["NA", "NP", "PA", "PB1", "NS1", "NEP"]
    counts = np.ones((3, 13), dtype=np.float32)
    counts[:, 7:] = 500
    adata = ad.AnnData(counts, var=pd.DataFrame(index=virus + host).iloc[::-1])
    pp.map_genes(adata)
    assert adata.var.loc[host, "bft_gene"].tolist() == host


def test_repeated_var_names_are_refused_and_the_remedy_works(table):
    adata = ad.AnnData(COUNTS[:, :3])
    adata.var_names = pd.Index(["CD4", "TP53", "CD4"])
    with pytest.raises(InputError, match=r"1 names .* more than once \('CD4'\)") as caught:
        pp.map_genes(adata, table=table)
    assert "bft_gene" not in adata.var
    remedy = str(caught.value).split("`")[3]
    exec(remedy, {"adata": adata})
    pp.map_genes(adata, table=table, gene_symbols="gene_name")
    assert genes(adata) == ["CD4", "TP53", None]


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_empty_is_refused(table, shape):
    with pytest.raises(InputError, match=f"empty: {shape[0]} cells x {shape[1]} genes"):
        pp.map_genes(ad.AnnData(np.zeros(shape)), table=table)


def test_an_unknown_column_is_refused(adata, table):
    adata.var["symbol"] = NAMES
    with pytest.raises(InputError, match=r"no column `gene`; it has symbol"):
        pp.map_genes(adata, table=table, gene_symbols="gene")


def test_no_known_gene_is_an_error_with_examples(table):
    adata = ad.AnnData(COUNTS[:, :4], var=pd.DataFrame(index=["peak1", "peak2", "peak3", "peak4"]))
    with pytest.raises(GeneNameError, match=r"None of 4 .*'peak1', 'peak2', 'peak3'\).*`gene_symbols="):
        pp.map_genes(adata, table=table)
    assert adata.var.columns.empty
    assert "bft" not in adata.uns


def numbered(n, prefix=""):
    return ad.AnnData(np.ones((2, n), dtype=np.float32), var=pd.DataFrame(index=[f"{prefix}{i}" for i in range(n)]))


@pytest.mark.parametrize("prefix", ["", "V", "X", "PC", "P", "c", "f", "gene"])
def test_accidental_matches_of_numbered_columns_are_a_failure(mirror, prefix):
    adata = numbered(200, prefix)
    with pytest.raises(GeneNameError, match=r"(None|Only \d+) of 200 gene names could be mapped"):
        pp.map_genes(adata)
    assert adata.var.columns.empty


def test_numbers_are_no_names_without_a_table_either(no_sources):
    with pytest.warns(BftembedWarning, match="no gene table"), pytest.raises(GeneNameError, match="are numbers"):
        pp.map_genes(numbered(3))


def test_entrez_ids_are_refused_and_the_remedy_works(mirror):
    adata = ad.AnnData(np.ones((2, 3), dtype=np.float32), var=pd.DataFrame(index=["7157", "672", "999999999"]))
    with pytest.raises(GeneNameError, match="Entrez ids") as caught:
        pp.map_genes(adata)
    exec(str(caught.value).split("`")[1], {"adata": adata, "bftembed": bftembed})
    pp.map_genes(adata, gene_symbols="gene_name")
    assert genes(adata) == ["TP53", "BRCA1", None]


def test_the_column_that_holds_the_names_is_named(table):
    adata = numbered(4)
    adata.var["n"], adata.var["chromosome"] = range(4), list("1XYM")
    adata.var["feature"] = pd.Categorical(["TP53", "CD4", "MS4A1", None])
    with pytest.raises(GeneNameError, match=r"pass `gene_symbols='feature'`"):
        pp.map_genes(adata, table=table)
    pp.map_genes(adata, table=table, gene_symbols="feature")
    assert genes(adata) == ["TP53", "CD4", "MS4A1", None]


@pytest.mark.parametrize(
    ("names", "said", "mapped"),
    [
        (["GRCh38_TP53", "GRCh38_CD4", "mm10___Trp53"], "prefix 'GRCh38_', others 'mm10___'", ["TP53", "CD4"]),
        (["mm10___Cd4", "mm10___Trp53", "mm10___Ms4a1", "hg19_TP53"], "prefix 'hg19_', others 'mm10___'", ["TP53"]),
        (["GRCh38______TP53", "GRCh38______CD20"], "prefix 'GRCh38______'", ["TP53", "MS4A1"]),
        (["GRCh38-2020-A_TP53", "GRCh38-2020-A_CD4"], "prefix 'GRCh38-2020-A_'", ["TP53", "CD4"]),
        (["hg19-ENSG00000141510.7", "hg19-ENSG00000010610.2"], "prefix 'hg19-'", ["TP53", "CD4"]),
        (["gene:ENSG00000141510", "gene:ENSG00000010610"], "prefix 'gene:'", ["TP53", "CD4"]),
        (["ENSG00000141510_TP53", "ENSG00000010610_CD4"], "prefix 'ENSG00000141510_'", ["TP53", "CD4"]),
        (["TP53|7157", "CD4|920", "?|10431"], r"suffix '\|7157'", ["TP53", "CD4", None]),
        (["TP53 (ENSG00000141510)", "CD4 (ENSG00000010610)"], "suffix ", ["TP53", "CD4"]),
        (["TP53_HUMAN", "CD4_HUMAN"], "suffix '_HUMAN'", ["TP53", "CD4"]),
        (["TP53-gex", "SEPT2-gex", "x-gex"], "suffix '-gex'", ["TP53", "SEPTIN2", None]),
    ],
)
def test_what_names_have_in_common_is_named_with_the_line_that_takes_it_away(table, names, said, mapped):
    adata = ad.AnnData(np.ones((2, len(names)), dtype=np.float32), var=pd.DataFrame(index=names))
    with pytest.raises(GeneNameError, match=f"have the {said}") as caught:
        pp.map_genes(adata, table=table)
    space = {"adata": adata}
    exec(str(caught.value).split("`")[1], space)
    pp.map_genes(space["adata"], table=table, gene_symbols="gene_name")
    assert genes(space["adata"]) == mapped


def test_a_prefix_of_half_of_the_names_is_named_in_the_warning(table):
    prefixed = [f"GRCh38_{symbol}" for symbol in ["CD4", "MS4A1", "SEPTIN1", "SEPTIN2"]]
    names = [*(f"x{i}" for i in range(8)), "TP53", "CD4", *prefixed * 4]
    adata = ad.AnnData(np.ones((1, 26), dtype=np.float32))
    adata.var["names"] = names
    with pytest.warns(BftembedWarning, match=r"Only 2 of 26 .*prefix 'GRCh38_'.*`adata.var\[\"gene_name\"\] = "):
        pp.map_genes(adata, table=table, gene_symbols="names")


@pytest.mark.parametrize(
    "names", [["Tp53", "Cd4", "Gm1", "TP53"], ["ENSMUSG00000059552", "ENSMUSG00000023274.1", "x", "y"]]
)
def test_mouse_genes_that_are_called_human_are_refused(table, names):
    adata = ad.AnnData(COUNTS[:, :4], var=pd.DataFrame(index=names))
    with pytest.raises(
        GeneNameError,
        match=r"2 of 4 are mouse Ensembl ids or match .* by case alone.*map_genes\(adata, species=\"mouse\"",
    ):
        pp.map_genes(adata, table=table)


def test_capitals_are_the_way_out_for_human_genes_in_title_case(table):
    adata = ad.AnnData(COUNTS[:, :2], var=pd.DataFrame(index=["Tp53", "Cd4"]))
    adata.var["gene_name"] = adata.var_names.str.upper()
    pp.map_genes(adata, table=table, gene_symbols="gene_name")
    assert genes(adata) == ["TP53", "CD4"]


def test_lower_case_is_no_mouse(table):
    adata = ad.AnnData(COUNTS[:, :2], var=pd.DataFrame(index=["tp53", "cd4"]))
    pp.map_genes(adata, table=table)
    assert genes(adata) == ["TP53", "CD4"]


def test_a_mixture_of_species_is_warned_of(table):
    adata = ad.AnnData(COUNTS[:, :4], var=pd.DataFrame(index=["TP53", "CD4", "SEPTIN2", "ENSMUSG00000059552"]))
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
    pp.map_genes(adata, table=table, gene_symbols="bft_gene", key_added="again")
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
    pp.map_genes(adata, gene_symbols="gene_name")
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


def test_duplicates_of_a_backed_anndata_without_x(table, tmp_path):
    adata = ad.AnnData(shape=(2, 7), var=pd.DataFrame(index=NAMES))
    adata.layers["counts"] = sp.csr_matrix(COUNTS)
    adata.write_h5ad(tmp_path / "x.h5ad")
    pp.map_genes(adata, table=table)
    backed = ad.read_h5ad(tmp_path / "x.h5ad", backed="r")
    pp.map_genes(backed, table=table)
    assert genes(backed) == genes(adata)
    backed.file.close()


def test_a_view_is_mapped_without_a_warning_of_anndata(table, adata):
    view = adata[:, :]
    pp.map_genes(view, table=table)
    assert "bft_gene" in view.var
    assert "bft_gene" not in adata.var


def test_what_is_no_anndata_is_refused(table):
    with pytest.raises(InputError, match="`adata` is a DataFrame"):
        pp.map_genes(pd.DataFrame(), table=table)
