"""Sources, models and tasks that need no data."""

import numpy as np
import pytest

from bftembed.bench import (
    Evaluation,
    GeneLabels,
    Item,
    LanguageProblem,
    Question,
    Score,
    Source,
    Task,
    TaskInfo,
)
from bftembed.bench.scoring.probes import LINEAR
from bftembed.engines import Completion, Engine, Request, Scored, Scores

LETTERS = "ABCD"
NAMES = [f"G{i:03d}" for i in range(60)]


class Planted(Source):
    """Vectors that know the labels of `planted_task`; `lacking` genes have none."""

    def __init__(self, label="planted", *, lacking=(), seed=0, signal=2.0):
        self.label, self.spec = label, f"planted:{seed}"
        self.lacking, self.seed, self.signal = set(lacking), seed, signal
        self.asked = 0

    def describe(self):
        return {"spec": self.spec, "signal": self.signal, "lacking": sorted(self.lacking)}

    def genes(self, names):
        self.asked += 1
        rows = []
        for name in names:
            i = int(name[1:])
            row = np.random.default_rng([self.seed, i]).normal(size=5)
            row[0] += self.signal * (i % 2)
            rows.append(np.full(5, np.nan) if name in self.lacking else row)
        return np.array(rows, dtype=np.float32)


@pytest.fixture
def planted():
    return Planted


@pytest.fixture
def planted_task():
    """Make a task of 60 genes, of which every other one is positive."""

    def make(name="toy.parity", version=1, **info):
        def load(fast):
            names = NAMES[:30] if fast else NAMES
            return GeneLabels({name: int(name[1:]) % 2 for name in names}, n_repeats=2, n_folds=3, probes=(LINEAR,))

        fields = {
            "kind": "gene",
            "title": "Parity of the number",
            "data": (),
            "main_score": "auroc",
            "chance": 0.5,
            "licence": "own",
            "citation": "none",
        }
        return Task(TaskInfo(name=name, version=version, **(fields | info)), load)

    return make


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
                yield [Scores(request.id, status="error", error="the server fell over.")]
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
        return Evaluation([score], [], [item.id for item in self.items], right=None if self.shout else right)


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


@pytest.fixture
def echo():
    """An engine that likes one letter best, counts what it is asked, and fails as often as it is told to."""
    return Echo


@pytest.fixture
def letters_problem():
    return Letters


@pytest.fixture(name="letters")
def letters_task():
    """Make a language task of eight questions (four in a fast run), ranked or written."""
    return letters
