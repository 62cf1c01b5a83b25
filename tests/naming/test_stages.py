from bftembed.engines import Request
from bftembed.naming import stages
from bftembed.naming.claims import Claim, Evidence, parse_claims

GENES = ["CD3E", "LCK"]


def test_the_form_that_is_asked_for_is_the_one_that_is_read():
    request = stages.claims_request("1", GENES, "a {process}", "because", most=3)
    assert parse_claims(request.user) == ["first claim", "second claim"]
    assert "at most 3 claims" in request.user
    assert "Proposed process: a {process}\n" in request.user


def test_evidence_is_numbered_from_one():
    request = stages.verdict_request("1", "a claim", [Evidence("first"), Evidence("second {0}")])
    assert "1. first\n2. second {0}\n" in request.user


def test_a_revision_goes_on_with_the_dialogue_in_which_the_name_was_given():
    first = Request("name:1", "Which process?", "You know genes.")
    claims = [Claim("a", "supported", "line"), Claim("b")]
    chat = stages.revision_request("revision:1", first, "Process: x", claims).chat
    assert [(turn["role"], turn["content"]) for turn in chat[:3]] == [
        ("system", "You know genes."),
        ("user", "Which process?"),
        ("assistant", "Process: x"),
    ]
    assert "- a [supported; line]\n- b [not checkable]\n" in chat[3]["content"]


def test_a_summary_is_told_what_is_supported_and_nothing_else():
    claims = [Claim("a", "supported", "the line"), Claim("b", "not supported", "other line")]
    assert "- the line\n" in stages.summary_request("1", GENES, "x", claims).user
    assert "other line" not in stages.summary_request("1", GENES, "x", claims).user
    assert "nothing that supports a claim was found" in stages.summary_request("1", GENES, "x", ()).user
