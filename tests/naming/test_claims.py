import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftembed.naming.claims import Evidence, judged, parse_claims, shares_content

GENES = ["CD3D", "CD3E", "LCK"]
LINES = [
    Evidence("GO process T cell receptor signaling: q = 2e-05, 2 of 3 genes (CD3D, CD3E)"),
    Evidence("RefSeq has no summary of LCK", found=False),
]
CLAIM = "CD3E signals through the T cell receptor."


@pytest.mark.parametrize(
    "text",
    [
        '["a b", "c"]',
        'Here they are:\n```json\n["a b", "c"]\n```\nDone.',
        'See [1]: [["x"]]... ["a  b\\n", "c", "c", " "]',
        '[{"claim": "no"}] then ["a b", "c"]',
    ],
)
def test_the_first_list_of_texts_is_the_claims(text):
    assert parse_claims(text) == (["x"] if "[[" in text else ["a b", "c"])


@pytest.mark.parametrize("text", ["", "1. a\n2. b", '["a", 1]', '["a",', "[]", '{"claims": "a"}', "[" * 5000, "['a']"])
def test_what_is_no_list_of_texts_gives_no_claims(text):
    assert parse_claims(text) == []


def test_web_addresses_and_braces_stay_whole():
    claims = ["See https://reactome.org//content of {CD3E}.", "LCK // CD3E {0}"]
    assert parse_claims(json.dumps(claims)) == claims


def test_no_more_than_the_first_claims():
    assert parse_claims(json.dumps([f"claim {i}" for i in range(9)]), most=2) == ["claim 0", "claim 1"]


@given(st.text(max_size=200))
def test_any_text_gives_a_list_of_texts(text):
    assert all(isinstance(claim, str) and claim for claim in parse_claims(text))


@given(st.lists(st.from_regex(r"\A\S{1,8}\Z"), min_size=1, max_size=5, unique=True), st.text("ab: \n", max_size=20))
def test_a_list_is_read_back_whatever_stands_around_it(claims, around):
    assert parse_claims(f"{around}{json.dumps(claims)}{around}") == claims


@pytest.mark.parametrize(
    ("answer", "verdict", "line"),
    [
        ("Verdict: supported 1", "supported", 0),
        ("**Verdict:** Supported, line 1", "supported", 0),
        ("I think so.\nverdict: SUPPORTED (1)", "supported", 0),
        ("Verdict: not supported 1", "not supported", 0),
        ("Verdict: not supported 2", "not supported", 1),
        ("Verdict: not checkable", "not checkable", None),
        ("Verdict: not checkable 1", "not checkable", None),
        ("Verdict: supported", "not checkable", None),  # no line
        ("Verdict: supported 3", "not checkable", None),  # no such line
        ("Verdict: supported 0", "not checkable", None),
        ("Verdict: supported 2", "not checkable", None),  # that line found nothing
        ("Verdict: maybe 1", "not checkable", None),
        ("The claim is supported 1", "not checkable", None),
        ("", "not checkable", None),
    ],
)
def test_a_verdict_needs_a_line_of_the_evidence(answer, verdict, line):
    made = judged(CLAIM, answer, LINES, GENES)
    assert (made.text, made.verdict) == (CLAIM, verdict)
    assert made.evidence == ("" if line is None else LINES[line].text)


def test_a_line_about_something_else_supports_nothing():
    assert judged("CD3E repairs DNA.", "Verdict: supported 1", LINES, GENES).verdict == "not checkable"
    assert judged("CD3E repairs DNA.", "Verdict: not supported 1", LINES, GENES).verdict == "not supported"
    assert judged("Ribosomes.", "Verdict: not supported 1", LINES, GENES).verdict == "not checkable"


def test_a_line_about_other_genes_supports_nothing():
    claim = "LCK is a receptor of T cells."
    assert judged(claim, "Verdict: supported 1", LINES, GENES).verdict == "not checkable"
    assert judged("These genes are a receptor.", "Verdict: supported 1", LINES, GENES).verdict == "supported"


def test_common_words_and_gene_names_are_no_content():
    assert not shares_content("a process of the cells", "the process in a cell")
    assert not shares_content("regulation of genes", "regulation of proteins")
    assert shares_content("apoptotic", "apoptosis")
    assert not shares_content("transport", "transcription")
    assert shares_content("T-cell activation", "costimulation of T cells")
    assert not shares_content("B cell activation", "T cell receptor")
    assert judged("CD3E and LCK", "Verdict: supported 1", LINES, GENES).verdict == "not checkable"
