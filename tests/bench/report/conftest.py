"""Results made by hand: no task is run."""

from html.parser import HTMLParser

import numpy as np
import pytest

from bftembed.bench import TaskInfo
from bftembed.bench.results import Result, ScoreRecord

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
