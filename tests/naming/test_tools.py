import pytest

from bftembed.naming.tools import Call, Tools, of_term, parse_calls, read_relations

T_CELL = ["CD3E", "CD3D", "CD3G", "LCK"]


def run(tools, text, genes=T_CELL, **options):
    (call,) = parse_calls(text)
    return tools.run(call, genes, **options)


def test_calls_are_lines_of_a_text():
    text = "TOOL: summary(CD3E)\nI use TOOL: not_a_line(x)\n* **Tool**: Enrichment( CD3E, LCK )\nTOOL: summary(CD3E)"
    assert parse_calls(text) == [Call("summary", "CD3E"), Call("enrichment", "CD3E, LCK")]
    assert parse_calls(text, most=1) == [Call("summary", "CD3E")]
    assert parse_calls("TOOL: summary CD3E\nTOOL summary(CD3E\n") == []


def test_enrichment_of_the_whole_set_and_of_some_of_its_genes(tools):
    (line,) = run(tools, "TOOL: enrichment(all)")[:1]
    assert line.text.startswith("GO process T cell receptor signaling: q = ")
    assert "4 of 4 genes (" in line.text
    assert "2 of 2 genes" in run(tools, "TOOL: enrichment('CD3G'; LCK)")[0].text
    (nothing,) = run(tools, "TOOL: enrichment(BRCA1, CD3E)", genes=["GENE7", "GENE8"])
    assert not nothing.found
    assert nothing.text.startswith("No GO process is enriched (q <= 0.05) among the 2 genes")


def test_each_tool_answers_for_one_gene(tools):
    assert run(tools, "TOOL: summary(CD3E)")[0].text == "RefSeq on CD3E: Part of the T cell receptor."
    assert not run(tools, "TOOL: summary(LCK)")[0].found
    assert run(tools, "TOOL: full_name(CD3E)")[0].text == "CD3E is CD3 epsilon"
    assert [line.text for line in run(tools, "TOOL: neighbours(LCK)")] == [
        "LCK activates CD3E, AAA",  # a gene of the set first
        "LCK is repressed by GENE1",
    ]
    assert not run(tools, "TOOL: neighbours(CD3D)")[0].found


@pytest.mark.parametrize(
    "text", ["TOOL: pubmed(CD3E)", "TOOL: summary()", "TOOL: summary(CD3E, LCK)", "TOOL: enrichment(CD3E)"]
)
def test_unknown_tools_and_arguments_are_no_evidence(tools, text):
    assert run(tools, text) is None


def test_tools_without_data_are_not_offered(terms, tools):
    alone = Tools(terms)
    assert alone.usage().count("\n") == 0
    assert run(alone, "TOOL: summary(CD3E)") is None
    assert all(name in tools.usage() for name in ("summary(", "full_name(", "neighbours("))


def test_the_process_that_a_set_is_can_be_left_out(tools):
    own = "T cell receptor signaling"
    assert own in run(tools, "TOOL: enrichment(all)")[0].text
    assert not any(own in line.text for line in run(tools, "TOOL: enrichment(all)", without=own))


def test_a_part_of_a_set_does_not_find_what_the_whole_may_not(tools):
    # The set is all of a term under another name: left out by its genes, which two of them alone do not show.
    genes = [*T_CELL, "ZAP70"]
    found = tools.enriched(genes[:2], genes, without="antigen receptor signaling")
    assert "T cell receptor signaling" not in [term.name for term in found]
    assert "T cell receptor signaling" in [term.name for term in tools.enriched(genes[:2], genes)]


def test_a_term_in_words(terms):
    term = terms.enrich(T_CELL)[0]
    assert of_term(term, 9).endswith("4 of 9 genes (CD3D, CD3E, CD3G, LCK)")


def test_tools_of_this_machine(mirror):
    tools = Tools.local()
    assert "T-cell receptor" in run(tools, "TOOL: summary(CD3E)")[0].text
    assert run(tools, "TOOL: full_name(TNFRSF6)")[0].text == "FAS is Fas cell surface death receptor"  # a former name
    assert run(tools, "TOOL: summary(NOTAGENE)") is None
    assert "T cell" in run(tools, "TOOL: enrichment(all)")[0].text


def test_relations_go_both_ways(mirror):
    relations = read_relations()
    assert "CDKN1A" in relations["TP53"]["activates"]
    assert "TP53" in relations["CDKN1A"]["is activated by"]
    assert "CCR5" in relations["CCL5"]["is a ligand of"]
    assert "CCL5" in relations["CCR5"]["is a receptor of"]


def test_without_data_there_are_no_relations(monkeypatch, tmp_path):
    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path))
    monkeypatch.delenv("BFTEMBED_MIRROR", raising=False)
    assert read_relations() == {}
