"""A Ray cluster of two nodes on this machine, and an engine and an encoder that its workers can import."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

#: Written into a directory on the path of nodes and drivers: `Slow` notes every text that it is asked for.
MODULE = """
import hashlib, os, resource, signal, time
from pathlib import Path

import numpy as np

from bftembed.encoders import Encoder
from bftembed.engines import Completion, Engine


class Slow(Engine):
    name = "slow"

    def __init__(self, log, seconds=0.0, *, full="", fatal="", failing=""):
        self.log, self.seconds, self.full, self.fatal, self.failing = log, seconds, full, fatal, failing

    def describe(self):
        return {"engine": self.name}

    def _generate(self, requests, sampling):
        if self.full and not Path(self.full).exists():
            Path(self.full).touch()  # of all workers one has a full disk
            before = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
            long = " ".join(hashlib.sha256(bytes([i % 256, i // 256])).hexdigest() for i in range(4000))
            try:
                yield [Completion(request.id, long, "stop") for request in requests]
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)
            return
        done = []
        for request in requests:
            if self.fatal and self.fatal in request.user:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(self.seconds)
            if self.failing and Path(self.failing).exists() and "type 7 " in request.user + " ":
                done.append(Completion(request.id, "", "error", error="the server was away"))
                continue
            digest = hashlib.sha256(request.user.encode()).hexdigest()
            with open(self.log, "a") as file:
                file.write(f"{os.getpid()} {digest}\\n")
            done.append(Completion(request.id, f"The cells of type {digest} line the tests of this package.", "stop"))
        yield done


class Letters(Encoder):
    name = "letters"
    cached = False
    max_seq_length = 10_000

    def describe(self):
        return {"encoder": self.name}

    def count_tokens(self, texts):
        return [len(text) for text in texts]

    def _encode(self, texts, *, query):
        counts = np.array([[text.count(letter) for letter in "abcdef0123456789"] for text in texts], dtype=np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)
"""
DRIVER = """
import json, sys
import bftembed as bft
from bft_slow import Letters, Slow

asked = json.loads(sys.argv[1])
try:
    made = bft.scale.embed_names(
        asked["names"], kind="cell", engine=Slow(**asked["engine"]), encoder=Letters(), progress=False,
        **asked["options"],
    )
except bft.errors.BftembedError as error:
    sys.exit(f"{type(error).__name__}: {error}")
texts, counts = made.obs["X_bft_text"].tolist(), made.uns["bft"]["X_bft"]["entities"]["counts"]
print(json.dumps({"texts": texts, "vectors": made.X.tolist(), "counts": counts}))
"""
_QUIET = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
_WATCHFUL = {"RAY_health_check_period_ms": "500", "RAY_health_check_failure_threshold": "3"}
_PACKAGE = str(Path(__file__).parents[2])


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Cluster:
    """`ray start` processes: a head without CPUs, and nodes with four logical CPUs each."""

    def __init__(self, directory):
        self.modules = directory / "modules"
        self.modules.mkdir()
        (self.modules / "bft_slow.py").write_text(MODULE)
        info = self.modules / "bft_slow-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bft_slow\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[bftembed.engines]\nslow = bft_slow:Slow\n")
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.temp = tempfile.mkdtemp(prefix="ray")  # short: the names of sockets have at most 107 characters
        self.started = []
        head = ["--head", f"--port={self.port}", f"--temp-dir={self.temp}", "--include-dashboard=false"]
        self.start(*head, "--num-cpus=0", "--object-store-memory=100000000")

    def env(self, **more):
        path = os.pathsep.join([str(self.modules), _PACKAGE])
        return os.environ | _QUIET | _WATCHFUL | {"PYTHONPATH": path, "COVERAGE_PROCESS_START": ""} | more

    def start(self, *arguments, **env):
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *arguments]
        log = self.modules / f"{len(self.started)}.log"
        with log.open("w") as file:
            process = subprocess.Popen(
                command, env=self.env(**env), stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.started.append(process)
        wait(lambda: "--block" in log.read_text() or process.poll() is not None, "a node of Ray")
        assert process.poll() is None, log.read_text()
        return process

    def node(self, cpus=4, **env):
        return self.start(f"--address={self.address}", f"--num-cpus={cpus}", "--object-store-memory=100000000", **env)

    def kill(self, process):
        """End a node at once, with all its processes."""
        for each in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait()

    def drive(self, names, options, **engine):
        """Start `embed_names` in a process of its own."""
        asked = {"names": names, "engine": engine, "options": {"address": self.address, **options}}
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", DRIVER, json.dumps(asked)],
            env=self.env(),
            cwd=self.modules,  # Ray puts the directory of a driver before the packages of its workers
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def close(self):
        for process in reversed(self.started):
            if process.poll() is None:
                self.kill(process)
        shutil.rmtree(self.temp, ignore_errors=True)


def wait(condition, what, seconds=180):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not come within {seconds} s"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A head and two nodes."""
    pytest.importorskip("ray.data", reason="pip install 'bftembed[ray]'")
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        made.nodes = [made.node(), made.node()]
        yield made
    finally:
        made.close()


@pytest.fixture
def slow(tmp_path, monkeypatch):
    """The module with `Slow` and `Letters`, in this process."""
    import importlib

    (tmp_path / "bft_slow.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("bft_slow")
    sys.modules.pop("bft_slow", None)
