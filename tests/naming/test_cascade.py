from collections import Counter

import pytest

from bftembed.engines import Completion
from bftembed.naming import cascade, name_once
from bftembed.naming.cascade import set_of

T_CELL = ["CD3E", "CD3D", "CD3G", "LCK"]
SETS = {"secret-a": T_CELL, "secret-b": ["BRCA1", "BRCA2", "RAD51"]}


def only(id_part, bad, good):
    """An answer that is bad for one set and good for all others."""
    return lambda request: bad if id_part in request.id else good


def test_each_stage_is_asked_of_all_sets_at_once(staged, tools):
    engine = staged()
    found = cascade(SETS, engine, tools)
    assert engine.stages == ["name", "claims", "tools", "verdict", "revision", "summary"]
    assert [len(requests) for requests in engine.asked] == [2, 2, 4, 4, 2, 2]
    naming = found["secret-a"]
    assert (naming.first.name, naming.named.name) == ("T cell activation", "T cell receptor signaling")
    assert (naming.named.confidence, naming.n_calls, naming.n_refused_calls) == (0.9, 4, 0)
    assert [claim.verdict for claim in naming.claims] == ["supported", "not checkable"]
    assert naming.claims[0].evidence.startswith("GO process T cell receptor signaling")
    assert naming.summary.startswith("These genes carry")
    assert naming.kept_at == {}


def test_without_a_check_there_is_one_prompt_for_each_set(staged):
    engine = staged()
    found = name_once(SETS, engine)
    assert engine.stages == ["name"]
    assert found["secret-b"].named.name == "T cell activation"


def test_names_of_sets_are_in_no_prompt(staged, tools):
    engine = staged()
    cascade(SETS, engine, tools)
    assert not any("secret" in turn["content"] for each in engine.asked for request in each for turn in request.chat)


def test_every_prompt_is_a_dialogue_that_ends_with_the_user(staged, tools):
    engine = staged()
    cascade(SETS, engine, tools)
    for request in (request for each in engine.asked for request in each):
        roles = [turn["role"] for turn in request.chat]
        assert roles[-1] == "user"
        talk = roles[roles[0] == "system" :]
        assert talk == ["user", "assistant"] * (len(talk) // 2) + ["user"]


@pytest.mark.parametrize(
    ("stage", "name", "n_claims", "stages"),
    [
        ("name", None, 0, {"name"}),
        ("claims", "T cell activation", 0, {"claims"}),
        ("tools", "T cell receptor signaling", 2, {"tools"}),
        ("verdict", "T cell receptor signaling", 2, {"verdict"}),
        ("revision", "T cell activation", 2, {"revision"}),
        ("summary", "T cell receptor signaling", 2, {"summary"}),
    ],
)
def test_a_set_that_fails_at_a_stage_keeps_what_it_had(staged, tools, stage, name, n_claims, stages):
    good = staged().answers[stage]
    found = cascade(SETS, staged(**{stage: only("secret-b", RuntimeError("it broke"), good)}), tools)
    bad = found["secret-b"]
    assert (bad.named and bad.named.name, len(bad.claims), set(bad.kept_at)) == (name, n_claims, stages)
    assert "it broke" in bad.kept_at[stage]
    assert found["secret-a"].kept_at == {}
    assert found["secret-a"].named.name == "T cell receptor signaling"


@pytest.mark.parametrize("answer", ["", "no list", "<think>so", '["a", {"b": 1}]'])
def test_claims_that_are_no_list_check_nothing(staged, tools, answer):
    engine = staged(claims=answer)
    naming = cascade(SETS, engine, tools)["secret-a"]
    assert engine.stages == ["name", "claims", "summary"]
    assert (naming.named.name, naming.claims, list(naming.kept_at)) == ("T cell activation", (), ["claims"])


def test_reasoning_is_no_answer(staged, tools):
    engine = staged(claims='<think>["not this"]</think>["CD3E is a receptor."]', verdict="<think>Verdict: supported 1")
    naming = cascade({"a": T_CELL}, engine, tools)["a"]
    assert [(claim.text, claim.verdict) for claim in naming.claims] == [("CD3E is a receptor.", "not checkable")]
    assert naming.kept_at == {"verdict": "no end of the reasoning"}


def test_calls_of_unknown_tools_are_counted_and_the_whole_set_is_looked_up(staged, tools):
    engine = staged(tools="TOOL: pubmed(CD3E)\nTOOL: summary(a gene)")
    naming = cascade({"a": T_CELL}, engine, tools)["a"]
    assert (naming.n_calls, naming.n_refused_calls) == (0, 4)
    assert naming.claims[0].verdict == "supported"
    assert "1. GO process T cell receptor signaling" in engine.asked[3][0].chat[-1]["content"]


def test_names_and_addresses_reach_the_next_prompt_as_they_are(staged, tools):
    name = "{CD3E} T-cell/receptor {0} {signaling}"
    address = "It follows https://reactome.org//content//{x}."
    engine = staged(name=f"Process: {name}\n{address}", claims=f'["{address}"]')
    cascade({"a": T_CELL}, engine, tools)
    by_stage = {each[0].id.partition(":")[0]: each[0].chat for each in engine.asked}
    assert f"{address}" in by_stage["claims"][-1]["content"]
    assert f"Claim: {address}" in by_stage["tools"][-1]["content"]
    assert name in by_stage["revision"][-2]["content"]
    assert "receptor_" not in str(engine.asked)


def test_a_revision_without_a_name_changes_nothing(staged, tools):
    long = "I have looked at all of this again and again, and I cannot say any more what it is that they do."
    naming = cascade({"a": T_CELL}, staged(revision=long), tools)["a"]
    assert naming.named.name == "T cell activation"
    assert naming.kept_at == {"revision": "no name"}


def test_unrelated_and_unnamed_sets_have_no_claims(staged, tools):
    for answer in ("Process: System of unrelated proteins", "I have thought about this. " * 10):
        engine = staged(name=answer)
        naming = cascade({"a": T_CELL}, engine, tools)["a"]
        assert engine.stages == ["name"]
        assert naming.claims == ()
    assert naming.kept_at == {"name": "no name"}


def test_the_process_that_is_left_out_is_in_no_prompt(staged, tools):
    engine = staged(name="Process: something else", revision="Process: something else")
    cascade({"a": T_CELL}, engine, tools, left_out={"a": "T cell receptor signaling"})
    assert "T cell receptor signaling" not in str(engine.asked)
    engine = staged(name="Process: something else", revision="Process: something else")
    cascade({"a": T_CELL}, engine, tools)
    assert "T cell receptor signaling" in str(engine.asked)


def test_ids_of_any_kind_are_kept_apart(staged, tools):
    sets = {"0:a": T_CELL, "a": T_CELL[:3], "tools:0:a": T_CELL[:2]}
    found = cascade(sets, staged(), tools)
    assert list(found) == list(sets)
    assert all(naming.kept_at == {} for naming in found.values())


def test_nothing_to_name_asks_nothing(tools):
    def ask(requests):
        raise AssertionError(requests)

    assert cascade({}, ask, tools) == {}


@pytest.mark.parametrize(
    ("text", "name"), [("Process: T cell activation\nConf", "T cell activation"), ("Process: T cell act", None)]
)
def test_a_cut_answer_counts_by_the_lines_that_are_whole(text, name):
    naming = name_once({"a": T_CELL}, lambda requests: [Completion(each.id, text, "length") for each in requests])["a"]
    assert (naming.named.name if naming.named else None) == name
    assert (naming.kept_at == {}) == (name is not None)


def test_requests_say_which_set_they_are_about(staged, tools):
    engine = staged()
    sets = {"0:a": T_CELL, "a": T_CELL[:3]}  # equal prompts would be asked once
    cascade(sets, engine, tools)
    ids = [request.id for each in engine.asked for request in each]
    assert {set_of(id) for id in ids} == set(sets)
    assert Counter(map(set_of, ids)) == {"0:a": 8, "a": 8}
