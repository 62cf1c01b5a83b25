import logging

import pandas as pd
import pytest

from bftembed import data, datasets
from bftembed.errors import InputError
from bftembed.genes import GeneFacts, GeneTable

SOURCES = ["hgnc_genes", "ncbi_gene_info", "annotables_grch38", "refseq_gene_summary", "go_annotations"]


@pytest.fixture
def some_at_hand(monkeypatch, tmp_path):
    """Small sources in place of the real ones, of which only the named are there."""
    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path))
    columns = {
        "hgnc_genes": {"Approved symbol": ["TP53"], "Previous symbols": [""], "Alias symbols": ["p53"]},
        "annotables_grch38": {"ensgene": ["ENSG00000141510"], "symbol": ["TP53"], "chr": ["17"]},
        "ncbi_gene_info": {
            "tax_id": [9606],
            "GeneID": [7157],
            "Symbol": ["TP53"],
            "Synonyms": ["BCC7"],
            "dbXrefs": [None],
            "type_of_gene": ["protein-coding"],
            "map_location": ["17p13.1"],
            "description": ["tumor protein p53"],
        },
        "refseq_gene_summary": {
            "Taxon_ID": [9606],
            "Gene_ID": [7157],
            "Review_status": ["REVIEWED REFSEQ"],
            "Gene_summary": ["A summary."],
        },
        "go_annotations": {
            "go_id": ["GO:1"],
            "go_name": ["nucleus"],
            "go_domain": ["cellular_component"],
            "size": [1],
            "gene_ids": ["7157"],
            "gene_symbols": ["TP53"],
        },
    }
    there, loaded = set(), []
    monkeypatch.setattr(data, "available", lambda name: name in there)
    monkeypatch.setattr(data, "fetch", lambda name: pytest.fail(f"{name} was fetched"))
    monkeypatch.setattr(data, "load", lambda name: loaded.append(name) or pd.DataFrame(columns[name]))

    def have(*names):
        there.clear()
        there.update(names)
        return loaded

    return have


def test_nothing_at_hand_is_none(some_at_hand):
    some_at_hand()
    assert datasets.gene_table() is None
    assert datasets.gene_facts() is None


def test_without_hgnc_there_is_no_table(some_at_hand):
    some_at_hand(*SOURCES[1:])
    assert datasets.gene_table() is None
    assert datasets.gene_facts() is None


def test_hgnc_is_enough_for_names(some_at_hand):
    loaded = some_at_hand("hgnc_genes")
    assert datasets.gene_table().candidates("p53") == ("TP53",)
    assert loaded == ["hgnc_genes"]
    assert datasets.gene_facts() is None


def test_further_sources_are_used_as_they_come(some_at_hand):
    some_at_hand("hgnc_genes")
    assert datasets.gene_table().candidates("BCC7") == ()
    some_at_hand("hgnc_genes", "ncbi_gene_info", "annotables_grch38")
    assert datasets.gene_table().candidates("BCC7") == ("TP53",)
    assert datasets.gene_table().candidates("ENSG00000141510") == ("TP53",)
    some_at_hand("hgnc_genes")
    assert datasets.gene_table().candidates("BCC7") == ()


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["ncbi_gene_info"], {"full_name", "locus", "gene_type"}),
        (["ncbi_gene_info", "refseq_gene_summary"], {"full_name", "locus", "gene_type", "summary"}),
        (["go_annotations"], {"cellular_component"}),
        (["go_annotations", "refseq_gene_summary"], {"cellular_component"}),
    ],
)
def test_facts_of_the_sources_that_are_there(some_at_hand, sources, expected):
    some_at_hand("hgnc_genes", *sources)
    assert set(datasets.gene_facts().of("TP53")) == expected


def test_refseq_alone_gives_no_facts(some_at_hand):
    some_at_hand("hgnc_genes", "refseq_gene_summary")
    assert datasets.gene_facts() is None


def test_compiled_once(some_at_hand, tmp_path):
    loaded = some_at_hand(*SOURCES)
    first = datasets.gene_table()
    datasets.gene_facts()
    before = list(loaded)
    again = datasets.gene_table()
    assert again is datasets.gene_table()
    pd.testing.assert_frame_equal(again.rows, first.rows)
    datasets.gene_facts()
    assert loaded == before
    names = sorted(path.name for path in (tmp_path / "genes").iterdir())
    assert [name.split("-")[0] for name in names] == ["facts", "names"]


def test_a_damaged_compiled_file_is_made_again(some_at_hand, tmp_path, caplog):
    some_at_hand("hgnc_genes")
    datasets.gene_table()
    [path] = (tmp_path / "genes").iterdir()
    path.write_bytes(b"half of it")
    with caplog.at_level(logging.WARNING, logger="bftembed"):
        assert datasets.gene_table().candidates("p53") == ("TP53",)
    assert "no compiled gene file" in caplog.text
    assert GeneTable.load(path).candidates("p53") == ("TP53",)


def test_a_cache_that_cannot_be_written_costs_only_time(some_at_hand, tmp_path, caplog):
    (tmp_path / "genes").write_text("a file where the directory should be")
    some_at_hand("hgnc_genes")
    assert datasets.gene_table().candidates("p53") == ("TP53",)
    assert "could not be kept" in caplog.text


def test_a_write_that_fails_leaves_nothing_behind(some_at_hand, tmp_path, monkeypatch, caplog):
    def full_disk(table, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(GeneTable, "save", full_disk)
    some_at_hand("hgnc_genes")
    assert datasets.gene_table().candidates("p53") == ("TP53",)
    assert "No space left" in caplog.text
    assert list((tmp_path / "genes").iterdir()) == []


def test_other_species_are_refused():
    with pytest.raises(InputError, match="'human' only, not for 'mouse'"):
        datasets.gene_table("mouse")


def test_fetch_brings_all_five(monkeypatch):
    fetched = []
    monkeypatch.setattr(data, "fetch", fetched.append)
    datasets.fetch_gene_tables()
    assert sorted(fetched) == sorted(SOURCES)


def test_real_sources(mirror):
    table, facts = datasets.gene_table(), datasets.gene_facts()
    assert isinstance(facts, GeneFacts)
    assert len(table) > 40_000
    assert sum(bool(facts.of(symbol).get("summary")) for symbol in facts) > 14_500
    assert facts.of("TP53")["full_name"] == "tumor protein p53"


def test_protein_coding_genes_of_small_sources(some_at_hand):
    some_at_hand("hgnc_genes", "go_annotations")
    assert datasets.protein_coding_genes() is None
    some_at_hand("hgnc_genes", "ncbi_gene_info")
    assert datasets.protein_coding_genes().loc["TP53"].to_dict() == {
        "ensembl": "",
        "entrez": "7157",
        "approved": True,
        "biotype": "",
        "facts": "name only",
    }
    some_at_hand("hgnc_genes", "ncbi_gene_info", "refseq_gene_summary", "go_annotations")
    assert datasets.protein_coding_genes()["facts"].tolist() == ["RefSeq and GO"]
    with pytest.raises(InputError, match="'human' only"):
        datasets.protein_coding_genes("mouse")


def test_real_protein_coding_genes(mirror):
    genes = datasets.protein_coding_genes()
    assert genes.index.is_unique
    assert genes.loc["TP53"].to_dict() == {
        "ensembl": "ENSG00000141510",
        "entrez": "7157",
        "approved": True,
        "biotype": "protein_coding",
        "facts": "RefSeq and GO",
    }
    assert (genes["entrez"] != "").all()
    assert genes["entrez"].is_unique
    info = data.load("ncbi_gene_info").query("tax_id == 9606 and type_of_gene == 'protein-coding'")
    assert set(genes["entrez"]) <= set(info["GeneID"].astype(str))
    assert len(genes) > 0.98 * len(info)  # entries that are one gene today, or that carry no name
    biotypes = data.load("annotables_grch38").set_index("ensgene")["biotype"]
    told = genes[genes["ensembl"].isin(biotypes.index)]
    assert (told["biotype"] == biotypes[~biotypes.index.duplicated()][told["ensembl"]].to_numpy()).all()
    assert (told["biotype"] == "protein_coding").mean() > 0.98


def test_tissues_need_their_table(some_at_hand):
    some_at_hand(*SOURCES)
    with pytest.raises(InputError, match="bftembed data fetch hpa_rna_tissue"):
        datasets.gene_facts(tissues=True)


def test_sources_are_named_with_their_licences(some_at_hand):
    some_at_hand("hgnc_genes", "go_annotations", "hpa_rna_tissue")
    assert [line.partition(" (")[0] for line in datasets.gene_sources()] == [
        "HGNC gene symbols",
        "Gene Ontology annotations with experimental evidence",
    ]
    assert "Licence: MPL-2.0. Uhlén M et al." in datasets.gene_sources(tissues=True)[-1]
