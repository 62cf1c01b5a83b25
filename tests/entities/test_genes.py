import pytest

from bftembed import datasets
from bftembed.entities import canonical, gene_entities, gene_set_entities
from bftembed.entities.genes import symbols_of
from bftembed.errors import BftembedWarning, InputError


def test_canonical_symbols_are_none_where_a_name_is_unknown(mirror):
    assert canonical(["p53", "ENSG00000141510.5", "NOT-A-GENE"]).tolist() == ["TP53", "TP53", None]


def test_facts_are_auto_or_none():
    with pytest.raises(InputError, match=r"'auto\+tissues' or 'none'"):
        gene_entities(["TP53"], facts="some")


def test_gene_sets_are_mappings():
    entities, _ = gene_set_entities({"T cell receptor": ["CD3E", "CD3D"]}, facts="none")
    assert entities[0].facts == {"genes": "CD3E, CD3D"}
    with pytest.raises(InputError, match="mapping"):
        gene_set_entities(["CD3E"])


def test_where_facts_come_from_is_said_in_words(mirror, caplog):
    with caplog.at_level("INFO", logger="bftembed"):
        _, used = gene_entities(["TP53", "CD4", "NOT-A-GENE"], facts="auto")
    digest, words = used.split(" ", 1)
    assert digest == f"sha256:{datasets.gene_facts().digest}"
    assert words.startswith("(2 of 3 genes from HGNC gene symbols (fa7c987), NCBI Gene, human gene_info (June 2015), ")
    assert "RefSeq gene summaries (a86967a)" in words
    assert f"facts: {words[1:-1]}" in caplog.messages


def test_that_there_are_no_facts_is_said_too(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path))
    monkeypatch.delenv("BFTEMBED_MIRROR", raising=False)
    with caplog.at_level("INFO", logger="bftembed"):
        _, used = gene_entities(["TP53"], facts="auto")
    assert used == "none"
    assert "`bftembed data fetch genes`" in caplog.text
    with pytest.raises(InputError, match="list of its genes"):
        gene_set_entities({"T cell receptor": "CD3E"})


def test_large_sets_fit_into_a_prompt(mirror):
    from bftembed.datasets import gene_table

    genes = gene_table().symbols[:300].tolist()
    facts = gene_set_entities({"large": genes})[0][0].facts
    assert facts["genes"] == ", ".join(genes)
    assert len(facts["processes of several of them"].split("; ")) <= 8


def test_unknown_genes_are_named_with_the_nearest(mirror):
    with pytest.warns(BftembedWarning, match=r"1 of 2 names .* CD3Dd \(Did you mean `CD3D`"):
        assert symbols_of(["p53", "CD3Dd"]) == ["TP53", "CD3Dd"]
