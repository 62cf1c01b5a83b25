import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftembed.bench.asking.asker import Asker
from bftembed.bench.language.health.judging import Case, judged, other_judge, verdict, verdict_of
from bftembed.bench.language.health.rubrics import Dialogue
from bftembed.engines import AnswerStore, Completion, Engine, OpenAIEngine
from bftembed.errors import InputError

DIALOGUE = Dialogue.model_validate(
    {
        "prompt_id": "1",
        "prompt": [
            {"role": "user", "content": "I have hay fever."},
            {"role": "assistant", "content": "Since when?"},
            {"role": "user", "content": "Since May. What helps?"},
        ],
        "rubrics": [{"criterion": "Names an antihistamine", "points": 5}, {"criterion": "Is rude", "points": -5}],
    }
)
CASES = [Case(DIALOGUE, "Cetirizine may help.", n) for n in range(2)]


class Says(Engine):
    """Answers with the next of its texts."""

    name = "says"

    def __init__(self, *texts, described=None):
        self.texts, self.asked, self.described = list(texts), [], described or {"engine": "says"}

    def describe(self):
        return self.described

    def _generate(self, requests, sampling):
        self.asked.append([request.user for request in requests])
        yield [Completion(request.id, self.texts.pop(0), "stop") for request in requests]


@pytest.fixture
def asker(tmp_path):
    with AnswerStore(tmp_path / "answers.sqlite") as store:
        yield lambda engine, judge=None: Asker(engine, store, judge=judge)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"explanation": "Yes.", "criteria_met": true}', True),
        ('```json\n{"criteria_met": false}\n```', False),
        ('Like {this}: {"criteria_met": true, "more": {"a": [1]}} I think.', True),
        ('<think>{"criteria_met": true}? No.</think>{"criteria_met": false}', False),
        ('{"criteria_met": true} {"criteria_met": false}', None),  # both
        ('{"criteria_met": "true"}', None),
        ('{"criteria_met": 1}', None),
        ('{"criteria_met": True}', None),
        ("criteria_met: true", None),
        ("", None),
        ('{"a":' * 5000, None),
    ],
)
def test_a_verdict_is_a_boolean_of_a_json_object(text, expected):
    assert verdict(text) is expected


@given(st.booleans(), st.text(), st.text(alphabet=st.characters(exclude_characters="{<◁[")))
def test_whatever_the_explanation_says(met, explanation, before):
    assert verdict(before + json.dumps({"explanation": explanation, "criteria_met": met})) is met or "<" in explanation


def test_a_prompt_holds_the_dialogue_the_reply_and_one_statement():
    prompt = CASES[0].question(0).request.user
    places = [prompt.index(each) for each in ("Since when?", "Since May.", "Cetirizine may help.", "an antihistamine")]
    assert places == sorted(places)
    assert "Is rude" not in prompt
    swapped = Case(DIALOGUE, "Cetirizine may help.", 0, swapped=True).question(0).request.user
    assert swapped.index("an antihistamine") < swapped.index("Since when?")
    assert sorted(swapped.split("\n\n")) == sorted(prompt.split("\n\n"))
    assert "(The reply is empty.)" in Case(DIALOGUE, "", 0).question(0).request.user
    names = {case.id(attempt) for attempt in range(3) for case in (*CASES, Case(DIALOGUE, "", 0, "a row"))}
    assert len(names) == 9


def test_what_cannot_be_read_is_asked_twice_more_in_other_words(asker):
    judge = Says("I would say so.", '{"criteria_met": false}', "Hm.", '{"criteria_met": true}')
    answers = judged(asker(judge), CASES)
    assert [verdict_of(answers, case) for case in CASES] == [True, False]
    assert [len(prompts) for prompts in judge.asked] == [2, 1, 1]
    assert len({prompts[0] for prompts in judge.asked}) == 3
    assert all("an antihistamine" in prompts[0] for prompts in judge.asked)


def test_a_judge_that_cannot_be_read_gives_no_verdict(asker):
    judge = Says(*["It depends."] * 6)
    answers = judged(asker(judge), CASES)
    assert [verdict_of(answers, case) for case in CASES] == [None, None]
    assert not judge.texts
    assert len(answers) == 6


@pytest.mark.parametrize(
    ("model", "judge", "same"),
    [
        ({"engine": "a"}, {"engine": "a"}, True),
        ({"engine": "a", "weights": "w", "adapter": "t"}, {"engine": "b", "weights": "w", "adapter": ""}, True),
        ({"engine": "a", "weights": "w"}, {"engine": "a", "weights": "v"}, False),
        ({"engine": "a"}, {"engine": "b"}, False),
    ],
)
def test_no_model_judges_itself_or_what_was_tuned_from_it(asker, model, judge, same):
    judge = asker(Says(described=judge))
    both = asker(Says(described=model), judge)
    if not same:
        assert other_judge(both) is judge
        return
    with pytest.raises(InputError, match="is the model that is judged, or its base"):
        other_judge(both)


def test_a_model_of_one_name_at_two_servers_does_not_judge_itself(asker):
    one, other, another = (OpenAIEngine(f"{spec}/v1") for spec in ("m@http://a", "m@http://b", "n@http://a"))
    with pytest.raises(InputError, match="is the model that is judged"):
        other_judge(asker(one, asker(other)))
    assert other_judge(asker(one, asker(another))).engine is another
    with pytest.raises(InputError, match="--judge ENGINE"):
        other_judge(asker(one))
