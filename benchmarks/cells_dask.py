"""Cells of a Dask array embedded on two workers of a cluster, beside one process: seconds, bytes moved, memory.

    python benchmarks/cells_dask.py --dir DIRECTORY [--cells 1000000] [--before CHECKOUT]

Makes (once) a .zarr of raw counts with gene vectors in it. Then embeds the cells by `bft.tl.embed_cells` as it is by
default (a reference of these cells, then their contrasts), each run in a fresh process, in turn:

``one-zarr``
    From the path to a .zarr, all processors in one process.
``threads-memory``, ``threads-zarr``
    A Dask array without a cluster, into `.obsm` and into a .zarr.
``workers-memory``, ``workers-zarr``
    The same under a `dask.distributed` cluster of ``--workers`` processes of one thread each.
``before-memory``, ``before-zarr``
    With ``--before``: the same under a cluster, by the package in another checkout.

A line of JSON for each run: seconds of the call (the start of the cluster is given apart), processor seconds of all
processes, bytes that the workers sent (to each other, and away), and peak memory of the calling process and of the
largest worker. At the end medians and, by round, the ratios to ``one-zarr``. Exits with 1 if results differ by more
than rounding to float32.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
BLOCK = 20_000
RUNS = ("one-zarr", "threads-memory", "threads-zarr", "workers-memory", "workers-zarr")


def make(path: Path, *, cells: int, genes: int, density: float, dim: int) -> None:
    """Write the input, a block of cells at a time."""
    import pandas as pd
    import zarr
    from anndata.io import write_elem

    rng = np.random.default_rng(0)
    temporary = path.with_suffix(".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    root = zarr.open_group(temporary, mode="w", zarr_format=3)
    root.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
    write_elem(root, "obs", pd.DataFrame(index=[f"cell{i}" for i in range(cells)]))
    write_elem(root, "var", pd.DataFrame(index=[f"gene{i}" for i in range(genes)]))
    write_elem(root, "varm", {"X_bft": rng.standard_normal((genes, dim)).astype(np.float32)})
    for name in ("obsm", "uns", "layers", "obsp", "varp"):
        write_elem(root, name, {})
    x = root.create_group("X")
    x.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": [cells, genes]})
    per_chunk = int(BLOCK * genes * density)
    arrays = [x.create_array(n, shape=0, chunks=per_chunk, dtype=t) for n, t in (("data", "f4"), ("indices", "i4"))]
    ends = [np.zeros(1, dtype=np.int64)]
    for start in range(0, cells, BLOCK):
        n = min(BLOCK, cells - start)
        rows, columns = np.nonzero(rng.random((n, genes), dtype=np.float32) < density)
        for array, values in zip(arrays, (rng.geometric(0.5, rows.size), columns), strict=True):
            array.append(values.astype(array.dtype))
        ends.append(ends[-1][-1] + np.cumsum(np.bincount(rows, minlength=n)))
    x.create_array("indptr", data=np.concatenate(ends))
    temporary.rename(path)


def lazy(source: Path, block: int):
    """The AnnData of the input with a Dask array as `X`, read where it is computed."""
    import anndata
    import zarr

    root = zarr.open_group(source, mode="r")
    genes = root["X"].attrs["shape"][1]
    x = anndata.experimental.read_elem_lazy(root["X"], chunks=(block, genes))
    read = anndata.io.read_elem
    return anndata.AnnData(x, read(root["obs"]), read(root["var"]), varm=read(root["varm"]))


def child(run: str, source: Path, target: Path, options: argparse.Namespace) -> None:
    """One run in this process; prints what it took as JSON."""
    import logging

    import bftembed as bft

    logging.getLogger("distributed").setLevel(logging.ERROR)
    way, to = run.split("-")
    cluster = client = None
    began = time.perf_counter()
    if way in {"workers", "before"}:
        import distributed

        cluster = distributed.LocalCluster(n_workers=options.workers, threads_per_worker=1, dashboard_address=None)
        client = distributed.Client(cluster)
    ready = time.perf_counter()
    how = {"output": target, "keep_x": False} if to == "zarr" else {}
    adata = source if way == "one" else lazy(source, options.block)
    bft.tl.embed_cells(adata, chunk_size=options.chunk_size, progress=False, **how)
    done = time.perf_counter()
    found = {"seconds": done - ready, "start": ready - began, **usage()}
    if client is not None:
        workers = list(client.run(of_worker).values())
        found["cpu"] += sum(worker["cpu"] for worker in workers)
        found["worker_peak"] = max(worker["peak"] for worker in workers)
        found["between_workers"] = sum(worker["received"] for worker in workers)
        found["away"] = sum(worker["sent"] for worker in workers) - found["between_workers"]
        client.close()
        cluster.close()
    if to == "memory":
        np.save(target, adata.obsm["X_bft"])
    print(json.dumps(found))


def usage() -> dict[str, float]:
    """Processor seconds and peak memory of this process."""
    mine = resource.getrusage(resource.RUSAGE_SELF)
    return {"cpu": mine.ru_utime + mine.ru_stime, "peak": mine.ru_maxrss * 1024}


def of_worker(dask_worker) -> dict[str, float]:
    """The same of a worker, and the bytes that it sent and received from others."""
    received = sum(transfer["total"] for transfer in dask_worker.transfer_incoming_log)
    sent = dask_worker.transfer_outgoing_bytes_total
    return {**usage(), "sent": sent, "received": received}


def measure(run: str, source: Path, options: argparse.Namespace) -> dict[str, float]:
    """One run in a fresh process."""
    target = options.dir / f"result-{run}.{'zarr' if run.endswith('zarr') else 'npy'}"
    shutil.rmtree(target, ignore_errors=True)
    os.sync()
    package = options.before if run.startswith("before") else ROOT
    command = [sys.executable, __file__, "--dir", str(options.dir), "--child", run]
    for name in ("cells", "block", "workers", "chunk_size", "density"):
        if (value := getattr(options, name)) is not None:
            command += [f"--{name.replace('_', '-')}", str(value)]
    began = time.perf_counter()
    environment = os.environ | {"PYTHONPATH": str(package)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        sys.exit(f"{run} failed:\n{done.stderr}")
    found = {"run": run, "wall": time.perf_counter() - began, **json.loads(done.stdout.splitlines()[-1])}
    print(json.dumps({name: round(value, 3) if isinstance(value, float) else value for name, value in found.items()}))
    sys.stdout.flush()
    return found


def result(run: str, directory: Path):
    """The array of a run, of which rows can be read."""
    import zarr

    if run.endswith("memory"):
        return np.load(directory / f"result-{run}.npy", mmap_mode="r")
    return zarr.open_array(directory / f"result-{run}.zarr" / "obsm" / "X_bft", mode="r")


def largest_difference(run: str, directory: Path) -> float:
    """Between a run and ``one-zarr``, relative to the largest value."""
    mine, other, worst, largest = result(run, directory), result("one-zarr", directory), 0.0, 0.0
    for start in range(0, mine.shape[0], BLOCK):
        rows, others = mine[start : start + BLOCK], other[start : start + BLOCK]
        worst, largest = max(worst, float(np.abs(rows - others).max())), max(largest, float(np.abs(others).max()))
    return worst / largest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=Path, required=True, help="for the input and the results")
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--genes", type=int, default=2_000)
    parser.add_argument("--density", type=float, default=0.07)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--block", type=int, default=10_000, help="rows of a block of the Dask array")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--chunk-size", type=int)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--runs", nargs="+", default=RUNS)
    parser.add_argument("--before", type=Path, help="another checkout, whose package is run under a cluster too")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.dir.mkdir(parents=True, exist_ok=True)
    source = options.dir / f"cells-{options.cells}-{options.density}.zarr"
    if options.child:
        name = f"result-{options.child}.{'zarr' if options.child.endswith('zarr') else 'npy'}"
        child(options.child, source, options.dir / name, options)
        return
    if not source.exists():
        make(source, cells=options.cells, genes=options.genes, density=options.density, dim=options.dim)
    runs = list(options.runs) + (["before-memory", "before-zarr"] if options.before else [])
    found = [{run: measure(run, source, options) for run in runs} for _ in range(options.rounds)]
    summary = {}
    for run in runs:
        seconds = [each[run]["seconds"] for each in found]
        summary[run] = {"seconds": round(statistics.median(seconds), 2)}
        if "one-zarr" in runs:
            ratios = [each[run]["seconds"] / each["one-zarr"]["seconds"] for each in found]
            summary[run] |= {"ratio": [round(ratio, 2) for ratio in sorted(ratios)]}
            summary[run] |= {"difference": largest_difference(run, options.dir)}
    print(json.dumps(summary, indent=1))
    if any(each.get("difference", 0) > 1e-6 for each in summary.values()):
        sys.exit("the results differ by more than rounding")


if __name__ == "__main__":
    main()
