"""Names on a Ray cluster of two nodes while workers, nodes and drivers are killed at random moments.

    python benchmarks/ray_kills.py -o runs/ray_kills.json

The script starts a head and two nodes on this machine. In a first part it embeds the names in one process and by two
workers in turn, several times; in a second part it kills, by SIGKILL, what works on them, until the run ends. What is
measured goes into the JSON file as it comes, and a second call goes on with what is missing there.

The names are genes whose annotation is short (Gene Ontology terms only), encoded by the embedded encoder. On a busy
machine `--encoder words --work 0.03` puts a wait in place of what the processors do.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

import bftembed as bft
from bftembed.encoders import Encoder, get_encoder
from bftembed.engines import AnnotationEngine

os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "TOKENIZERS_PARALLELISM": "false"}
os.environ |= {"RAY_health_check_period_ms": "500", "RAY_health_check_failure_threshold": "3"}
WORKERS = 2


class Noted(AnnotationEngine):
    """The annotation engine, with a line in a file for every text that it is asked for, and a wait for each."""

    def __init__(self, log, work):
        self.log, self.work = log, work

    def _generate(self, requests, sampling):
        node = ""
        if "ray" in sys.modules and sys.modules["ray"].is_initialized():
            node = sys.modules["ray"].get_runtime_context().get_node_id()
        lines = [f"{os.getpid()} {node or '-'} {hashlib.sha256(r.user.encode()).hexdigest()}\n" for r in requests]
        with open(self.log, "a") as file:  # noqa: PTH123
            file.write("".join(lines))
        time.sleep(self.work * len(requests))
        yield from super()._generate(requests, sampling)


class Words(Encoder):
    """Signs by the digests of words, summed: a vector that costs next to nothing, to the same bits in any batch."""

    name = "words"
    cached = False
    max_seq_length = 2**31

    def describe(self):
        return {"encoder": self.name}

    def count_tokens(self, texts):
        return [len(text) for text in texts]

    def _encode(self, texts, *, query):
        rows = [[np.frombuffer(hashlib.sha512(word.encode()).digest(), np.int8) for word in t.split()] for t in texts]
        return np.stack([np.sum(words, axis=0, dtype=np.int64).astype(np.float32) for words in rows])


def asked(log):
    """(pid, node, text) of what was asked so far."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [tuple(line.split()) for line in lines if len(line.split()) == 3]


def repeated(log):
    return sum(n - 1 for n in collections.Counter(text for *_, text in asked(log)).values())


def drive(directory, address, args):
    """One run in this process: plain without an address, else on the cluster. Writes `result.npz`."""
    encoder = Words() if args.encoder == "words" else get_encoder(args.encoder)
    encoder.cached = False  # every run encodes
    names = names_of(args.names)
    options = {
        "engine": Noted(str(directory / "log"), args.work),
        "encoder": encoder,
        "store": directory / "texts.sqlite",
    }
    began = time.perf_counter()
    if address:
        made = bft.scale.embed_names(
            names, parts=directory / "parts", address=address, workers=WORKERS, batch_size=args.batch, **options
        )
    else:
        made = bft.embed(names, **options)
    seconds = time.perf_counter() - began
    np.savez(
        directory / "result.npz", vectors=made.X, texts=made.obs["X_bft_text"].to_numpy(dtype=str), seconds=seconds
    )


def start(directory, args, address="", threads=1):
    directory.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-W", "ignore", __file__, "--names", str(args.names), "--batch", str(args.batch)]
    command += ["--encoder", args.encoder, "--work", str(args.work)]
    env = os.environ | {"OMP_NUM_THREADS": str(threads)}
    with (directory / "driver.log").open("a") as file:
        return subprocess.Popen([*command, "--drive", str(directory), address], stdout=file, stderr=file, env=env)


def result(directory):
    with np.load(directory / "result.npz") as made:
        return made["vectors"], made["texts"], float(made["seconds"])


def difference(one, other):
    """How many texts differ, and the largest difference of the vectors."""
    return int((one[1] != other[1]).sum()), float(np.abs(one[0] - other[0]).max())


def paired(args, cluster, directory, found):
    """The same names in one process of two threads and by two workers of one thread, in turn."""
    for repetition in range(len(found["paired"]), args.repetitions):
        times = {}
        for how, address, threads in (("plain", "", WORKERS), ("ray", cluster.address, 1)):
            place = directory / f"{how}-{repetition}"
            shutil.rmtree(place, ignore_errors=True)
            began = time.perf_counter()
            if start(place, args, address, threads).wait():
                sys.exit((place / "driver.log").read_text())
            times |= {how: round(result(place)[2], 1), f"{how}_process": round(time.perf_counter() - began, 1)}
        texts, vectors = difference(result(directory / f"plain-{repetition}"), result(directory / f"ray-{repetition}"))
        yield (
            "paired",
            times
            | {"ratio": round(times["ray"] / times["plain"], 3)}
            | {
                "different_texts": texts,
                "largest_difference": vectors,
                "load": round(os.getloadavg()[0], 1),
            },
        )


def killed(args, cluster, nodes, directory):
    """One run of all names with all kills; each at a random number of texts, what is killed in random order."""
    draw = random.Random(args.seed)
    place = directory / "killed"
    shutil.rmtree(place, ignore_errors=True)
    log = place / "log"
    what = ["worker"] * args.worker_kills + ["node"] * args.node_kills + ["driver"] * args.driver_kills
    draw.shuffle(what)
    moments = sorted(draw.sample(range(args.names // 20, args.names * 19 // 20), len(what)))
    began = time.perf_counter()
    driver = start(place, args, cluster.address)
    kills = []
    for target, moment in zip(what, moments, strict=True):
        while len({text for *_, text in asked(log)}) < moment:
            if driver.poll() is not None:
                sys.exit((place / "driver.log").read_text())
            time.sleep(0.02)
        time.sleep(draw.random())  # somewhere in the batch
        pid, node, _ = asked(log)[-1]
        kills.append({"target": target, "at": moment, "repeated_before": repeated(log)})
        if target == "worker":
            os.kill(int(pid), signal.SIGKILL)
        elif target == "node":
            dead = next(one for one in nodes if one.node_id == node)
            nodes.remove(dead)
            cluster.remove_node(dead, allow_graceful=False)
            nodes.append(cluster.add_node(num_cpus=WORKERS, object_store_memory=200_000_000))
        else:
            driver.kill()
            driver.wait()
            driver = start(place, args, cluster.address)
    if driver.wait():
        sys.exit((place / "driver.log").read_text())
    after = [*(kill["repeated_before"] for kill in kills[1:]), repeated(log)]
    for kill, n in zip(kills, after, strict=True):
        kill["repeated"] = n - kill.pop("repeated_before")
    once = result(directory / "ray-0")
    parts = sorted((place / "parts").glob("[!.]*"))
    keys = [key for part in parts for key in pq.read_table(part, columns=["key"])["key"].to_pylist()]
    changed, largest = difference(once, result(place))
    yield (
        "killed",
        {
            "kills": kills,
            "lost": args.names - len(result(place)[1]) + int(np.isnan(result(place)[0]).any(axis=1).sum()),
            "doubled": len(keys) - len(set(keys)),
            "parts": len(parts),
            "parts_of_an_undisturbed_run": len(list((directory / "ray-0" / "parts").glob("[!.]*"))),
            "same_names_of_parts": [part.name for part in parts]
            == sorted(part.name for part in (directory / "ray-0" / "parts").glob("[!.]*")),
            "different_texts": changed,
            "largest_difference": largest,
            "repeated_texts": repeated(log),
            "batch": args.batch,
            "seconds": round(time.perf_counter() - began, 1),
        },
    )


def names_of(n):
    genes = bft.datasets.protein_coding_genes()
    return genes.index[genes["approved"] & (genes["facts"] == "GO")][:n].tolist()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("ray_kills.json"))
    parser.add_argument("--names", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--encoder", default="default", help="`words`: one that costs nothing, for a busy machine")
    parser.add_argument("--work", type=float, default=0.0, help="seconds to wait for each text, as for a model")
    parser.add_argument("--repetitions", type=int, default=3, help="of the paired runs")
    parser.add_argument("--worker-kills", type=int, default=5)
    parser.add_argument("--node-kills", type=int, default=2)
    parser.add_argument("--driver-kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--drive", nargs=2, metavar=("DIRECTORY", "ADDRESS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.drive:
        drive(Path(args.drive[0]), args.drive[1], args)
        return
    from ray.cluster_utils import Cluster

    empty = {"paired": [], "killed": []}
    found = json.loads(args.output.read_text()) if args.output.exists() else empty
    directory = args.output.with_suffix(".runs")
    place = tempfile.mkdtemp(prefix="ray")
    head = {"num_cpus": 0, "object_store_memory": 200_000_000, "temp_dir": place, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        nodes = [cluster.add_node(num_cpus=WORKERS, object_store_memory=200_000_000) for _ in range(2)]
        measured = [paired(args, cluster, directory, found)]
        if not found["killed"] and args.worker_kills + args.node_kills + args.driver_kills:
            measured.append(killed(args, cluster, nodes, directory))
        for kind, row in itertools.chain(*measured):
            found[kind].append(row)
            args.output.write_text(json.dumps(found, indent=1))
            print(json.dumps(row), flush=True)
    finally:
        cluster.shutdown()
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
