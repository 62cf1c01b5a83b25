"""A million cells from a file on disk to an embedding on disk: this package beside the same loop with scipy.

    python benchmarks/cells_million.py --dir DIRECTORY

Makes (once) an .h5ad of raw counts, laid out as anndata writes it, and a matrix of gene vectors in it. Then, in
fresh processes and in turn, embeds the cells with `bft.tl.embed_cells` (means to .h5ad and to .zarr; by contrast with
a reference given, and with one that is made first) and with the loop that one writes by hand: read rows, counts per
10,000, log1p, scipy CSR times dense, divide, write rows. Every run ends when its result is on the disk (fsync). Prints
medians, the spread, peak memory and the arithmetic behind them. Exits with 1 if the means differ from those of the
loop, or the contrasts of a sample of cells from the formula on dense arrays in float64.
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
GIB = 1 << 30
BLOCK = 20_000
RUNS = ("ours-h5ad", "scipy-h5ad", "ours-zarr", "given-h5ad", "made-h5ad")
CONTRASTS = RUNS[3:]


def make(path: Path, *, cells: int, genes: int, density: float, dim: int) -> None:
    """Write the input, a block of cells at a time."""
    import h5py
    import pandas as pd
    from anndata.io import write_elem

    rng = np.random.default_rng(0)
    temporary = path.with_suffix(".tmp")
    with h5py.File(temporary, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        write_elem(file, "obs", pd.DataFrame(index=[f"cell{i}" for i in range(cells)]))
        write_elem(file, "var", pd.DataFrame(index=[f"gene{i}" for i in range(genes)]))
        write_elem(file, "varm", {"X_bft": rng.standard_normal((genes, dim)).astype(np.float32)})
        for name in ("obsm", "uns", "layers", "obsp", "varp"):
            write_elem(file, name, {})
        x = file.create_group("X")
        x.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": (cells, genes)})
        expected = int(cells * genes * density)
        # The expected size, so that HDF5's chunks are those that anndata gets for a matrix of this size.
        data = x.create_dataset("data", (expected,), "float32", maxshape=(None,))
        indices = x.create_dataset("indices", (expected,), "int32", maxshape=(None,))
        sizes, filled = [], 0
        for start in range(0, cells, BLOCK):
            n = min(BLOCK, cells - start)
            rows, columns = np.nonzero(rng.random((n, genes), dtype=np.float32) < density)
            for array, values in ((data, rng.geometric(0.5, rows.size)), (indices, columns)):
                array.resize((max(expected, filled + rows.size),))
                array[filled : filled + rows.size] = values
            filled += rows.size
            sizes.append(np.bincount(rows, minlength=n))
        data.resize((filled,))
        indices.resize((filled,))
        indptr = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
        x.create_dataset("indptr", data=indptr.astype(np.int32 if filled < 2**31 else np.int64), maxshape=(None,))
    temporary.replace(path)


def run_ours(run: str, source: Path, target: Path, chunk_size: int | None) -> None:
    """The public function."""
    sys.path.insert(0, str(ROOT))
    from bftembed.tl import embed_cells

    how = {"weights": "contrast"} if run in CONTRASTS else {"weights": "log1p"}
    if run == "given-h5ad":
        how["reference"] = reference_file(source)
    embed_cells(source, output=target, keep_x=False, chunk_size=chunk_size, **how)


def reference_file(source: Path) -> Path:
    """Where the reference of the cells of `source` is kept."""
    return source.with_suffix(".reference.parquet")


def make_reference(source: Path) -> None:
    """Write the reference that the runs with a given one take."""
    sys.path.insert(0, str(ROOT))
    import bftembed as bft

    bft.pp.reference(source).write(reference_file(source))


def run_scipy(source: Path, target: Path, chunk_size: int) -> None:
    """The loop by hand; it imports neither anndata nor numba and writes the array alone."""
    import h5py
    from scipy.sparse import csr_matrix

    with h5py.File(source, "r") as file, h5py.File(target, "w") as result:
        x = file["X"]
        cells, genes = x.attrs["shape"]
        vectors = file["varm/X_bft"][:]
        indptr = x["indptr"][:]
        out = result.create_dataset("obsm/X_bft", (cells, vectors.shape[1]), "float32")
        for start in range(0, cells, chunk_size):
            pointers = indptr[start : start + chunk_size + 1]
            begin, end = pointers[0], pointers[-1]
            parts = x["data"][begin:end], x["indices"][begin:end], pointers - begin
            rows = csr_matrix(parts, shape=(pointers.size - 1, genes))
            scale = (1e4 / np.asarray(rows.sum(axis=1)).ravel()).astype(np.float32)
            rows.data *= np.repeat(scale, np.diff(rows.indptr))
            np.log1p(rows.data, out=rows.data)
            means = rows @ vectors
            means /= np.asarray(rows.sum(axis=1))
            out[start : start + len(means)] = means
    with target.open("rb") as handle:
        os.fsync(handle.fileno())


def child(run: str, source: Path, target: Path, chunk_size: int) -> None:
    """One run in this process; prints its memory as JSON."""
    start = time.perf_counter()
    if run.startswith("scipy"):
        run_scipy(source, target, chunk_size)
    else:
        run_ours(run, source, target, chunk_size)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds = {"inner": time.perf_counter() - start, "cpu": usage.ru_utime + usage.ru_stime}
    print(json.dumps({**seconds, "peak": usage.ru_maxrss * 1024}))


def measure(run: str, source: Path, directory: Path, chunk_size: int) -> dict[str, float]:
    """One run in a fresh process, imports and interpreter included."""
    target = directory / f"result-{run}.{run.split('-')[1]}"
    if target.is_dir():
        shutil.rmtree(target)
    target.unlink(missing_ok=True)
    os.sync()
    command = [sys.executable, __file__, "--dir", str(directory), "--child", run, "--chunk-size", str(chunk_size)]
    start = time.perf_counter()
    done = subprocess.run([*command, "--source", str(source)], capture_output=True, text=True, check=False)
    wall = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{run} failed:\n{done.stderr}")
    result = {"wall": wall, **json.loads(done.stdout.splitlines()[-1])}
    print(
        f"  {run:10s} {wall:6.2f} s ({result['cpu']:.2f} s of processor time), peak {result['peak'] / GIB:.2f} GiB",
        flush=True,
    )
    return result


def copy_bandwidth() -> float:
    """Bytes per second that two threads read and write together in copies of 256 MiB."""
    from concurrent.futures import ThreadPoolExecutor

    pairs = [(np.ones(32 << 20), np.zeros(32 << 20)) for _ in range(2)]
    best = 0.0
    with ThreadPoolExecutor(2) as pool:
        for _ in range(5):
            start = time.perf_counter()
            list(pool.map(lambda pair: np.copyto(pair[1], pair[0]), pairs))
            best = max(best, sum(2 * a.nbytes for a, _ in pairs) / (time.perf_counter() - start))
    return best


def largest_difference(directory: Path) -> float:
    """Over a sample of cells: the largest difference between the results, relative to the largest value."""
    import h5py
    import zarr

    paths = [directory / f"result-{run}.h5ad" for run in ("scipy-h5ad", "ours-h5ad")]
    store = zarr.open_group(directory / "result-ours-zarr.zarr", mode="r")
    with h5py.File(paths[0]) as theirs, h5py.File(paths[1]) as ours:
        reference, first, second = theirs["obsm/X_bft"], ours["obsm/X_bft"], store["obsm/X_bft"]
        worst = 0.0
        for start in np.linspace(0, max(len(reference) - 1000, 0), 20).astype(int):
            rows = slice(int(start), int(start) + 1000)
            for ours_too in (first[rows], second[rows]):
                worst = max(worst, float(np.abs(ours_too - reference[rows]).max() / np.abs(reference[rows]).max()))
    return worst


def difference_of_contrasts(source: Path, directory: Path) -> float:
    """As `largest_difference`, of contrasts from the formula."""
    sys.path.insert(0, str(ROOT))
    import h5py
    from scipy.sparse import csr_matrix

    import bftembed as bft

    made = bft.pp.Reference.read(directory / "result-made-h5ad.h5ad")
    mean, used = made.mean[0], made.highly_variable
    worst = 0.0
    with h5py.File(source, "r") as file:
        vectors = bft.pp.whiten(file["varm/X_bft"][:]).astype(float)[used]
        x, indptr = file["X"], file["X/indptr"][:]
        for run in CONTRASTS:
            with h5py.File(directory / f"result-{run}.h5ad", "r") as result:
                found = result["obsm/X_bft"]
                for start in np.linspace(0, max(len(found) - 200, 0), 10).astype(int):
                    pointers = indptr[start : start + 201].astype(np.int64)
                    parts = (x[name][pointers[0] : pointers[-1]] for name in ("data", "indices"))
                    rows = csr_matrix((*parts, pointers - pointers[0]), shape=(len(pointers) - 1, len(mean)))
                    counts = rows.toarray().astype(float)
                    departure = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True)) - mean
                    expected = departure[:, used] @ vectors / used.sum()
                    difference = np.abs(found[start : start + 200] - expected).max() / np.abs(expected).max()
                    worst = max(worst, float(difference))
    return worst


def report(source: Path, results: dict[str, list[dict[str, float]]]) -> None:
    """Medians, ratios and the arithmetic."""
    import h5py

    with h5py.File(source) as file:
        nnz, dim = file["X/data"].shape[0], file["varm/X_bft"].shape[1]
        cells, genes = (int(n) for n in file["X"].attrs["shape"])
        read = sum(file[f"X/{name}"].nbytes for name in ("data", "indices", "indptr"))
    written, bandwidth = 4 * cells * dim, copy_bandwidth()
    print(f"\n{cells:,} cells x {genes:,} genes, {nnz:,} values ({nnz / cells / genes:.1%}), d = {dim}")
    print(f"read {read / 1e9:.2f} GB, write {written / 1e9:.2f} GB, {nnz * dim / 1e9:.1f} G multiply-adds,")
    print(
        f"gene vectors looked up: {4 * nnz * dim / 1e9:.0f} GB, from the caches (they are {4e-6 * genes * dim:.1f} MB)"
    )
    print(f"memory bandwidth measured now (copy, two threads): {bandwidth / 1e9:.1f} GB/s")
    print(f"limit by memory alone: {(read + written) / bandwidth:.2f} s\n")
    for run, runs in results.items():
        wall, inner, cpu = (statistics.median(r[name] for r in runs) for name in ("wall", "inner", "cpu"))
        walls = sorted(r["wall"] for r in runs)
        print(
            f"{run:10s} median {wall:6.2f} s [{walls[0]:.2f} to {walls[-1]:.2f}] "
            f"({inner:.2f} s inside), processor time {cpu:.2f} s\n"
            f"           peak {max(r['peak'] for r in runs) / GIB:.2f} GiB, {2 * nnz * dim / wall / 1e9:.1f} GFLOP/s, "
            f"{4 * nnz * dim / wall / 1e9:.1f} GB/s of gene vectors, "
            f"{(read + written) / bandwidth / wall:.1%} of the memory limit"
        )
    pairs = [(RUNS[1], run) for run in results if run.startswith("ours")] + [(run, RUNS[0]) for run in CONTRASTS]
    for one, other in pairs:
        for name, what in (("wall", "time"), ("cpu", "processor time")):
            ratios = [a[name] / b[name] for a, b in zip(results[one], results[other], strict=True)]
            spread = f"[{min(ratios):.2f} to {max(ratios):.2f}]"
            print(f"{one} / {other}, {what}: median {statistics.median(ratios):.2f} {spread}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, required=True, help="where the input and the results go (some 5 GB)")
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--genes", type=int, default=2_000)
    parser.add_argument("--density", type=float, default=0.05)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--chunk-size", type=int, default=16_384, help="cells per chunk, for all")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", choices=(*RUNS, "make", "reference"), help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child == "make":
        make(args.source, cells=args.cells, genes=args.genes, density=args.density, dim=args.dim)
        return
    if args.child == "reference":
        make_reference(args.source)
        return
    if args.child:
        child(args.child, args.source, args.dir / f"result-{args.child}.{args.child.split('-')[1]}", args.chunk_size)
        return
    args.dir.mkdir(parents=True, exist_ok=True)
    source = args.dir / f"cells-{args.cells}x{args.genes}-{args.density}-{args.dim}.h5ad"
    if not source.exists():
        print(f"making {source.name}", flush=True)
        # In a process of its own: Linux counts the memory of the parent as memory of a child that it starts.
        command = [sys.executable, __file__, *sys.argv[1:], "--child", "make", "--source", str(source)]
        subprocess.run(command, check=True)
    if not reference_file(source).exists():
        command = [sys.executable, __file__, "--dir", str(args.dir), "--child", "reference", "--source", str(source)]
        subprocess.run(command, check=True)
    print("first run of ours (compiles the kernels unless they are cached):", flush=True)
    measure("ours-h5ad", source, args.dir, args.chunk_size)
    results: dict[str, list[dict[str, float]]] = {run: [] for run in RUNS}
    for repeat in range(args.repeats):
        print(f"repetition {repeat + 1}", flush=True)
        for run in RUNS:
            results[run].append(measure(run, source, args.dir, args.chunk_size))
    report(source, results)
    worst = largest_difference(args.dir)
    print(f"largest difference between the means, relative to the largest value: {worst:.1e}")
    contrasts = difference_of_contrasts(source, args.dir)
    print(f"of contrasts from the formula in float64, relative to the largest value: {contrasts:.1e}")
    sys.exit(int(max(worst, contrasts) > 1e-4))


if __name__ == "__main__":
    main()
