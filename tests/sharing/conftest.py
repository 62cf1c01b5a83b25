"""Stores that know too much of the machine that made them."""

import numpy as np
import pytest

from bftembed.encoders import Encoder
from bftembed.engines import Completion, Engine, Sampling
from bftembed.profiles import Entity, ProfileStore, write_profiles

HOME = "/home/mallory/private stuff"
SECRETS = (HOME, "mallory", "private", "10.0.0.5", "gpu7.cluster.example", "/scratch", "C:\\\\Users", "C:\\Users")


class Leaky(Engine):
    """Says where it lives in all that an engine says of itself, and fails with a path."""

    name = "leaky"

    def describe(self):
        return {
            "engine": self.name,
            "model": f"{HOME}/models/tuned",
            "server": "http://gpu7.cluster.example:8000/v1",
            "options": '{"chat_template": "/scratch/mallory/chat.jinja", "plain": "C:\\\\Users\\\\mallory\\\\x.bin"}',
        }

    def provenance(self):
        return {
            "model": f"{HOME}/models/tuned",
            "directory": f"{HOME}/models/tuned",
            "servers": "http://10.0.0.5:8000/v1",
            "adapter_name": "C:\\Users\\mallory\\adapter",
            "version": "leaky 1.0 (/scratch/mallory/lib/leaky)",
            "unknown": HOME,
        }

    def _generate(self, requests, sampling):
        for request in requests:
            failed = "BAD" in request.user
            error = f"{HOME}/log: no answer" if failed else None
            text = "" if failed else f"What {request.user[25:60]} does, in a sentence."
            yield [Completion(request.id, text, "error" if failed else "stop", error=error, n_tokens=5)]

    def count_tokens(self, requests):
        return len(requests)


class Letters(Encoder):
    """Counts letters; says where it lives."""

    name = "letters"
    cached = False
    max_seq_length = 10**6
    spec = "letters:/home/mallory/private stuff/encoder"

    def describe(self):
        return {"encoder": self.name}

    def provenance(self):
        return {"model": "/scratch/mallory/encoder", "path": "/scratch/mallory"}

    def count_tokens(self, texts):
        return [len(text) for text in texts]

    def _encode(self, texts, *, query):
        return np.array([[text.count(letter) for letter in "aeiou"] for text in texts], dtype=np.float32)


@pytest.fixture
def letters():
    """An encoder that needs no model."""
    return Letters()


@pytest.fixture
def no_tables(monkeypatch, tmp_path):
    """A cache of its own and no mirror: gene tables are not available."""
    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BFTEMBED_MIRROR", raising=False)


@pytest.fixture
def secrets():
    """What nobody else should read."""
    return SECRETS


@pytest.fixture
def store(no_tables, tmp_path):
    """Three genes by one recipe, one of which failed."""
    path = tmp_path / "mine7.sqlite"
    entities = [Entity("gene", "TP53", {"summary": "It acts."}), Entity("gene", "NA"), Entity("gene", "BAD1")]
    with ProfileStore(path) as opened:
        write_profiles(entities, Leaky(), store=opened, sampling=Sampling(max_new_tokens=9), progress=False)
    return path


@pytest.fixture
def write():
    """Add texts of other kinds or recipes to a store."""

    def add(path, kind="drug", names=("aspirin",), **sampling):
        with ProfileStore(path) as opened:
            entities = [Entity(kind, name) for name in names]
            write_profiles(entities, Leaky(), store=opened, sampling=Sampling(**sampling), progress=False)

    return add
