"""Pairs in which perturbations that are described alike do alike, and an engine that answers by a rule."""

from string import ascii_lowercase

import numpy as np
import pandas as pd
import pytest

from bftembed.bench import PerturbationReasoning
from bftembed.encoders import Encoder
from bftembed.engines import Completion, Engine, Scored, Scores, get_engine

KINDS = ("ribosome", "mitochondrion", "splicing", "chromatin")


class Ruled(Engine):
    """Scores options, or writes, by a rule of the prompt: 1 for the first option, -1 for the second, 0 for none."""

    name = "ruled"

    def __init__(self, rule):
        self.rule, self.prompts = rule, []

    def describe(self):
        return {"engine": "ruled"}

    def _score(self, requests, options, *, end):
        self.prompts += requests
        for request, texts in zip(requests, options, strict=True):
            margin = self.rule(request.user)
            yield [
                Scores(request.id, tuple(Scored(logprob, 1, False) for logprob in (margin - 3.0, -3.0)[: len(texts)]))
            ]

    def _generate(self, requests, sampling):
        self.prompts += [(request, sampling) for request in requests]
        for request in requests:
            said = {1: "yes", -1: "no", 0: "unknown"}[int(np.sign(self.rule(request.user)))]
            yield [Completion(request.id, f"1. Well.\n\nAnswer: {said}", "stop")]


@pytest.fixture(scope="session")
def embedded(model_dir):
    """The embedded model, loaded once."""
    return get_engine("default")


@pytest.fixture
def ruled():
    return Ruled


@pytest.fixture
def planted():
    """Pairs of 40 perturbations of four kinds and 8 genes, 10 perturbations of them tested; texts of all."""
    rng = np.random.default_rng(0)
    perts, genes = [f"P{i:02d}" for i in range(40)], [f"G{i}" for i in range(8)]
    answers = rng.random((len(KINDS), len(genes))) < 0.5
    answers[0], answers[1] = True, False  # both in every gene
    rows = [
        (pert, gene, int(answers[i % 4, j] ^ (rng.random() < 0.1)), "test" if i < 10 else "train")
        for i, pert in enumerate(perts)
        for j, gene in enumerate(genes)
    ]
    pairs = pd.DataFrame(rows, columns=["pert", "gene", "label", "split"])
    texts = {pert: f"A part of the {KINDS[i % 4]}." for i, pert in enumerate(perts)}
    return pairs, texts, {gene: f"Read-out {i % 3}, a factor of kind {i % 3}." for i, gene in enumerate(genes)}


@pytest.fixture
def problem(planted):
    """Make a problem of the planted pairs."""
    pairs, texts, gene_texts = planted

    def make(preset="described", **options):
        fields = {
            "mode": "de",
            "perturbation": "crispri",
            "pert_texts": texts,
            "gene_texts": gene_texts,
            "cell": "K562",
        }
        return PerturbationReasoning(options.pop("pairs", pairs), preset=preset, **(fields | options))

    return make


class Letters(Encoder):
    """How often each letter stands in a text: names of like words are near each other. Counts what it encodes."""

    name, cached, max_seq_length = "letters", False, 99

    def __init__(self):
        self.n_encoded = 0

    def describe(self):
        return {"encoder": "letters"}

    def count_tokens(self, texts):
        return [1 for _ in texts]

    def _encode(self, texts, *, query):
        self.n_encoded += len(texts)
        return [np.array([[text.count(letter) for letter in ascii_lowercase] for text in texts], dtype=np.float32)]


@pytest.fixture
def letters():
    return Letters()
