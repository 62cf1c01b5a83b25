"""Two servers behind the `openai` engine, one of them killed again and again: is a text lost, doubled or different?

    python benchmarks/two_servers.py --output RESULT.json [--kills 5] [--names 120] [--tokens 16] [--vllm MODEL]

Servers are `transformers serve` with the embedded model, or, with `--vllm`, vLLM with MODEL (a directory; run it with
the Python that has vLLM). Texts of as many names are written once by one server that nobody touches. Then, for each
kill, they are written again by two servers, one of which gets SIGKILL after a random number of answers; it is started
again before the next one. Counted: names without a text (lost), names that were answered twice (doubled), texts that
differ from those of the first run (greedy decoding; a server that batches may differ in the last bits), and seconds.
The server that was killed must be named in a warning.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from bftembed.engines import OpenAIEngine, Request, Sampling
from bftembed.models.files import resolve_model


def command(model: Path, port: int, *, vllm: bool) -> list[str]:
    where = ["--host", "127.0.0.1", "--port", str(port)]
    if vllm:
        options = ["--served-model-name", str(model), "--enforce-eager", "--kv-cache-memory-bytes", str(1 << 28)]
        start = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
        return [*start, "--dtype", "float32", *options, *where]
    return [str(Path(sys.executable).with_name("transformers")), "serve", str(model), "--device", "cpu", *where]


class Server:
    """A server process that can be killed and started again on its port."""

    def __init__(self, model: Path, *, vllm: bool, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.command, self.log = command(model, self.port, vllm=vllm), log
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self.start()

    def start(self) -> None:
        # A process group of its own: vLLM has children, and the loss of a machine ends them too.
        with self.log.open("ab") as handle:
            self.process = subprocess.Popen(self.command, stdout=handle, stderr=handle, start_new_session=True)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while True:
            try:
                opener.open(f"http://127.0.0.1:{self.port}/health", timeout=5).close()
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit(self.log.read_text()[-2000:]) from None
                time.sleep(0.25)
            else:
                return

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Warned(logging.Handler):
    """Keeps what the package warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def write(
    urls: list[str], model: Path, requests: list[Request], tokens: int, victim: Server | None = None, after: int = 0
) -> tuple[Counter[str], dict[str, str], float]:
    """Answers of one run, counted and by name, and its seconds; `victim` is killed after so many."""
    engine = OpenAIEngine(f"{model}@{','.join(urls)}", concurrency=4, max_retries=1)
    answered: Counter[str] = Counter()
    texts: dict[str, str] = {}
    began = time.perf_counter()
    for batch in engine.generate(requests, sampling=Sampling(max_new_tokens=tokens)):
        for done in batch:
            answered[done.id] += 1
            if done.error is None:
                texts[done.id] = done.text
        if victim and answered.total() == after:
            victim.kill()
    return answered, texts, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--names", type=int, default=120)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--vllm", type=Path)
    given = parser.parse_args()
    os.environ["NO_PROXY"] = "127.0.0.1"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # the servers go down with it
    model = given.vllm or Path(resolve_model("default").path)
    requests = [Request(f"GENE{i}", f"Describe the function of the human gene GENE{i}.") for i in range(given.names)]
    warned = Warned()
    logging.getLogger("bftembed").addHandler(warned)
    draw = random.Random(0)
    result: dict[str, object] = {"names": given.names, "tokens": given.tokens, "vllm": bool(given.vllm), "runs": []}
    with TemporaryDirectory() as directory:
        servers = [Server(model, vllm=bool(given.vllm), log=Path(directory) / f"{n}.log") for n in range(2)]
        try:
            _, expected, seconds = write([servers[0].url], model, requests, given.tokens)
            result["one server, seconds"] = seconds
            _, _, result["two servers, seconds"] = write([s.url for s in servers], model, requests, given.tokens)
            for n in range(given.kills):
                victim, after = servers[n % 2], draw.randrange(1, given.names - 10)
                warned.said.clear()
                urls = [server.url for server in servers]
                answered, texts, seconds = write(urls, model, requests, given.tokens, victim, after)
                run = {
                    "killed after": after,
                    "lost": given.names - len(texts),
                    "doubled": sum(count > 1 for count in answered.values()),
                    "different": sum(texts.get(name) != text for name, text in expected.items()),
                    "named": any(victim.url in line for line in warned.said),
                    "seconds": seconds,
                }
                print(json.dumps(run), flush=True)
                result["runs"] = [*result["runs"], run]  # type: ignore[misc]
                given.output.write_text(json.dumps(result, indent=1))
                victim.start()
        finally:
            for server in servers:
                if server.process.poll() is None:
                    server.kill()


if __name__ == "__main__":
    main()
