"""Results made by hand: no task is run."""

import hashlib
from html.parser import HTMLParser

import numpy as np
import pytest

from bftembed.bench import Evaluation, Item, LanguageProblem, Model, Published, Question, Score, Task, TaskInfo, run
from bftembed.bench.results import Result, ScoreRecord
from bftembed.bench.scoring.scores import item_weights
from bftembed.engines import Completion, Engine, Request, Scored, Scores

LETTERS = "ABC"
VOID = {"meta", "wbr", "br", "link", "img", "input", "hr"}


def make_info(name="toy.parity", **changes):
    fields = {
        "kind": "gene",
        "title": f"Title of {name}",
        "data": ("toy",),
        "main_score": "auroc",
        "chance": 0.5,
        "best": 1.0,
        "licence": "MIT",
        "citation": "A et al. (2020).",
    }
    return TaskInfo(name=name, **(fields | changes))


def make_score(
    mean=0.8, *, method="logistic regression", metric="auroc", half=0.03, folds=None, values=None, **changes
):
    """A score whose intervals reach `half` (items) and `folds` to each side; None for no interval."""
    return ScoreRecord(
        method=method,
        metric=metric,
        mean=mean,
        interval_items=None if half is None or mean is None else (mean - half, mean + half),
        interval_folds=None if folds is None or mean is None else (mean - folds, mean + folds),
        values=values or [[mean, mean]],
        **changes,
    )


def make_result(task="toy.parity", embedding="a", mean=0.8, *, info=None, baseline=0.6, main=None, **changes):
    """An ok result of two folds in two repeats; `baseline` is the mean of one, or None for none."""
    info = info or make_info(task)
    seed = sum(map(ord, info.name + embedding))
    noise = np.random.default_rng(seed).normal(0, 0.02, (2, 2)).round(4)
    values = mean + noise
    score = main or make_score(mean, metric=info.main_score, folds=0.02, values=values.tolist())
    fields = {
        "key": f"{info.name}-{embedding}",
        "task": info,
        "embedding": embedding,
        "spec": f"{embedding}:spec",
        "description": {"kind": embedding, "dim": 8},
        "subset": "own",
        "status": "ok",
        "asked": 100,
        "found": 95,
        "missing": [f"M{i}" for i in range(5)],
        "removed": {"without a name": 3},
        "counts": {"True": 40, "False": 55},
        "n_items": 95,
        "items_digest": f"all of {info.name}",
        "draws": (np.mean(values) + np.random.default_rng(seed).normal(0, 0.02, 200)).tolist(),
        "scores": [score],
        "baselines": [] if baseline is None else [make_score(baseline, method="spelling", metric=info.main_score)],
        "data": {"toy/file.csv": "ab" * 32},
        "versions": {"numpy": "2.0"},
        "times": {"seconds": 1.5, "embed_seconds": 0.5, "date": "2026-01-01T00:00:00+00:00"},
    }
    return Result(**(fields | changes))


def make_without(task="toy.parity", embedding="a", *, status="failed", reason="no such file", **changes):
    """A result without scores."""
    return make_result(
        task, embedding, status=status, reason=reason, scores=[], baselines=[], n_items=0, items_digest="", **changes
    )


def chosen(text):
    """A number from 0 to 1 that is fixed by a text."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 16**8


class Student(Engine):
    """Knows the answers to a share of the questions, guesses the others, and reads no prompt beyond 40 letters."""

    name = "student"

    def __init__(self, knows=0.5, *, adapter=""):
        self.knows, self.adapter = knows, adapter

    def describe(self):
        return {"engine": self.name, "weights": "w", "adapter": self.adapter}

    def _answer(self, prompt):
        if chosen(prompt) < self.knows and "?" in prompt:
            return gold_of(prompt.partition("?")[0])
        return LETTERS[int(3 * chosen(self.adapter + prompt) ** 2)]

    def _score(self, requests, options, *, end):
        yield [self._scored(*each) for each in zip(requests, options, strict=True)]

    def _scored(self, request, options):
        if len(request.user) > 40:
            return Scores(request.id, status="too_long", error="too long")
        answer = self._answer(request.user)
        return Scores(request.id, tuple(Scored(-1.0 - (each != answer), 1, True) for each in options))

    def _generate(self, requests, sampling):
        texts = [self._answer(each.user) if len(each.user) < 40 else "no idea" for each in requests]
        yield [Completion(each.id, text, "stop") for each, text in zip(requests, texts, strict=True)]


def gold_of(question):
    return LETTERS[int(3 * chosen(f"gold of {question}"))]


class Exam(LanguageProblem):
    """Questions with three options, and the same without the question."""

    def __init__(self, mode, n):
        self.mode, self.removed = mode, {"asked twice": 2}
        self.items = [Item(f"q{i:02}", gold_of(f"Question {i}"), tuple(LETTERS)) for i in range(n)]

    def questions(self):
        options = tuple(LETTERS) if self.mode == "rank" else ()
        found = []
        for i, item in enumerate(self.items):
            text = f"Question {i}? {', '.join(LETTERS)}" + (" or none at all of these" if i == 3 else "")
            found.append(Question(Request(item.id, text), item.id, options))
            found.append(
                Question(Request(f"{item.id}-c", f"{i}: {', '.join(LETTERS)}"), item.id, options, "choices only")
            )
        return found

    def evaluate(self, answers, *, encoder):
        def said(id):
            answer = answers[id]
            if self.mode == "generate":
                return answer.text if answer.text in LETTERS else ""
            return LETTERS[int(np.argmax(answer.logprobs))] if answer.logprobs else ""

        def score(method, guesses, **more):
            share = np.array([[np.mean([guess == item.gold for guess, item in zip(guesses, self.items, strict=True)])]])
            return Score(method, "accuracy", share, **more)

        names = [item.id for item in self.items]
        guesses, golds = [said(name) for name in names], [item.gold for item in self.items]
        right = [guess == gold for guess, gold in zip(guesses, golds, strict=True)]
        draws = item_weights(names) @ np.array(right, dtype=float) / len(names)
        unread = sum(guess == "" for guess in guesses)
        return Evaluation(
            [score(self.mode, guesses, draws=draws)],
            [
                score("majority", [max(LETTERS, key=golds.count)] * len(names)),
                score("choices only", [said(f"{name}-c") for name in names]),
                score("answer key", golds, to_beat=False),
            ],
            names,
            counts={"A": golds.count("A"), "too long" if self.mode == "rank" else "unanswered": unread},
            right=right,
        )


def exam(name, mode="rank", *, n=60, **changes):
    fields = {
        "kind": "language",
        "mode": mode,
        "title": f"Exam {name}",
        "data": (),
        "main_score": "accuracy",
        "chance": 1 / 3,
        "best": 1.0,
        "licence": "own",
        "citation": "none",
    }
    return Task(TaskInfo(name=name, **(fields | changes)), lambda fast: Exam(mode, n))


@pytest.fixture(scope="session")
def school(tmp_path_factory):
    """Results of a real run of three models in ranked and written exams, one of them with figures of others."""
    figure = Published(model="Scholar", metric="accuracy", value=0.9, spread=0.01, source="a paper")
    tasks = [
        exam("exam.letters", preset="chat", published=(figure,)),
        exam("exam.letters.written", "generate", preset="cot", is_default=False),
        exam("exam.small", preset="chat", n=12, ranked=False),
    ]
    models = [
        Model(Student(), label="base"),
        Model(Student(0.95, adapter="good"), label="tuned"),
        Model(Student(0.0, adapter="bad"), label="spoilt"),
    ]
    return run(tasks, models, tmp_path_factory.mktemp("school"))


class Page(HTMLParser):
    """A page, taken apart: well-formed or not, elements with attributes, and text."""

    def __init__(self, html):
        super().__init__()
        self.stack, self.elements, self.problems, self.text = [], [], [], []
        self.feed(html)
        self.close()
        self.problems += [f"{tag} is never closed" for tag in self.stack]

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.stack or self.stack.pop() != tag:
            self.problems.append(f"{tag} is closed at {self.getpos()} but not open")

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag, **attrs):
        wanted = {name.rstrip("_"): value for name, value in attrs.items()}
        return [a for t, a in self.elements if t == tag and all(a.get(k) == v for k, v in wanted.items())]


@pytest.fixture
def info():
    return make_info


@pytest.fixture
def score():
    return make_score


@pytest.fixture
def result():
    return make_result


@pytest.fixture
def without():
    return make_without


@pytest.fixture
def page():
    return Page


@pytest.fixture
def mixed():
    """A run of three embeddings: one lacks entities and one task failed, is not applicable, or is not ranked."""
    error = make_info("toy.error", main_score="mse", higher_is_better=False, chance=None, best=0.0)
    cells = make_info("atlas.cells", kind="cell", main_score="NMI", chance=0.0)
    old = make_info("toy.old", superseded_by="toy.parity")
    parts = [make_score(0.4, method="scib", metric=m, half=None) for m in ("NMI", "iLISI", "total")]
    few = {"found": 60, "n_items": 60, "items_digest": "few"}
    shared = {"subset": "shared", "n_items": 60, "items_digest": "shared"}
    return [
        make_result(embedding="a", mean=0.8),
        make_result(embedding="b", mean=0.62),
        make_result(embedding="c", mean=0.9, **few),
        *(make_result(embedding=name, mean=mean, **shared) for name, mean in (("a", 0.7), ("b", 0.6), ("c", 0.9))),
        make_result(info=error, embedding="a", mean=0.2),
        make_result(info=error, embedding="b", mean=0.7),
        make_without("toy.error", "c", info=error, reason="disk full"),
        make_result(info=old, embedding="a", mean=0.75),
        make_result(info=old, embedding="b", mean=0.75),
        make_result(info=cells, embedding="a", scores=parts, baselines=[], draws=None),
        make_without("atlas.cells", "b", info=cells, status="not applicable", reason="no cells"),
    ]
