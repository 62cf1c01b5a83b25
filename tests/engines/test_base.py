import numpy as np
import pandas as pd
import pytest

from bftembed.engines import Completion, Engine, Request, Sampling, Scored, Scores
from bftembed.engines.base import check_positive, derived_seed
from bftembed.errors import EngineError, InputError


class Echo(Engine):
    """Answers two prompts at a time, last ones first, and remembers what it was asked."""

    name = "echo"

    def __init__(self):
        self.asked, self.sampling = [], None

    def _generate(self, requests, sampling):
        self.asked += requests
        self.sampling = sampling
        turned = requests[::-1]
        for start in range(0, len(turned), 2):
            yield [Completion(r.id, f"{r.system}|{r.user}", "stop") for r in turned[start : start + 2]]

    def describe(self):
        return {"engine": self.name}


def test_equal_prompts_are_generated_once_and_answered_for_all_ids():
    engine = Echo()
    requests = [Request("a", "x"), Request("b", "y"), Request("c", "x"), Request("d", "x", "system"), Request("e", "y")]
    batches = list(engine.generate(requests))
    assert [(r.system, r.user) for r in engine.asked] == [("", "x"), ("", "y"), ("system", "x")]
    answers = {done.id: done.text for batch in batches for done in batch}
    assert answers == {"a": "|x", "b": "|y", "c": "|x", "d": "system|x", "e": "|y"}
    assert sum(map(len, batches)) == len(requests)
    assert len(batches) == 2


def test_duplicate_ids_are_refused_before_anything_is_generated():
    engine = Echo()
    with pytest.raises(InputError, match="not unique"):
        next(engine.generate([Request("a", "x"), Request("a", "y")]))
    assert not engine.asked


def test_no_requests_give_nothing():
    assert list(Echo().generate([])) == []


def test_sampling_is_greedy_unless_given():
    engine = Echo()
    list(engine.generate([Request("a", "x")]))
    assert engine.sampling == Sampling(temperature=0.0)
    draw = Sampling(max_new_tokens=3, temperature=0.5, top_p=0.9, seed=4)
    list(engine.generate([Request("a", "x")], sampling=draw))
    assert engine.sampling == draw


@pytest.mark.parametrize(
    "bad",
    [{"max_new_tokens": 0}, {"temperature": -0.1}, {"top_p": 0.0}, {"top_p": 1.5}, {"repetition_penalty": 0.0}],
)
def test_impossible_sampling_is_refused_with_its_value(bad):
    (name, value), *_ = bad.items()
    with pytest.raises(InputError, match=f"{name}={value}"):
        Sampling(**bad)


@pytest.mark.parametrize("bad", [[""], [1], ["a", ""]])
def test_stop_texts_that_stop_nothing_are_refused(bad):
    with pytest.raises(InputError, match="stop texts that are not empty"):
        Sampling(stop=bad)


def test_stop_texts_are_equal_however_they_are_given():
    assert Sampling(stop="References") == Sampling(stop=["References"]) == Sampling(stop=("References",))


def test_half_a_surrogate_pair_in_a_prompt_reaches_no_back_end():
    request = Request("a", "Gene \ud83d\ude00 \ud83d\x00?", "\udc00")
    assert (request.user, request.system) == ("Gene \U0001f600 \ufffd\ufffd?", "\ufffd")
    engine = Echo()
    list(engine.generate([request]))
    assert "\ud83d" not in engine.asked[0].user


def test_defaults_of_the_contract():
    engine = Echo()
    assert engine.generates
    assert engine.count_tokens([Request("a", "x" * 30, "y" * 10), Request("b", "z" * 8)]) == 12
    with pytest.raises(EngineError, match="`echo` engine has no chat template at hand to lay out the request `a`"):
        engine.render(Request("a", "x"))
    with pytest.raises(EngineError, match="`echo` engine cannot score"):
        list(engine.score_many([Request("a", "x")], ["yes"]))


def test_derived_seeds_depend_on_all_parts_and_their_borders():
    seeds = [derived_seed(*parts) for parts in [(0, "a"), (1, "a"), (0, "b"), (0, "a", "b"), (0, "ab")]]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert derived_seed(0, "a") == seeds[0]


def test_sizes_below_one_are_refused_by_name():
    check_positive(batch_size=1)
    for bad in (0, 1.5, "auto", True, None):
        with pytest.raises(InputError, match=f"concurrency must be at least 1, got {bad!r}"):
            check_positive(batch_size=1, concurrency=bad)


def test_a_back_end_that_leaves_prompts_unanswered_is_an_error():
    class Silent(Engine):
        name = "silent"

        def describe(self):
            return {}

        def _generate(self, requests, sampling):
            yield [Completion(requests[0].id, "text", "stop")]

    batches = Silent().generate([Request("a", "x"), Request("b", "y")])
    assert [done.id for done in next(batches)] == ["a"]
    with pytest.raises(EngineError, match="1 of 2 prompts unanswered"):
        next(batches)


class Ruler(Echo):
    """Scores an option by its length, the last request first."""

    def _score(self, requests, options, *, end):
        self.asked += requests
        for request, given in zip(requests[::-1], options[::-1], strict=True):
            yield [Scores(request.id, tuple(Scored(-len(option) - end, 1, is_greedy=False) for option in given))]


def test_equal_questions_are_scored_once_and_answered_for_all_ids():
    engine = Ruler()
    requests = [Request("a", "x"), Request("b", "x"), Request("c", "x"), Request("d", "y")]
    options = [["A", "BB"], ["A", "BB"], ["BB", "A"], ["A", "BB"]]
    found = {
        one.id: [each.logprob for each in one.options]
        for batch in engine.score_many(requests, options)
        for one in batch
    }
    assert found == {"a": [-1, -2], "b": [-1, -2], "c": [-2, -1], "d": [-1, -2]}
    assert [r.id for r in engine.asked] == ["a", "c", "d"]


def test_a_score_that_is_no_number_is_an_error_of_its_request():
    class Broken(Ruler):
        def _score(self, requests, options, *, end):
            good, bad = Scored(-1.0, 1, is_greedy=False), Scored(float("nan"), 1, is_greedy=False)
            yield [Scores(r.id, (good, bad if r.user == "x" else good), 7) for r in requests]

    [[x, y]] = Broken().score_many([Request("x", "x"), Request("y", "y")], ["A", "B"])
    assert (x.status, x.options, x.n_prompt_tokens, y.status) == ("error", (), 7, "ok")
    assert "NaN" in x.error


def test_one_list_of_options_serves_all_requests():
    batches = Ruler().score_many([Request("a", "x"), Request("b", "y")], ("yes", "no"), end=True)
    assert {one.id: [each.logprob for each in one.options] for batch in batches for one in batch} == {
        "a": [-4, -3],
        "b": [-4, -3],
    }
    assert list(Ruler().score_many([], ["yes"])) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("AB", "a list of texts"),
        ([], "0 lists of options for 2"),
        ([["A"]], "1 lists of options for 2"),
        ([["A"], []], "request `b`"),
        ([["A"], ["B", ""]], "request `b`"),
        ([["A"], "B"], "request `b`"),
        (["A", ""], "request `a`"),
    ],
)
def test_options_that_are_none_are_refused(options, said):
    engine = Ruler()
    with pytest.raises(InputError, match=said):
        list(engine.score_many([Request("a", "x"), Request("b", "y")], options))
    assert not engine.asked


OF_ANY_KIND = {
    "array": lambda: np.array([" A", " BB"]),
    "array of lists": lambda: np.array([[" A", " BB"]] * 2),
    "column": lambda: pd.Series([" A", " BB"]),
    "column of lists": lambda: pd.Series([[" A", " BB"]] * 2),
    "list of arrays": lambda: [np.array([" A", " BB"])] * 2,
    "generator": lambda: (option for option in (" A", " BB")),
    "list of generators": lambda: [(option for option in (" A", " BB")) for _ in range(2)],
}


@pytest.mark.parametrize("kind", OF_ANY_KIND)
def test_options_and_requests_may_be_lists_of_any_kind(kind):
    requests = (Request(id, id) for id in "ab")
    scores = [one for batch in Ruler().score_many(requests, OF_ANY_KIND[kind]()) for one in batch]
    assert {one.id: [option.logprob for option in one.options] for one in scores} == {"a": [-2, -3], "b": [-2, -3]}


@pytest.mark.parametrize(
    "options",
    [
        None,
        3,
        " A",
        {" A": 1},
        {" A", " B"},
        {"a": [" A"], "b": [" B"]},
        [{" A": 1}] * 2,
        [1, 2],
        [b"A"] * 2,
        [[], ["A"]],
    ],
)
def test_options_that_are_no_list_of_texts(options):
    with pytest.raises(InputError, match="texts"):
        list(Ruler().score_many([Request("a", "x"), Request("b", "y")], options))


@pytest.mark.parametrize("requests", [["Is TP53 a gene?"], "Is TP53 a gene?", None, [Request("a"), None]])
def test_what_is_no_request(requests):
    with pytest.raises(InputError, match="requests is a list of `Request`"):
        list(Echo().generate(requests))


def test_requests_may_be_a_generator_and_one_alone():
    assert [done.id for batch in Echo().generate(Request(id, id) for id in "a") for done in batch] == ["a"]
    assert [done.id for batch in Echo().generate(Request("a", "x")) for done in batch] == ["a"]
