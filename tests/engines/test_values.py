import pytest

from bftembed.engines import Request
from bftembed.errors import InputError
from bftembed.profiles.recipe import key_of


def test_a_dialogue_is_kept_as_it_is():
    turns = [("system", "Be brief."), ("user", "A?"), {"role": "assistant", "content": "B."}, ("user", "C\x00?")]
    request = Request("1", messages=turns)
    assert [message["role"] for message in request.chat] == ["system", "user", "assistant", "user"]
    assert request.chat[-1]["content"] == "C\ufffd?"
    assert hash(request) == hash(Request("1", messages=turns))


@pytest.mark.parametrize(
    "given",
    [
        {"user": "x", "raw": "y"},
        {"system": "x", "messages": [("user", "y")]},
        {"raw": "x", "messages": [("user", "y")]},
        {"raw": "x", "prefix": "y"},
        {"messages": [("user", "x"), ("assistant", "y")]},
        {"messages": [("user", "x"), ("system", "y"), ("user", "z")]},
        {"messages": [("tool", "x"), ("user", "y")]},
        {"messages": ["user"]},
        {"messages": [{"role": "user"}]},
        {"messages": [("user", None)]},
        {"messages": [(["user"], "x")]},
        {"messages": None},
        {"user": None},
        {"raw": b"x"},
        {"user": "x", "prefix": 3},
    ],
)
def test_prompts_that_contradict_themselves_are_refused(given):
    with pytest.raises(InputError):
        Request("1", **given)


def test_keys_of_plain_prompts_are_what_they_were_and_others_differ():
    plain = Request("1", "x", "y")
    assert plain.content == ("y", "x")
    others = [
        plain,
        Request("1", "x", "y", prefix="z"),
        Request("1", messages=[("system", "y"), ("user", "x"), ("assistant", "z"), ("user", "x")]),
        Request("1", raw="x"),
        Request("1", raw="y"),
        Request("1", "x"),
    ]
    assert len({key_of("recipe", request) for request in others}) == len(others)
