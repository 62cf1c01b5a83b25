"""Servers on loopback: a real one that runs the default model, and stand-ins that misbehave."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


def chat_answer(text="fine", **changes):
    """Body of a chat completion."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage} | (
        changes
    )


@pytest.fixture
def answer_with():
    return chat_answer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._reply(*self.server.on_models())

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.bodies.append(body)
        self._reply(*self.server.on_path.get(self.path, self.server.on_chat)(body))

    def _reply(self, status, content, headers=None):
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": len(raw), **(headers or {})}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *args):
        """Keep the test's output clean."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, on_chat, on_models):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.on_chat, self.on_models = on_chat, on_models
        #: Other answers than `on_chat` by path.
        self.on_path = {}
        self.lock, self.bodies, self.release = threading.Lock(), [], threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.spec = f"m@{self.url}"

    def handle_error(self, request, client_address):
        """A client that hangs up is what some tests are about."""


@pytest.fixture
def serve(monkeypatch):
    """Start servers that answer chats with `on_chat(body) -> (status, content[, headers])`."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    started = []

    def start(on_chat, on_models=lambda: (200, {"object": "list", "data": []})):
        server = _Server(on_chat, on_models)
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.release.set()
        server.shutdown()
        server.server_close()


def some_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def free_port():
    return some_port


@pytest.fixture
def closed_url():
    """Address where nobody listens."""
    return f"http://127.0.0.1:{some_port()}/v1"


@contextlib.contextmanager
def running(command, port, log, environment):
    """A server process that answers ``/health``."""
    with log.open("wb") as handle:
        process = subprocess.Popen(command, stdout=handle, stderr=subprocess.STDOUT, env=environment)
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for _ in range(1200):
            try:
                with opener.open(f"http://127.0.0.1:{port}/health", timeout=5):
                    break
            except OSError:
                assert process.poll() is None, log.read_text()
                time.sleep(0.5)
        else:
            pytest.fail(f"the server does not answer:\n{log.read_text()}")
        yield
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="session")
def server_process():
    """`running`, for servers that one test file alone needs."""
    return running


@pytest.fixture(scope="session")
def random_llama():
    """Saves a model of two layers with random weights and heads of `size` numbers; gives its directory."""

    def save(directory, size, tokenizer):
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        config = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=2 * size,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=512,
            initializer_range=0.3,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        with torch.random.fork_rng():
            torch.manual_seed(7)
            LlamaForCausalLM(config).save_pretrained(directory)
        tokenizer.save_pretrained(directory)
        return directory

    return save


@pytest.fixture(scope="session")
def real_server(model_dir, tmp_path_factory):
    """`transformers serve` with the default model; gives ``MODEL@URL``."""
    pytest.importorskip("fastapi", reason="pip install 'transformers[serving]'")
    port = some_port()
    log = tmp_path_factory.mktemp("server") / "log.txt"
    command = [Path(sys.executable).with_name("transformers"), "serve", model_dir, "--host", "127.0.0.1"]
    command += ["--port", str(port), "--device", "cpu"]
    environment = {**os.environ, "NO_PROXY": "127.0.0.1"}
    with running(command, port, log, environment):
        yield f"{model_dir}@http://127.0.0.1:{port}/v1"
