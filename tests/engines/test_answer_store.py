import math
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bftembed.engines import (
    AnswerStore,
    Completion,
    Engine,
    Request,
    Sampling,
    Scored,
    Scores,
    TransformersEngine,
    complete_stored,
    score_stored,
)
from bftembed.errors import EngineError, InputError, StoreError

REQUESTS = [Request(f"q{n}", f"Question {n}?", prefix="Answer:") for n in range(12)]
LETTERS = [" A", " B"]


class Counting(Engine):
    """Scores an option by its length, three requests at a time, and remembers which it was asked."""

    name = "counting"

    def __init__(self, model="m", broken=()):
        self.model, self.broken, self.asked, self.calls = model, broken, [], 0

    def describe(self):
        return {"engine": self.name, "model": self.model}

    def _generate(self, requests, sampling):
        raise NotImplementedError

    def _score(self, requests, options, *, end):
        self.calls += 1
        for start in range(0, len(requests), 3):
            batch = []
            for request, given in zip(requests[start : start + 3], options[start : start + 3], strict=True):
                self.asked.append(request.id)
                if request.id in self.broken:
                    batch.append(Scores(request.id, (), 5, "error", "the server fell over"))
                elif "long" in request.user:
                    batch.append(Scores(request.id, (), 900, "too_long", "900 tokens"))
                else:
                    batch.append(Scores(request.id, tuple(Scored(-len(o) - end / 3, 1, True) for o in given), 5))
            yield batch


class Moved(Counting):
    """Knows another name of its model."""

    def in_current_terms(self, described):
        return {**described, "model": self.model} if described["model"] == "old" else described


def ask(engine, store, requests=REQUESTS, options=LETTERS, **more):
    return score_stored(requests, options, engine=engine, store=store, progress=False, **more)


def test_what_is_stored_is_not_asked_again_and_comes_in_the_order_of_the_requests(tmp_path):
    file, first, second = tmp_path / "s.sqlite", Counting(), Counting()
    scores = ask(first, file)
    assert [one.id for one in scores] == [request.id for request in REQUESTS]
    assert scores[0] == Scores("q0", (Scored(-2, 1, True), Scored(-2, 1, True)), 5)
    renamed = [Request(f"other {r.id}", r.user, prefix=r.prefix) for r in REQUESTS[::-1]]
    again = ask(second, file, [*renamed, Request("new", "New?")])
    assert second.asked == ["new"]
    assert [one.options for one in again[:-1]] == [one.options for one in scores[::-1]]
    assert [one.id for one in again] == [*(request.id for request in renamed), "new"]


@pytest.mark.parametrize(
    "change",
    [
        {"engine": Counting("other")},
        {"requests": [Request("q0", "Question 0?", prefix="The answer:")]},
        {"requests": [Request("q0", "Question 0?", "Be brief.", prefix="Answer:")]},
        {"requests": [Request("q0", raw="Question 0?Answer:")]},
        {"options": [" B", " A"]},
        {"options": [" A", " B", " C"]},
        {"end": True},
    ],
    ids=["engine", "prefix", "system", "raw", "order of options", "options", "end"],
)
def test_all_that_decides_a_score_is_in_its_key(tmp_path, change):
    file = tmp_path / "s.sqlite"
    ask(Counting(), file, REQUESTS[:1])
    engine = change.pop("engine", Counting())
    ask(engine, file, **({"requests": REQUESTS[:1]} | change))
    assert engine.asked == ["q0"]
    with AnswerStore(file) as store:
        assert len(store) == 2


def test_errors_are_asked_again_and_what_is_too_long_is_not(tmp_path):
    file = tmp_path / "s.sqlite"
    requests = [*REQUESTS[:3], Request("long", "A long question?")]
    first = ask(Counting(broken={"q1"}), file, requests)
    assert [one.status for one in first] == ["ok", "error", "ok", "too_long"]
    assert first[1].error == "the server fell over"
    engine = Counting()
    second = ask(engine, file, requests)
    assert engine.asked == ["q1"]
    assert [one.status for one in second] == ["ok", "ok", "ok", "too_long"]
    idle = Counting()
    assert ask(idle, file, requests) == second
    assert not idle.calls


def test_nothing_but_an_error_is_replaced(tmp_path):
    good, other = Scores("k", (Scored(-1.25, 2, False, True),), 7), Scores("k", (Scored(-9, 2, False),), 7)
    bad = Scores("k", (), 7, "error", "no")
    with AnswerStore(tmp_path / "s.sqlite") as store:
        for added, kept in [(bad, bad), (good, good), (other, good), (bad, good)]:
            store.add_scores({"k": added}, Counting())
            assert store.scores(["k", "unknown"]) == {"k": kept}


def test_numbers_come_back_as_they_were(tmp_path):
    numbers = [-math.pi, -1e-300, -math.inf, 0.0]
    with AnswerStore(tmp_path / "s.sqlite") as store:
        store.add_scores({"k": Scores("k", tuple(Scored(n, 1, False) for n in numbers))}, Counting())
        assert [option.logprob for option in store.scores(["k"])["k"].options] == numbers


def test_more_requests_than_sqlite_takes_at_once(tmp_path):
    requests = [Request(str(n), f"{n}?") for n in range(1300)]
    ask(Counting(), tmp_path / "s.sqlite", requests)
    engine = Counting()
    assert len(ask(engine, tmp_path / "s.sqlite", requests)) == 1300
    assert not engine.asked


def test_finished_batches_are_kept_when_an_engine_fails(tmp_path):
    class Failing(Counting):
        def _score(self, requests, options, *, end):
            batches = super()._score(requests, options, end=end)
            yield next(batches)
            yield next(batches)
            msg = "the card fell off"
            raise EngineError(msg)

    with AnswerStore(tmp_path / "s.sqlite") as store:
        with pytest.raises(EngineError, match="fell off"):
            ask(Failing(), store)
        assert len(store) == 6
        engine = Counting()
        ask(engine, store)
        assert engine.asked == [request.id for request in REQUESTS[6:]]


def test_bad_questions_are_refused_before_a_store_is_made(tmp_path):
    file = tmp_path / "s.sqlite"
    with pytest.raises(InputError, match="not unique"):
        ask(Counting(), file, [REQUESTS[0], REQUESTS[0]])
    with pytest.raises(InputError, match="list of texts"):
        ask(Counting(), file, options="AB")
    assert not file.exists()
    assert ask(Counting(), file, []) == []


def test_the_full_disk_is_named_and_what_was_committed_stays(tmp_path, small_files):
    file = tmp_path / "s.sqlite"
    ask(Counting(), file, REQUESTS[:3])
    many = [Request(str(n), f"{n}?") for n in range(6000)]
    with small_files(200_000), pytest.raises(StoreError, match=str(file)):
        ask(Counting(), file, many)
    with AnswerStore(file) as store:
        kept = len(store)
    assert 3 <= kept < 6003
    engine = Counting()
    ask(engine, file, [*REQUESTS[:3], *many])
    assert len(engine.asked) == 6003 - kept


def test_files_that_are_no_store_are_left_as_they_are(tmp_path):
    from bftembed.profiles import ProfileStore

    ProfileStore(tmp_path / "profiles.sqlite").close()
    before = (tmp_path / "profiles.sqlite").read_bytes()
    with pytest.raises(StoreError, match="another program or kind"):
        AnswerStore(tmp_path / "profiles.sqlite")
    assert (tmp_path / "profiles.sqlite").read_bytes() == before
    (tmp_path / "damaged.sqlite").write_bytes(b"no database" * 400)
    with pytest.raises(StoreError, match="not a database"):
        AnswerStore(tmp_path / "damaged.sqlite")
    with pytest.raises(StoreError, match="is a directory"):
        AnswerStore(tmp_path)


def test_default_path_is_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path))
    ask(Counting(), None, REQUESTS[:1])
    assert (tmp_path / "answers.sqlite").exists()


def rows(file):
    connection = sqlite3.connect(file)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    found = dict(connection.execute("SELECT key, options FROM scores"))
    connection.close()
    return found


def test_a_run_killed_in_the_middle_goes_on_with_what_is_missing(tiny_model, tmp_path):
    file, log = tmp_path / "s.sqlite", tmp_path / "asked"
    for _ in range(2):
        before = rows(file) if file.exists() else {}
        process = subprocess.Popen([sys.executable, __file__, str(tiny_model), str(file), str(log)])
        while process.poll() is None and (not file.exists() or len(rows_while_written(file)) <= len(before) + 3):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        after = rows(file)
        assert len(before) < len(after) < len(many())
        assert before.items() <= after.items()
    engine = Logging(str(tiny_model), log)
    scores = ask(engine, file, many())
    asked = log.read_text().split()
    assert len(asked) == sum(len(many()) - n for n in (0, len(before), len(after)))
    whole = {one.id: one for batch in TransformersEngine(str(tiny_model)).score_many(many(), LETTERS) for one in batch}
    for one in scores:
        expected = [option.logprob for option in whole[one.id].options]
        assert [option.logprob for option in one.options] == pytest.approx(expected, abs=1e-4)


def rows_while_written(file):
    connection = sqlite3.connect(file, timeout=30)
    try:
        return connection.execute("SELECT key FROM scores").fetchall()
    except sqlite3.OperationalError:  # its tables are not there yet
        return []
    finally:
        connection.close()


def many():
    return [Request(f"q{n}", f"Question {n}?" + " Really?" * (n % 9), prefix="Answer:") for n in range(60)]


class Logging(TransformersEngine):
    """Two prompts at a time; notes what it is asked."""

    def __init__(self, model, log):
        super().__init__(model, batch_size=2, threads=1)
        self.log = Path(log)

    def _score(self, requests, options, *, end):
        with self.log.open("a") as handle:
            handle.writelines(f"{request.id}\n" for request in requests)
        for batch in super()._score(requests, options, end=end):
            yield batch
            time.sleep(0.05)


if __name__ == "__main__":  # a run of the test above
    model, file, log = sys.argv[1:]
    ask(Logging(model, log), file, many())


def test_scores_of_the_same_model_in_other_terms_are_found(tmp_path):
    file, first, second, third = tmp_path / "s.sqlite", Counting("old", broken={"q3"}), Moved("new"), Counting("new")
    before = ask(first, file)
    after = ask(second, file)
    assert second.asked == ["q3"]
    assert [one.options for n, one in enumerate(after) if n != 3] == [
        one.options for n, one in enumerate(before) if n != 3
    ]
    ask(third, file)
    assert third.asked == [request.id for request in REQUESTS if request.id != "q3"]


def test_a_damaged_entry_is_named(tmp_path):
    file = tmp_path / "s.sqlite"
    ask(Counting(), file)
    connection = sqlite3.connect(file)
    connection.execute("UPDATE scores SET options = 'nonsense'")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match=r"s.sqlite` is damaged: it holds `nonsense`"):
        ask(Counting(), file)


def test_the_engine_may_be_named(tmp_path, tiny_model):
    (scores,) = ask(f"transformers:{tiny_model}", tmp_path / "s.sqlite", REQUESTS[:1])
    assert len(scores.options) == 2


class Writing(Counting):
    """Writes prompts backwards, three at a time."""

    def _generate(self, requests, sampling):
        for start in range(0, len(requests), 3):
            batch = []
            for request in requests[start : start + 3]:
                self.asked.append(request.id)
                if request.id in self.broken:
                    batch.append(Completion(request.id, "", "error", error="the server fell over"))
                elif "long" in request.user:
                    error = "prompt and max_new_tokens=4 exceed the model's window of 900 tokens"
                    batch.append(Completion(request.id, "", "error", 900, error=error))
                else:
                    batch.append(Completion(request.id, request.user[::-1], "stop", 5, 3))
            yield batch


def complete(engine, store, requests=REQUESTS, **more):
    return complete_stored(requests, engine=engine, store=store, progress=False, **more)


def test_texts_that_are_stored_are_not_asked_for_again(tmp_path):
    file, first, second = tmp_path / "s.sqlite", Writing(), Writing()
    texts = complete(first, file)
    assert texts[0] == Completion("q0", "?0 noitseuQ", "stop", 5, 3)
    again = complete(second, file, [Request("new", "New?"), *REQUESTS[::-1]])
    assert second.asked == ["new"]
    assert again[1:] == texts[::-1]


@pytest.mark.parametrize(
    "sampling", [Sampling(seed=1), Sampling(temperature=0.6), Sampling(max_new_tokens=8), Sampling(stop="x")]
)
def test_a_text_is_of_one_sampling(sampling, tmp_path):
    file, engine = tmp_path / "s.sqlite", Writing()
    complete(engine, file, REQUESTS[:1])
    complete(engine, file, REQUESTS[:1], sampling=sampling)
    complete(engine, file, REQUESTS[:1], sampling=sampling)
    assert engine.asked == ["q0", "q0"]


def test_scores_and_texts_of_one_prompt_stand_side_by_side(tmp_path):
    file, engine = tmp_path / "s.sqlite", Writing()
    with AnswerStore(file) as store:
        ask(engine, store, REQUESTS[:1])
        complete(engine, store, REQUESTS[:1])
        assert len(store) == 2
    assert engine.asked == ["q0", "q0"]


def test_failed_texts_are_asked_for_again_but_not_what_is_too_long(tmp_path):
    file, requests = tmp_path / "s.sqlite", [*REQUESTS[:3], Request("long", "A long question?")]
    first = complete(Writing(broken={"q1"}), file, requests)
    assert [(one.is_failed, one.is_too_long) for one in first] == [
        (False, False),
        (True, False),
        (False, False),
        (False, True),
    ]
    engine = Writing()
    second = complete(engine, file, requests)
    assert engine.asked == ["q1"]
    assert second[1].text == "?1 noitseuQ"


@pytest.mark.parametrize(
    ("error", "is_too_long"),
    [
        ("prompt and max_new_tokens=4 exceed the model's window of 900 tokens (899 of the prompt)", True),
        ("This model's maximum context length is 2048 tokens", True),
        ("connection refused", False),
        ("the model gives no numbers (NaN)", False),
    ],
)
def test_errors_that_say_a_prompt_is_too_long(error, is_too_long):
    assert Completion("1", "", "error", error=error).is_too_long == is_too_long
    assert not Completion("1", error, "stop").is_too_long


def test_a_store_with_other_tables_says_what_to_do(tmp_path):
    path = tmp_path / "answers.sqlite"
    AnswerStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE scores RENAME COLUMN n_prompt_tokens TO n")
    connection.close()
    with pytest.raises(StoreError, match=r"n_prompt_tokens\. Its tables are of another version of this package; move"):
        score_stored(REQUESTS, LETTERS, engine=Counting(), store=path, progress=False)
