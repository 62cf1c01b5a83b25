import pytest

from bftembed.genes import bridges
from bftembed.genes.claims import gather, hgnc_claims, resolve


@pytest.fixture
def known(hgnc):
    return bridges.NameIndex(resolve(hgnc_claims(hgnc)))


def triples(claims):
    return {row for frame in claims for row in frame.itertuples(index=False, name=None)}


def test_ensembl_ids_get_the_symbols_of_today(annotables, known):
    claims = triples(bridges.ensembl_claims(bridges.ensembl_frame(annotables), known))
    assert ("ENSG00000000460", "ensembl", "FIRRM") in claims
    assert ("ENSG00000000001", "ensembl", "NOVELG") in claims
    assert ("NOVELG", "listed", "NOVELG") in claims
    assert {symbol for name, _, symbol in claims if name == "ENSG00000000005"} == {"SPP1", "OPN1SW"}


def test_names_that_ensembl_gives_to_many_loci_are_no_genes(annotables, known):
    claims = triples(bridges.ensembl_claims(bridges.ensembl_frame(annotables), known))
    assert not {claim for claim in claims if "Y_RNA" in claim or claim[0] == "ENSG00000000004"}


def test_a_case_slip_of_an_approved_symbol_is_not_listed_beside_it(annotables, known):
    claims = triples(bridges.ensembl_claims(bridges.ensembl_frame(annotables), known))
    assert not {claim for claim in claims if claim[0] == "cD4"}


def test_the_id_on_the_primary_assembly_is_preferred(annotables, known):
    genes = bridges.ensembl_frame(annotables)
    rows = resolve(gather(*bridges.ensembl_claims(genes, known)))
    assert bridges.best_ids(rows, genes.loc[genes["primary"], "ensgene"])["CAD"] == "ENSG00000084774"
    assert bridges.best_ids(rows, genes["ensgene"])["CAD"] == "ENSG00000000009", "the lowest, where nothing tells"


def test_without_chromosomes_every_id_is_as_good(annotables):
    assert bridges.ensembl_frame(annotables.drop(columns="chr"))["primary"].all()


def test_gene_info_keeps_humans_and_no_dashes(gene_info):
    rows = bridges.ncbi_frame(gene_info)
    assert "NEANDER" not in rows["Symbol"].tolist()
    assert not (rows == "-").to_numpy().any()
    assert len(bridges.ncbi_frame(gene_info.drop(columns="tax_id"))) == len(gene_info)


def test_symbols_of_gene_info_are_brought_up_to_date(gene_info, known):
    rows = bridges.ncbi_frame(gene_info)
    current = dict(zip(rows["Symbol"], bridges.current_symbols(rows, known), strict=True))
    assert current["TP53"] == "TP53"
    assert current["C1orf112"] == "FIRRM"
    assert current["STRA13"] == "BHLHE40"
    assert current["LOC900001"] != current["LOC900001"], "NaN: HGNC alone does not know it"


def test_an_ensembl_id_outlives_a_change_of_symbol(hgnc, gene_info, annotables, known):
    rows = bridges.ensembl_frame(annotables)
    both = resolve(gather(hgnc_claims(hgnc), *bridges.ensembl_claims(rows, known)))
    entries = bridges.ncbi_frame(gene_info)
    current = dict(zip(entries["Symbol"], bridges.current_symbols(entries, bridges.NameIndex(both)), strict=True))
    assert current["LOC900000"] == "FIRRM"


def test_ncbi_adds_synonyms_and_symbols(gene_info, known):
    claims = triples(bridges.ncbi_claims(bridges.ncbi_frame(gene_info), known))
    assert ("BCC7", "alias", "TP53") in claims
    assert ("LOC900001", "listed", "LOC900001") in claims
    assert ("ENSG00000141510", "ensembl", "TP53") in claims
    assert not {claim for claim in claims if claim[0] in {"NEWENTRY", "AA", "NEANDER", "-", ""}}


def test_an_id_that_ncbi_gives_to_two_genes_goes_to_the_one_hgnc_lists(gene_info, known):
    claims = triples(bridges.ncbi_claims(bridges.ncbi_frame(gene_info), known))
    assert {symbol for name, _, symbol in claims if name == "ENSG00000077777"} == {"CD4"}
