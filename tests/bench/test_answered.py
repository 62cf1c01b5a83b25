"""Language models in a run: asked once, whatever is done to the run or to the parser; embeddings take no part."""

import signal
import subprocess
import sys
from pathlib import Path
from types import MappingProxyType

import pytest

from bftembed.bench import (
    Answer,
    Model,
    Source,
    Task,
    find_tasks,
    pending,
    read_results,
    run,
)
from bftembed.bench.results import result_path
from bftembed.data import given_file
from bftembed.engines import TransformersEngine, get_engine
from bftembed.errors import InputError


@pytest.mark.parametrize("mode", ["rank", "generate"])
def test_a_model_is_scored_and_asked_once(mode, tmp_path, echo, letters):
    engine = echo("C")
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


def test_what_a_problem_keeps_stands_beside_its_results(tmp_path, echo, letters, letters_problem):
    class Keeping(letters_problem):
        kept = MappingProxyType({"held_out.txt": "q1\nq\u00fc\n"})

    (result,) = run([letters(make=Keeping)], [Model(echo(), label="echo")], tmp_path)
    assert result.status == "ok"
    assert (tmp_path / "results/toy.letters/held_out.txt").read_text(encoding="utf-8") == "q1\nq\u00fc\n"
    assert read_results(tmp_path) == [result]
    (tmp_path / "results/toy.letters/held_out.txt").unlink()
    (tmp_path / "results/toy.letters/held_out.txt").mkdir()
    (result,) = run([letters(make=Keeping)], [Model(echo(), label="echo")], tmp_path, overwrite="always")
    assert result.status == "failed"
    assert "held_out.txt cannot be written" in result.reason


def test_another_parser_asks_nothing_again(tmp_path, echo, letters):
    engine = echo()
    run([letters()], [Model(engine, label="echo")], tmp_path)
    n = len(engine.asked)
    (result,) = run([letters(version=2)], [Model(engine, label="echo")], tmp_path)
    assert result.main.mean == 1.25
    assert len(engine.asked) == n


def test_what_failed_alone_is_asked_again(tmp_path, echo, letters):
    engine = echo(n_fail=2)
    (result,) = run([letters()], [Model(engine, label="echo")], tmp_path)
    assert result.status == "failed"
    assert result.reason.startswith("2 of 9 questions were not answered, e.g. the server fell over. Run")
    (result,) = run([letters()], [Model(engine, label="echo")], tmp_path)
    assert result.status == "ok"
    assert len(engine.asked) == 9 + 2


def test_another_model_is_asked_anew_and_paired(tmp_path, echo, letters):
    first, second = run([letters()], [Model(echo("A"), label="a"), Model(echo("B"), label="b")], tmp_path)
    assert first.key != second.key
    assert first.items_digest == second.items_digest
    assert [sum(result.right) for result in (first, second)] == [2, 2]


def test_a_fast_run_says_how_many_answers_change(tmp_path, echo, letters):
    class Moody(echo):
        def _score(self, requests, options, *, end):
            self.letter = "B" if len(self.asked) >= 5 else "A"  # the second time
            yield from super()._score(requests, options, end=end)

        def describe(self):
            return {"engine": "moody"}

    for engine, flips in ((echo(), 0), (Moody(), 4)):
        (result,) = run([letters()], [Model(engine, label=engine.describe()["engine"])], tmp_path, fast=True)
        assert result.counts == {"asked twice": 4, "flips": flips}


def test_embeddings_and_models_take_no_part_in_each_others_tasks(tmp_path, planted, planted_task, echo, letters):
    results = run([planted_task(), letters()], [planted(), Model(echo(), label="echo")], tmp_path)
    status = {(result.task.name, result.embedding): result.status for result in results}
    assert status == {
        ("toy.parity", "planted"): "ok",
        ("toy.parity", "echo"): "not applicable",
        ("toy.letters", "planted"): "not applicable",
        ("toy.letters", "echo"): "ok",
    }


def test_a_source_may_have_answers(tmp_path, letters, letters_problem):
    class Texts(Source):
        answers = True

    class Given(letters_problem):
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
def test_tasks_that_break_the_contract_are_named(wrong, tmp_path, planted_task, echo, letters, letters_problem):
    class Twice(letters_problem):
        def __init__(self, n, *, mode):
            super().__init__(n, mode=mode)
            self.items = [*self.items, self.items[0]]

    task = letters(make=Twice) if wrong == "items" else Task(letters().info, planted_task().load)
    (result,) = run([task], [Model(echo(), label="echo")], tmp_path)
    assert result.status == "failed"
    assert ("items of the same name" if wrong == "items" else "no `bftembed.bench.LanguageProblem`") in result.reason


def test_files_of_the_user_are_part_of_a_result(tmp_path, echo, letters, letters_problem):
    class Lines(letters_problem):
        def __init__(self, n, *, mode):
            super().__init__(len(given_file("lines").read_text().splitlines()), mode=mode)

    task = letters(make=Lines, files=("lines",))
    file = tmp_path / "lines.txt"
    file.write_text("a\nb\n")
    (none,) = run([task], [Model(echo(), label="echo")], tmp_path / "run")
    assert none.status == "not applicable"
    assert "`--file lines=PATH`" in none.reason
    (two,) = run([task], [Model(echo(), label="echo")], tmp_path / "run", files={"lines": file})
    assert (two.n_items, list(two.data)) == (2, ["given/lines"])
    assert not pending([task], [Model(echo(), label="echo")], tmp_path / "run", files={"lines": file})
    file.write_text("a\nb\nc\n")
    (three,) = run([task], [Model(echo(), label="echo")], tmp_path / "run", files={"lines": file})
    assert three.n_items == 3
    assert read_results(tmp_path / "run") == [three]


def test_encoder_and_judge_are_part_of_the_results_that_use_them(tmp_path, echo, letters):
    model, judge = Model(echo(), label="echo"), echo("D")
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


def test_the_model_that_an_adapter_was_tuned_from_is_asked_too(tmp_path, tiny_adapter, letters):
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
from bftembed.bench import Model, run
from conftest import Echo, letters
class Slow(Echo):
    def _score(self, requests, options, *, end):
        for batch in super()._score(requests, options, end=end):
            time.sleep(float(os.environ["WAIT"]))
            yield batch
            print(batch[0].id, flush=True)
engine = Slow()
run([letters()], [Model(engine, label="echo")], sys.argv[1])
"""


def test_a_killed_run_goes_on_where_it_was(tmp_path, echo, letters):
    environ = {"TESTS": str(Path(__file__).parent), "WAIT": "0.3", "PATH": "", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "killed")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
        first = [process.stdout.readline().strip() for _ in range(3)]
        process.send_signal(signal.SIGKILL)
    rest = subprocess.run(command, capture_output=True, text=True, env=environ | {"WAIT": "0"}, check=True)
    assert len(first) + len(rest.stdout.split()) in {9, 10}  # the fourth may have been stored before it was told
    assert not set(first) & set(rest.stdout.split())
    (killed,) = read_results(tmp_path / "killed")
    (whole,) = run([letters()], [Model(echo(), label="echo")], tmp_path / "whole")
    assert killed.model_dump(exclude={"times"}) == whole.model_dump(exclude={"times"})


def test_the_embedded_model_answers(tmp_path, letters):
    model = Model("default")
    (result,) = run([letters()], [model], tmp_path)
    assert result.status == "ok"
    assert result.description == {"engine": get_engine("default").describe()}
    assert isinstance(model.engine, TransformersEngine)
    assert result_path(tmp_path, "toy.letters", "model:default", "own").exists()
