"""Language models in a run: asked once, whatever is done to the run or to the parser; embeddings take no part."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bftembed.bench import (
    Answer,
    Evaluation,
    Item,
    LanguageProblem,
    Model,
    Question,
    Score,
    Source,
    Task,
    TaskInfo,
    find_tasks,
    pending,
    read_results,
    run,
)
from bftembed.bench.results import result_path
from bftembed.data import given_file
from bftembed.engines import Completion, Engine, Request, Scored, Scores, TransformersEngine, get_engine
from bftembed.errors import InputError

LETTERS = "ABCD"


class Echo(Engine):
    """Likes one letter best, and writes it."""

    name = "echo"

    def __init__(self, letter="A", *, n_fail=0):
        self.letter, self.n_fail, self.asked = letter, n_fail, []

    def describe(self):
        return {"engine": self.name, "letter": self.letter}

    def _score(self, requests, options, *, end):
        for request, given in zip(requests, options, strict=True):
            self.asked.append(request.user)
            if self.n_fail:
                self.n_fail -= 1
                yield [Scores(request.id, status="error", error="the server fell over")]
            else:
                yield [Scores(request.id, tuple(Scored(-1.0 - (o.strip() != self.letter), 1, True) for o in given))]

    def _generate(self, requests, sampling):
        for request in requests:
            self.asked.append(request.user)
            yield [Completion(request.id, f"It is {self.letter}", "stop")]


class Letters(LanguageProblem):
    """Which letter comes after n others? Scored, with a control that sees no question; or written."""

    def __init__(self, n=8, *, mode="rank", shout=False):
        self.mode, self.shout = mode, shout
        self.items = [Item(f"q{i}", LETTERS[i % 4], tuple(LETTERS)) for i in range(n)]
        self.removed = {}

    def questions(self):
        options = tuple(f" {letter}" for letter in LETTERS) if self.mode == "rank" else ()
        asked = [Question(Request(i.id, f"Letter {i.id}?", prefix="Answer:"), i.id, options) for i in self.items]
        return [*asked, Question(Request("prior", "?", prefix="Answer:"), "", options, "prior")] if options else asked

    def evaluate(self, answers, *, encoder):
        if self.mode == "rank":
            said = [LETTERS[int(np.argmax(answers[item.id].logprobs))] for item in self.items]
        else:
            said = [answers[item.id].text[-1] for item in self.items]
        right = [guess == item.gold for guess, item in zip(said, self.items, strict=True)]
        share = float(np.mean(right)) + self.shout
        score = Score("letters", "accuracy", np.array([[share]]))
        return Evaluation([score], [], [item.id for item in self.items], right=right)


def letters(mode="rank", name="toy.letters", *, version=1, make=Letters, **info):
    fields = {
        "kind": "language",
        "mode": mode,
        "title": "Letters",
        "data": (),
        "main_score": "accuracy",
        "licence": "own",
        "citation": "none",
    }
    options = {"shout": version > 1} if make is Letters else {}
    return Task(
        TaskInfo(name=name, version=version, **fields | info), lambda fast: make(4 if fast else 8, mode=mode, **options)
    )


@pytest.mark.parametrize("mode", ["rank", "generate"])
def test_a_model_is_scored_and_asked_once(mode, tmp_path):
    engine = Echo("C")
    (result,) = run([letters(mode)], [Model(engine, label="echo")], tmp_path)
    assert result.status == "ok"
    assert result.main.mean == 0.25
    assert result.right == [False, False, True, False] * 2
    assert (result.asked, result.found, result.n_items) == (8, 8, 8)
    n = len(engine.asked)
    assert n == (9 if mode == "rank" else 8)
    assert run([letters(mode)], [Model(engine, label="echo")], tmp_path) == [result]
    assert run([letters(mode)], [Model(engine, label="echo")], tmp_path, overwrite="always")[0].key == result.key
    assert len(engine.asked) == n


def test_another_parser_asks_nothing_again(tmp_path):
    engine = Echo()
    run([letters()], [Model(engine, label="echo")], tmp_path)
    n = len(engine.asked)
    (result,) = run([letters(version=2)], [Model(engine, label="echo")], tmp_path)
    assert result.main.mean == 1.25
    assert len(engine.asked) == n


def test_what_failed_alone_is_asked_again(tmp_path):
    engine = Echo(n_fail=2)
    (result,) = run([letters()], [Model(engine, label="echo")], tmp_path)
    assert result.status == "failed"
    assert result.reason.startswith("2 of 9 questions were not answered, e.g. the server fell over.")
    (result,) = run([letters()], [Model(engine, label="echo")], tmp_path)
    assert result.status == "ok"
    assert len(engine.asked) == 9 + 2


def test_another_model_is_asked_anew_and_paired(tmp_path):
    first, second = run([letters()], [Model(Echo("A"), label="a"), Model(Echo("B"), label="b")], tmp_path)
    assert first.key != second.key
    assert first.items_digest == second.items_digest
    assert [sum(result.right) for result in (first, second)] == [2, 2]


def test_a_fast_run_says_how_many_answers_change(tmp_path):
    class Moody(Echo):
        def _score(self, requests, options, *, end):
            self.letter = "B" if len(self.asked) >= 5 else "A"  # the second time
            yield from super()._score(requests, options, end=end)

        def describe(self):
            return {"engine": "moody"}

    for engine, flips in ((Echo(), 0), (Moody(), 4)):
        (result,) = run([letters()], [Model(engine, label=engine.describe()["engine"])], tmp_path, fast=True)
        assert f"Asked twice, {flips} of 4 answers were others the second time." in result.notes


def test_embeddings_and_models_take_no_part_in_each_others_tasks(tmp_path, planted, planted_task):
    results = run([planted_task(), letters()], [planted(), Model(Echo(), label="echo")], tmp_path)
    status = {(result.task.name, result.embedding): result.status for result in results}
    assert status == {
        ("toy.parity", "planted"): "ok",
        ("toy.parity", "echo"): "not applicable",
        ("toy.letters", "planted"): "not applicable",
        ("toy.letters", "echo"): "ok",
    }


def test_a_source_may_have_answers(tmp_path):
    class Texts(Source):
        answers = True

    class Given(Letters):
        def given(self, source):
            return {i.id: Answer(i.id, text="D") for i in self.items} if isinstance(source, Texts) else None

    task = letters("generate", make=Given)
    assert run([task], [Texts(label="texts")], tmp_path)[0].main.mean == 0.25
    (other,) = run([letters()], [Texts(label="texts")], tmp_path / "other")
    assert (other.status, other.reason) == (
        "not applicable",
        "`texts` has texts; this task asks a model, `model:ENGINE`.",
    )


@pytest.mark.parametrize("wrong", ["problem", "items"])
def test_tasks_that_break_the_contract_are_named(wrong, tmp_path, planted_task):
    class Twice(Letters):
        def __init__(self, n, *, mode):
            super().__init__(n, mode=mode)
            self.items = [*self.items, self.items[0]]

    task = letters(make=Twice) if wrong == "items" else Task(letters().info, planted_task().load)
    (result,) = run([task], [Model(Echo(), label="echo")], tmp_path)
    assert result.status == "failed"
    assert ("items of the same name" if wrong == "items" else "no `bftembed.bench.LanguageProblem`") in result.reason


def test_files_of_the_user_are_part_of_a_result(tmp_path):
    class Lines(Letters):
        def __init__(self, n, *, mode):
            super().__init__(len(given_file("lines").read_text().splitlines()), mode=mode)

    task = letters(make=Lines, files=("lines",))
    file = tmp_path / "lines.txt"
    file.write_text("a\nb\n")
    (none,) = run([task], [Model(Echo(), label="echo")], tmp_path / "run")
    assert none.status == "failed"
    assert "`--file lines=PATH`" in none.reason
    (two,) = run([task], [Model(Echo(), label="echo")], tmp_path / "run", files={"lines": file})
    assert (two.n_items, list(two.data)) == (2, ["given/lines"])
    assert not pending([task], [Model(Echo(), label="echo")], tmp_path / "run", files={"lines": file})
    file.write_text("a\nb\nc\n")
    (three,) = run([task], [Model(Echo(), label="echo")], tmp_path / "run", files={"lines": file})
    assert three.n_items == 3
    assert read_results(tmp_path / "run") == [three]


def test_encoder_and_judge_are_part_of_the_results_that_use_them(tmp_path):
    model, judge = Model(Echo(), label="echo"), Echo("D")
    plain, used = letters(), letters(name="toy.judged", encodes=True, judged=True)
    first, second = run([plain, used], [model], tmp_path, judge=judge)
    assert set(first.description) == {"engine"}
    assert second.description["judge"] == judge.describe()
    assert "weights" in second.description["encoder"]


def test_presets_are_tasks_of_their_own(tmp_path, monkeypatch):
    family = tmp_path / "toys"
    family.mkdir()
    (family / "task.py").write_text(
        "from bftembed.bench import Task, TaskInfo\n"
        "def make(name, preset, **more):\n"
        "    info = TaskInfo(name=name, kind='language', preset=preset, title='T', data=(), main_score='accuracy',\n"
        "                    licence='own', citation='none', **more)\n"
        "    return Task(info, lambda fast: None)\n"
        "TASKS = [make('toys.a', 'chat'), make('toys.a.cot', 'cot', is_default=False), make('toys.b', 'chat')]\n"
    )

    def found(**more):
        return [task.name for task in find_tasks([tmp_path], **more)]

    assert found(names=["toys"]) == ["toys.a", "toys.b"]
    assert found(names=["toys.a"]) == ["toys.a"]
    assert found(names=["toys.a.cot"]) == ["toys.a.cot"]
    assert found(names=["toys"], presets=["cot"]) == ["toys.a.cot"]
    assert found(names=["toys"], presets=["cot", "chat"]) == ["toys.a", "toys.a.cot", "toys.b"]
    with pytest.raises(InputError, match="None of these tasks has the preset none; they have chat, cot"):
        found(names=["toys"], presets=["none"])


@pytest.fixture
def tiny_adapter(tiny_model, tmp_path):
    """A LoRA adapter as `bftembed tune` leaves it, which names its base model."""
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny_model)
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    adapted.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_the_model_that_an_adapter_was_tuned_from_is_asked_too(tmp_path, tiny_adapter):
    model = Model(f"transformers:{tiny_adapter}", label="tuned")
    tuned, base = run([letters()], [model], tmp_path)
    assert (tuned.embedding, base.embedding) == ("tuned", "tuned (base)")
    assert tuned.description["engine"]["weights"] == base.description["engine"]["weights"]
    assert tuned.description["engine"]["adapter"]
    assert not base.description["engine"]["adapter"]
    named = Model(f"transformers:{model.engine.provenance()['directory']}", label="base")
    both = run([letters()], [model, named], tmp_path / "named")
    assert [result.embedding for result in both] == ["tuned", "base"]


SCRIPT = """
import os, sys, time
sys.path.insert(0, os.environ["TESTS"])
from test_answered import Echo, Model, letters, run
class Slow(Echo):
    def _score(self, requests, options, *, end):
        for batch in super()._score(requests, options, end=end):
            time.sleep(float(os.environ["WAIT"]))
            yield batch
            print(batch[0].id, flush=True)
engine = Slow()
run([letters()], [Model(engine, label="echo")], sys.argv[1])
"""


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    environ = {"TESTS": str(Path(__file__).parent), "WAIT": "0.3", "PATH": "", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "killed")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
        first = [process.stdout.readline().strip() for _ in range(3)]
        process.send_signal(signal.SIGKILL)
    rest = subprocess.run(command, capture_output=True, text=True, env=environ | {"WAIT": "0"}, check=True)
    assert len(first) + len(rest.stdout.split()) in {9, 10}  # the fourth may have been stored before it was told
    assert not set(first) & set(rest.stdout.split())
    (killed,) = read_results(tmp_path / "killed")
    (whole,) = run([letters()], [Model(Echo(), label="echo")], tmp_path / "whole")
    assert killed.model_dump(exclude={"times"}) == whole.model_dump(exclude={"times"})


def test_the_embedded_model_answers(tmp_path):
    model = Model("default")
    (result,) = run([letters()], [model], tmp_path)
    assert result.status == "ok"
    assert result.description == {"engine": get_engine("default").describe()}
    assert isinstance(model.engine, TransformersEngine)
    assert result_path(tmp_path, "toy.letters", "model:default", "own").exists()
