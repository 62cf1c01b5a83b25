"""Workers, nodes and drivers of a real cluster are killed; nothing is lost, doubled or different."""

import collections
import doctest
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import psutil
import pytest

import bftembed as bft
from bftembed.errors import ClusterError, InputError, MissingExtraError

NAMES = [f"type {i} of cell" for i in range(200)]
BATCH = 10


class Run:
    """Drivers with one directory of parts, one store and one log of what was asked."""

    def __init__(self, cluster, directory):
        self.cluster, self.parts, self.log = cluster, directory / "parts", directory / "log"
        self.log.touch()
        self.options = {"parts": str(self.parts), "store": str(directory / "texts.sqlite"), "batch_size": BATCH}

    def start(self, names=NAMES, seconds=0.02, workers=2, **engine):
        return self.cluster.drive(
            names, self.options | {"workers": workers}, log=str(self.log), seconds=seconds, **engine
        )

    def asked(self):
        """(pid, digest) of every text that a worker wrote."""
        return [tuple(line.split()) for line in self.log.read_text().splitlines() if len(line.split()) == 2]

    def wait_for(self, n, driver):
        end = time.monotonic() + 180
        while len(self.asked()) < n:
            assert driver.poll() is None, driver.communicate()
            assert time.monotonic() < end, "the workers write nothing"
            time.sleep(0.02)

    def repeated(self):
        return sum(n - 1 for n in collections.Counter(digest for _, digest in self.asked()).values())


@pytest.fixture
def run(cluster, tmp_path):
    return Run(cluster, tmp_path)


@pytest.fixture
def plain(slow, tmp_path):
    """What `bft.embed` makes in one process."""
    return bft.embed(
        NAMES, kind="cell", engine=slow.Slow(tmp_path / "plain"), encoder=slow.Letters(), store=tmp_path / "p.sqlite"
    )


def finished(driver):
    out, err = driver.communicate(timeout=300)
    assert driver.returncode == 0, err
    return json.loads(out.splitlines()[-1])


def same(result, plain):
    assert result["texts"] == plain.obs["X_bft_text"].tolist()
    np.testing.assert_array_equal(np.array(result["vectors"], dtype=np.float32), plain.X)


def test_killed_worker(run, plain):
    driver = run.start()
    run.wait_for(60, driver)
    os.kill(int(run.asked()[-1][0]), signal.SIGKILL)
    same(finished(driver), plain)
    assert run.repeated() <= BATCH
    assert len(list(run.parts.glob("[!.]*"))) == len(NAMES) // BATCH
    assert len({pid for pid, _ in run.asked()}) == 3  # two workers and the successor of one


def test_killed_driver(run, plain):
    driver = run.start()
    run.wait_for(60, driver)
    driver.kill()
    driver.communicate()
    same(finished(run.start()), plain)
    assert run.repeated() <= 2 * BATCH
    assert len(list(run.parts.glob("[!.]*"))) == len(NAMES) // BATCH
    n = len(run.asked())
    same(finished(run.start()), plain)  # all is there: nothing is asked, and no cluster is needed
    assert len(run.asked()) == n


@pytest.mark.slow
def test_killed_node(run, plain):
    driver = run.start()
    run.wait_for(60, driver)
    pid = int(run.asked()[-1][0])
    above = {parent.pid for parent in psutil.Process(pid).parents()}
    node = next(node for node in run.cluster.nodes if node.pid in above)
    run.cluster.kill(node)
    run.cluster.nodes.remove(node)
    try:
        same(finished(driver), plain)
        assert run.repeated() <= 2 * BATCH
    finally:
        run.cluster.nodes.append(run.cluster.node())


def test_full_disk_of_one_worker(run, tmp_path):
    driver = run.start(full=str(tmp_path / "full"))
    _, message = driver.communicate(timeout=300)
    assert driver.returncode == 1
    assert "StoreError: On " in message
    assert "free some space and run again" in message or "check free space and run again" in message
    assert "What was finished is kept" in message


@pytest.mark.slow
def test_failed_requests_are_asked_again(run, plain, tmp_path):
    (tmp_path / "away").touch()
    first = finished(run.start(failing=str(tmp_path / "away")))
    assert [text == "" for text in first["texts"]].count(True) == 1
    assert np.isnan(first["vectors"][7]).all()
    assert first["counts"]["error"] == 1
    (tmp_path / "away").unlink()
    same(finished(run.start(failing=str(tmp_path / "away"))), plain)
    assert run.repeated() == 0


@pytest.mark.slow
def test_names_that_kill_their_workers(run):
    driver = run.start(names=NAMES[:20], fatal="type 13 of")
    _, message = driver.communicate(timeout=300)
    assert "ClusterError: The workers of the Ray cluster ended without a result" in message
    assert "smaller batch_size" in message
    assert len(list(run.parts.glob("[!.]*"))) == 1


def test_on_the_command_line(run, plain, tmp_path):
    (tmp_path / "types.txt").write_text("\n".join(NAMES[:30]))
    command = [sys.executable, "-W", "ignore", "-m", "bftembed", "embed", "--ray", run.cluster.address, "types.txt"]
    command += ["-o", "types.csv", "--kind", "cell", "--engine", f"slow:{run.log}", "--encoder", "none"]
    command += ["--store", "texts.sqlite", "--ray-workers", "1", "--ray-batch", "16"]
    done = subprocess.run(command, env=run.cluster.env(), cwd=tmp_path, capture_output=True, text=True)
    assert "wrote types.csv: 30 texts" in done.stdout, done.stderr
    written = pd.read_csv(tmp_path / "types.csv")
    assert written["text"].tolist() == plain.obs["X_bft_text"].tolist()[:30]
    assert len(list((tmp_path / "types.csv.parts").iterdir())) == 2


@pytest.mark.slow
def test_the_example_runs_as_it_stands(cluster):
    examples = doctest.DocTestParser().get_examples(bft.scale.embed_names.__doc__)
    code = "".join(example.source for example in examples)
    env = cluster.env(RAY_ADDRESS=cluster.address)
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "".join(example.want for example in examples)


def test_without_ray(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "ray.data", raising=False)
    with pytest.raises(MissingExtraError, match=r'pip install "bftembed\[ray\]"'):
        bft.scale.embed_names(["TP53"], parts=tmp_path)


@pytest.mark.parametrize(
    ("names", "options", "error", "message"),
    [
        (["a", "a"], {}, InputError, "Names are repeated: a"),
        ([], {}, InputError, "nothing to embed"),
        ("TP53", {}, InputError, r"write \['TP53'\]"),
        (["a"], {"how": "drug"}, InputError, 'only with kind="perturbation"'),
        (["a"], {"profiles": {"a": "A text."}}, InputError, "takes no cluster: call bft.embed"),
        (["a"], {"enginee": "annotation"}, TypeError, "unexpected keyword argument 'enginee'.*`engine`"),
        (["a"], {"batch_size": 0}, InputError, "batch_size must be at least 1"),
        (["a"], {"workers": 0}, InputError, "workers and num_cpus must be at least 1"),
        (["a"], {"address": "here"}, InputError, "`here` is no address of a Ray cluster"),
    ],
)
def test_wrong_arguments(names, options, error, message, slow, tmp_path):
    pytest.importorskip("ray.data", reason="pip install 'bftembed[ray]'")
    options = {"kind": "cell", "engine": slow.Slow(tmp_path / "log"), "encoder": slow.Letters()} | options
    with pytest.raises(error, match=message):
        bft.scale.embed_names(names, parts=tmp_path / "parts", store=tmp_path / "texts.sqlite", **options)


def test_nothing_answers(slow, tmp_path):
    pytest.importorskip("ray.data", reason="pip install 'bftembed[ray]'")
    with pytest.raises(ClusterError, match=r"Nothing answers at the Ray address `127.0.0.1:1`.*ray start --head"):
        bft.scale.embed_names(
            ["a"],
            kind="cell",
            parts=tmp_path,
            address="127.0.0.1:1",
            engine=slow.Slow(""),
            encoder=slow.Letters(),
            store=tmp_path / "texts.sqlite",
        )
