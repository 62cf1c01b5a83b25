"""Kill a run with SIGKILL in the middle of generation, many times, and see what the store and the result are worth.

    python benchmarks/kill_resume.py --kills 20

Each run is a process of its own that embeds the same genes with the embedded language model into the same store. After
every kill: the store opens and passes SQLite's integrity check, every text that was there before is there unchanged,
and the next run asks the model for none of them. At the end texts and vectors are compared with those of a run that
was not interrupted, in a store and a vector cache of its own.
"""

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

NAMES = [f"cell type {i}" for i in range(160)]


def child(folder: Path, model: str, n_names: int, batch_size: int, max_new_tokens: int) -> None:
    """Embed; note in `asked` which keys the model is asked for, before it is."""
    import bftembed as bft
    from bftembed.engines import Sampling, TransformersEngine

    class Noting(TransformersEngine):
        def _generate(self, requests, sampling):
            with (folder / "asked").open("a") as log:
                log.write(json.dumps([sampling.seed, [request.id for request in requests]]) + "\n")
            self.load()
            (folder / "generating").touch()
            yield from super()._generate(requests, sampling)

    from bftembed.encoders import get_encoder
    from bftembed.encoders.cache import encode_cached

    adata = bft.embed(
        NAMES[:n_names],
        kind="cell",  # made-up names: no table of genes refuses them
        facts="none",
        engine=Noting(model, batch_size=batch_size),
        sampling=Sampling(max_new_tokens=max_new_tokens),
        store=folder / "store.sqlite",
        progress=False,
    )
    texts = adata.obs["X_bft_text"].tolist()
    vectors, _ = encode_cached([text or "none" for text in texts], get_encoder(), cache=folder / "vectors.sqlite")
    np.save(folder / "vectors.npy", vectors)


def run(folder: Path, args: argparse.Namespace, kill_after: float | None) -> bool:
    """Start a run and kill it so many seconds after generation began. True if it was killed."""
    (folder / "generating").unlink(missing_ok=True)
    options = [str(folder), args.model, str(args.names), str(args.batch_size), str(args.max_new_tokens)]
    process = subprocess.Popen(
        [sys.executable, __file__, "--child", *options], env=os.environ | {"HF_HUB_OFFLINE": "1"}
    )
    while kill_after is not None and process.poll() is None:
        if (folder / "generating").exists():
            time.sleep(kill_after)
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.02)
    code = process.wait()
    if code not in {0, -signal.SIGKILL}:
        sys.exit(f"a run ended with code {code}")
    return code != 0


def rows(folder: Path) -> dict[str, tuple]:
    """Key -> (text, status, created) of the store, after an integrity check."""
    path = folder / "store.sqlite"
    if not path.exists():
        return {}
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    found = {key: rest for key, *rest in connection.execute("SELECT key, text, status, created FROM profiles")}
    connection.close()
    return found


def finished(row: tuple) -> bool:
    return row[1] == "ok"


def main() -> None:
    """Kill, check, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--names", type=int, default=len(NAMES))
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--max-new-tokens", type=int, default=24)
    parser.add_argument("--longest", type=float, default=4.0, help="seconds of generation before a kill, at most")
    parser.add_argument("--model", default="default")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    draw = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as made:
        cut, whole = Path(made) / "cut", Path(made) / "whole"
        cut.mkdir()
        whole.mkdir()
        kills = lost = changed = twice = 0
        before: dict[str, tuple] = {}
        while kills < args.kills:
            lines = (cut / "asked").read_text().splitlines() if (cut / "asked").exists() else []
            killed = run(cut, args, draw.uniform(0.05, args.longest))
            asked = [json.loads(line)[1] for line in (cut / "asked").read_text().splitlines()[len(lines) :]]
            twice += sum(finished(before[key]) for keys in asked for key in keys if key in before)
            after = rows(cut)
            lost += sum(key not in after for key in before)
            changed += sum(finished(row) and after.get(key) != row for key, row in before.items())
            before = after
            if not killed:
                print(f"all {len(after)} texts were finished after {kills} kills: use more genes or shorter runs")
                break
            kills += 1
            print(f"kill {kills:2}: {len(after):4} texts stored", flush=True)
        run(cut, args, None)
        end = rows(cut)
        last = json.loads((cut / "asked").read_text().splitlines()[-1])[1]
        twice += sum(finished(before[key]) for key in last if key in before)
        run(whole, args, None)
        other = rows(whole)
        same = sum(end[key][0] == other[key][0] for key in other)
        difference = float(np.nanmax(np.abs(np.load(cut / "vectors.npy") - np.load(whole / "vectors.npy"))))
        print(f"kills {kills}; lost {lost}; changed {changed}; finished texts asked for again {twice}")
        print(f"texts equal to the uninterrupted run: {same} of {len(other)}")
        print(f"largest difference of vectors: {difference:.1e}")
        sys.exit(int(bool(lost or changed or twice or same < len(other) or kills < args.kills or difference > 1e-5)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), sys.argv[3], *map(int, sys.argv[4:]))
    else:
        main()
