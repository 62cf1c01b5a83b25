import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftembed.bench.language.choices.prompts import (
    ClosedQuestion,
    chat_prompt,
    choice_request,
    content_id,
    cot_prompt,
    harness_medmcqa,
    harness_medqa,
    harness_mmlu,
    harness_pubmedqa,
    rotated,
    without_all,
    without_question,
)
from bftembed.errors import InputError

LIVER = ClosedQuestion(
    "1",
    "Which organ makes bile? ",
    ("A", "B", "C"),
    "B",
    options=("Kidney", "Liver", "None"),
    stratum="college_biology",
)
TRIAL = ClosedQuestion("2", "Does it help?", ("yes", "no", "maybe"), "maybe", context=("We asked.", "It may."))


def test_the_harness_prompts_are_those_of_lm_eval():
    """Written down from its task files; the parity test runs them where lm-eval is installed."""
    options = "A. Kidney\nB. Liver\nC. None\nAnswer:"
    assert harness_medqa(LIVER) == f"Question: Which organ makes bile? \n{options}"
    assert harness_medmcqa(LIVER) == f"Question: Which organ makes bile? \nChoices:\n{options}"
    first = "The following are multiple choice questions (with answers) about college biology.\n\n"
    assert harness_mmlu(LIVER) == f"{first}Which organ makes bile?\n{options}"
    assert harness_pubmedqa(TRIAL) == "Abstract: We asked.\nIt may.\nQuestion: Does it help?\nAnswer:"


def test_a_chat_names_what_may_be_answered():
    assert "B) Liver\nC) None\n" in chat_prompt(LIVER)
    assert chat_prompt(LIVER).endswith("alone: A, B or C.")
    assert "one word alone: yes, no or maybe. Maybe is for" in chat_prompt(TRIAL)
    assert "Maybe" not in chat_prompt(ClosedQuestion("3", "Is it?", ("yes", "no"), "no"))
    assert chat_prompt(TRIAL).startswith("From the literature:\nWe asked.\nIt may.\n\nDoes it help?\n\n")


@pytest.mark.parametrize("row", [LIVER, TRIAL])
def test_reasoning_is_asked_to_end_in_the_form_that_is_read(row):
    from bftembed.tune.grpo.rewards import parse_answer

    prompt = cot_prompt(row)
    assert 'the last line "Final answer: X", where X is' in prompt
    assert [parse_answer(f"So.\nFinal answer: {choice}", row.choices) for choice in row.choices] == list(row.choices)
    assert parse_answer(prompt, row.choices) is None


def test_the_presets_differ_in_what_kind_of_prompt_they_are():
    chat = choice_request("x", LIVER, "chat")
    assert (chat.user, chat.prefix, chat.raw) == (chat_prompt(LIVER), "Answer:", "")
    harness = choice_request("x", LIVER, "harness", harness=harness_medqa)
    assert (harness.user, harness.prefix, harness.raw) == ("", "", harness_medqa(LIVER))
    cot = choice_request("x", LIVER, "cot")
    assert (cot.user, cot.prefix, cot.raw) == (cot_prompt(LIVER), "", "")


def test_examples_stand_before_the_question_with_their_answers():
    other = ClosedQuestion("4", "And this?", ("yes", "no", "maybe"), "no")
    chat = choice_request("x", TRIAL, "chat", examples=[other])
    assert [turn["role"] for turn in chat.chat] == ["user", "assistant", "user"]
    assert chat.chat[1]["content"] == "Answer: no"
    raw = choice_request("x", TRIAL, "harness", harness=harness_pubmedqa, examples=[other]).raw
    assert raw == f"{harness_pubmedqa(other)} no\n\n{harness_pubmedqa(TRIAL)}"


@pytest.mark.parametrize("options", [{"preset": "cot", "examples": [TRIAL]}, {"preset": "harness"}, {"preset": "shot"}])
def test_presets_that_cannot_be_had_are_refused(options):
    with pytest.raises(InputError, match=r"there are chat, harness \(with a function\), and cot"):
        choice_request("x", TRIAL, **options)


@pytest.mark.parametrize("render", [chat_prompt, cot_prompt, harness_medqa, harness_medmcqa, harness_mmlu])
def test_what_a_control_hides_is_not_in_its_prompt(render):
    assert "bile" not in render(without_question(LIVER))
    assert "Liver" in render(without_question(LIVER))
    assert not any(word in render(without_all(LIVER)) for word in ("bile", "Liver", "None"))


@given(st.lists(st.text(min_size=1), min_size=2, max_size=6, unique=True), st.data())
def test_rotated_options_keep_the_right_one(options, data):
    letters = tuple("ABCDEF"[: len(options)])
    gold = data.draw(st.sampled_from(letters))
    row = ClosedQuestion("1", "?", letters, gold, options=tuple(options))
    right = options[letters.index(gold)]
    for by in range(len(options)):
        turned = rotated(row, by)
        assert turned.options[letters.index(turned.gold)] == right
        assert sorted(turned.options) == sorted(options)
    assert {rotated(row, by).gold for by in range(len(options))} == set(letters)


def test_an_id_of_the_content_depends_on_all_of_it():
    digest = hashlib.sha256(b"which?\nthis\nthat").hexdigest()[:12]
    assert content_id("which?", ["this", "that"]) == digest
    assert content_id("which?", ["this", "that"], of="anatomy") == f"anatomy:{digest}"
    assert content_id("which?", ["that", "this"]) != digest
