import pandas as pd
import pytest

from bftembed import data, datasets
from bftembed.errors import DataError, InputError
from bftembed.genes import GeneFacts, map_names
from bftembed.genes.fact_sources import GO_DOMAINS
from bftembed.genes.facts import FACTS


@pytest.fixture
def refseq():
    columns = ["Taxon_ID", "Gene_ID", "Review_status", "Gene_summary"]
    rows = [
        (9606, 7157, "VALIDATED REFSEQ", "A far longer text of a worse status, which does not count."),
        (9606, 7157, "REVIEWED REFSEQ", "Short."),
        (9606, 7157, "REVIEWED REFSEQ", "Encodes a  tumor suppressor. [provided by RefSeq, Jul 2008]"),
        (9606, 900000, "INFERRED REFSEQ", "Summary of the second entry."),
        (10090, 7157, "REVIEWED REFSEQ", "A mouse, and by far the longest text of the best status of all of these."),
        (9606, None, "REVIEWED REFSEQ", "Nobody's."),
    ]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.astype({"Gene_ID": "Int32", "Gene_summary": "string", "Review_status": "string"})


@pytest.fixture
def go():
    columns = ["go_id", "go_name", "go_domain", "size", "gene_ids", "gene_symbols"]
    rows = [
        ("GO:0000003", "binding", "molecular_function", 900, "7157|55732", "TP53|C1orf112"),
        ("GO:0000002", "DNA binding", "molecular_function", 90, "7157", "TP53"),
        ("GO:0000001", "p53 binding", "molecular_function", 90, "7157", "TP53"),
        ("GO:0000009", "nucleus", "cellular_component", 9, "7157|999", "TP53|SEPT2"),
        ("GO:0000010", "what two genes do", "biological_process", 2, "998|997", "DIFF6|nobody"),
    ]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture
def facts(toy, gene_info, refseq, go):
    return GeneFacts.from_frames(toy, ncbi=gene_info, refseq=refseq, go=go, version="NCBI 7, GO 3")


def test_facts_in_order(facts):
    assert facts.of("TP53") == {
        "full_name": "tumor protein p53",
        "locus": "17p13.1",
        "gene_type": "protein-coding",
        "summary": "Encodes a tumor suppressor.",
        "cellular_component": "nucleus",
        "molecular_function": "p53 binding; DNA binding; binding",
    }
    assert list(facts.of("TP53")) == [name for name in FACTS if name in facts.of("TP53")]


def test_coverage_is_in_words(facts):
    assert facts.coverage(["TP53", "FIRRM", "NOT-A-GENE"]) == "2 of 3 genes from NCBI 7, GO 3"


def test_facts_are_under_the_symbols_of_today(facts):
    assert "C1orf112" not in facts
    assert facts.of("FIRRM")["full_name"] == "chromosome 1 open reading frame 112"
    assert facts.of("FIRRM")["molecular_function"] == "binding"
    assert facts.of("SEPTIN2") == {"cellular_component": "nucleus"}


def test_of_two_entries_that_are_one_gene_each_gives_what_the_other_lacks(facts):
    assert facts.of("FIRRM")["summary"] == "Summary of the second entry."
    assert facts.frame["symbol"].is_unique


def test_ambiguous_and_unknown_symbols_get_no_facts(facts):
    assert not {"DIFF6", "SEPTIN1", "nobody"} & set(facts)
    assert facts.of("nobody") == {}


def test_terms_are_capped(facts):
    assert facts.of("TP53", max_terms=2)["molecular_function"] == "p53 binding; DNA binding"
    assert "molecular_function" not in facts.of("TP53", max_terms=0)


def test_summaries_without_a_gene_are_counted(toy, gene_info, refseq, caplog):
    with caplog.at_level("INFO", logger="bftembed"):
        GeneFacts.from_frames(toy, ncbi=gene_info, refseq=refseq)
    assert "1 RefSeq summaries have no gene id" in caplog.text


def test_the_order_of_rows_does_not_matter(facts, toy, gene_info, refseq, go):
    again = GeneFacts.from_frames(toy, ncbi=gene_info[::-1], refseq=refseq[::-1], go=go[::-1])
    pd.testing.assert_frame_equal(again.frame, facts.frame)
    assert again.digest == facts.digest


def test_go_alone_is_enough(toy, go):
    facts = GeneFacts.from_frames(toy, go=go)
    assert facts.of("FIRRM") == {"molecular_function": "binding"}
    assert facts.of("TP53")["molecular_function"] == "p53 binding; DNA binding; binding"


def test_refseq_needs_gene_info(toy, refseq, go):
    for sources in ({"refseq": refseq}, {"refseq": refseq, "go": go}, {}):
        with pytest.raises(InputError, match="need NCBI gene_info"):
            GeneFacts.from_frames(toy, **sources)


def test_save_and_load(facts, tmp_path):
    facts.save(tmp_path / "f.parquet")
    loaded = GeneFacts.load(tmp_path / "f.parquet")
    pd.testing.assert_frame_equal(loaded.frame, facts.frame)
    assert (loaded.digest, loaded.version) == (facts.digest, facts.version)
    assert len(loaded) == len(list(loaded)) == len(facts)


def test_a_gene_table_is_no_file_of_facts(toy, tmp_path):
    toy.save(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="no compiled gene file"):
        GeneFacts.load(tmp_path / "t.parquet")


def test_real_summaries_agree_with_the_sources(mirror, real_table):
    """Genes whose NCBI symbol is approved today: a plain look-up by NCBI id gives their summaries."""
    facts = datasets.gene_facts()
    info = data.load("ncbi_gene_info")
    info = info[(info["tax_id"] == 9606) & info["Symbol"].isin(data.load("hgnc_genes")["Approved symbol"])]
    texts = data.load("refseq_gene_summary").query("Taxon_ID == 9606").groupby("Gene_ID")["Gene_summary"].agg(set)
    with_text = info[info["GeneID"].isin(texts.index)]
    assert len(with_text) > 12_000
    own = {" ".join(text.split()) for text in texts.loc[with_text["GeneID"].iloc[0]]}
    assert facts.of(with_text["Symbol"].iloc[0])["summary"] in own
    missing = [symbol for symbol in with_text["Symbol"] if not facts.of(symbol).get("summary")]
    assert missing == []
    assert set(facts.frame["symbol"]) <= set(real_table.symbols)


def test_real_go_terms_are_the_smallest_of_the_gene(mirror, real_table):
    facts = datasets.gene_facts()
    go = data.load("go_annotations")
    own = go[go["gene_ids"].str.split("|").map(lambda ids: "7157" in ids)].sort_values(["size", "go_id"])
    for domain in GO_DOMAINS:
        expected = own.loc[own["go_domain"] == domain, "go_name"].tolist()[:5]
        assert facts.of("TP53", max_terms=5)[domain] == "; ".join(expected)


def test_real_facts_have_names_that_map_to_themselves(mirror, real_table):
    symbols = datasets.gene_facts().frame["symbol"].tolist()
    assert map_names(symbols, real_table).symbols.tolist() == symbols


def test_a_locus_of_a_disease_never_stands_for_a_gene(toy, gene_info):
    locus = gene_info[:1].assign(GeneID=7, Symbol="TP53", description="a disease", type_of_gene="unknown")
    facts = GeneFacts.from_frames(toy, ncbi=pd.concat([locus, gene_info]))
    assert facts.of("TP53")["full_name"] == "tumor protein p53"
    assert facts.frame.set_index("symbol").loc["TP53", "gene_id"] == "7157"


def test_a_symbol_that_only_ncbi_uses_goes_by_that_of_hgnc(toy, gene_info):
    authority = "Symbol_from_nomenclature_authority"
    row = gene_info[:1].assign(GeneID=8, Symbol="DIFF6", dbXrefs="-", description="septin 2", **{authority: "SEPTIN2"})
    rows = pd.concat([gene_info, row])
    assert "SEPTIN2" not in GeneFacts.from_frames(toy, ncbi=rows.drop(columns=authority))
    assert GeneFacts.from_frames(toy, ncbi=rows).of("SEPTIN2")["full_name"] == "septin 2"


def test_tissues_are_told_on_request(toy, gene_info):
    tissues = [f"t{i}" for i in range(8)]
    rows = {
        "ENSG00000141510": [5.0, 1, 1, 1, 1, 1, 1, 1],  # at least four times the mean of the others
        "ENSG00000000460": [2.0, 1, 1, 1, 1, 1, 1, 0.9],
        "ENSG00000084774": [0.9, 0, 0, 0, 0, 0, 0, 0],
        "ENSG99999999999": [9.0] * 8,
    }
    long = pd.DataFrame([(gene, t, v) for gene, row in rows.items() for t, v in zip(tissues, row, strict=True)])
    facts = GeneFacts.from_frames(toy, ncbi=gene_info, tissues=long.set_axis(["Gene", "Sample", "Value"], axis=1))
    assert facts.of("TP53")["tissues"] == "RNA detected in all of 8 tissues, elevated in t0"
    assert facts.of("FIRRM")["tissues"] == "RNA detected in 7 of 8 tissues, highest in t0"
    assert facts.of("CAD")["tissues"] == "RNA not detected in any of 8 tissues"
    assert "tissues" not in GeneFacts.from_frames(toy, ncbi=gene_info).of("TP53")


def test_real_mitochondrial_genes_are_described(mirror, real_table):
    facts = datasets.gene_facts()
    coding = [name for name in facts if name.startswith("MT-") and facts.of(name).get("gene_type") == "protein-coding"]
    assert len(coding) == 13
    assert facts.of("MT-CO1")["full_name"] == "cytochrome c oxidase subunit I"
    assert facts.of("MEMO1")["full_name"] == "mediator of cell motility 1"
