import os
import time

import anndata
import dask
import dask.array
import distributed
import numpy as np
import pytest
import zarr
from anndata.io import write_elem
from distributed import Event
from scipy import sparse

from bftembed.errors import ClusterError, InputError
from bftembed.expression import block_tasks, cluster_of, gathered, on_cluster

N, GENES = 50, 7


@pytest.fixture
def counts():
    return np.random.default_rng(0).poisson(1, (N, GENES)).astype(np.float32)


def lazy(counts, chunks=(20, -1)):
    return dask.array.from_array(counts, chunks=chunks)


def n_tasks(client):
    """Tasks and data that the scheduler holds, once it has done what it was told."""

    def count(dask_scheduler):
        return len(dask_scheduler.tasks)

    left = -1
    for _ in range(100):
        if not (left := client.run_on_scheduler(count)):
            break
        time.sleep(0.1)
    return left


def test_there_is_a_cluster_for_dask_arrays_that_it_is_to_compute(counts, client):
    assert cluster_of(lazy(counts)) is client
    assert cluster_of(counts) is None
    assert cluster_of(sparse.csr_matrix(counts)) is None
    with dask.config.set(scheduler="threads"):
        assert cluster_of(lazy(counts)) is None


def test_a_task_of_a_worker_does_not_wait_for_its_own_cluster(client):
    def inside():
        import dask.array

        from bftembed.expression import cluster_of

        return cluster_of(dask.array.ones((4, 4)))

    assert client.submit(inside).result() is None


def test_there_is_none_without_a_client(counts):
    assert cluster_of(lazy(counts)) is None


def test_a_client_that_is_closed_and_a_cluster_that_is_gone(counts, cluster):
    with distributed.Client(cluster, set_as_default=False) as client, client.as_current():
        client.close()
        with pytest.raises(ClusterError, match="The Dask client is closed, or its cluster is gone"):
            cluster_of(lazy(counts))
    with (
        dask.config.set(scheduler="dask.distributed"),
        pytest.raises(ClusterError, match="The Dask client is closed, or its cluster is gone"),
    ):
        cluster_of(lazy(counts))
    assert cluster_of(lazy(counts)) is None


def test_a_matrix_stored_by_columns_has_no_blocks_of_rows(counts, client, tmp_path):
    root = zarr.open_group(tmp_path / "x.zarr", mode="w", zarr_format=3)
    write_elem(root, "X", sparse.csc_matrix(counts))
    assert cluster_of(anndata.experimental.read_elem_lazy(root["X"], chunks=(N, 3))) is None
    assert client is not None


def test_blocks_of_unknown_size_and_of_no_numbers_are_refused(counts, client):
    x = lazy(counts)
    with pytest.raises(InputError, match="compute_chunk_sizes"):
        cluster_of(x[x[:, 0] >= 0])
    with pytest.raises(InputError, match="real numbers"):
        cluster_of(lazy(counts.astype(complex)))
    assert client is not None


@pytest.mark.parametrize(("version", "message"), [(None, "is not installed"), ("0.0.9", "is 0.0.9, and")])
def test_a_worker_with_another_version_is_named(version, message, counts, client):
    def pretend(dask_worker, version, *, on):
        from distributed import versions

        if dask_worker.name == 0:
            kept = versions.__dict__.setdefault("_kept", versions._version_cached)
            versions._version_cached = (lambda name: version if name == "bftembed" else kept(name)) if on else kept

    client.run(pretend, version=version, on=True)
    try:
        with pytest.raises(ClusterError, match=rf"On 1 of 3 processes .*first: worker tcp://.* bftembed {message}"):
            cluster_of(lazy(counts))
    finally:
        client.run(pretend, version=version, on=False)
    assert cluster_of(lazy(counts)) is client


@pytest.mark.parametrize("form", ["dense", "csr_matrix", "csr_array"])
@pytest.mark.parametrize("chunks", [(20, -1), (20, 3), ((10, 0, 25, 15), -1), (N, GENES)])
def test_each_task_gets_its_rows_their_codes_and_what_is_shared(chunks, form, counts, client):
    x = lazy(counts, chunks)
    if form != "dense":
        make = getattr(sparse, form)
        x = x.map_blocks(make, meta=make((0, 0), dtype=np.float32))

    def seen(rows, start, codes, *, shared, plain):
        return type(rows).__name__, rows.toarray(), start, codes, shared, plain

    codes = np.arange(N) * 7
    with on_cluster(client, {"a": 1}) as shared:
        found = list(gathered(client, block_tasks(x, seen, codes, shared=shared, plain=2)))
    assert len(found) == x.numblocks[0]
    start = 0
    for rows, (kind, values, first, mine, given, plain) in zip(x.chunks[0], found, strict=True):
        assert (kind, first, given, plain) == ("csr_matrix", start, {"a": 1}, 2)
        np.testing.assert_array_equal(values, counts[start : start + rows])
        np.testing.assert_array_equal(mine, codes[start : start + rows])
        assert mine.dtype == np.intp
        start += rows
    assert not n_tasks(client)


def test_no_rows(counts, client):
    codes = np.zeros(0, dtype=np.intp)
    tasks = block_tasks(lazy(counts)[:0], lambda rows, start, mine: (rows.shape, start, len(mine)), codes)
    assert list(gathered(client, tasks)) == [((0, GENES), 0, 0)]


def test_a_block_is_used_in_the_task_that_makes_it(counts, client):
    """So that it is never sent to another worker: of two tasks, one could be run elsewhere."""
    x = lazy(counts).map_blocks(np.square).map_blocks(sparse.csr_matrix, meta=sparse.csr_matrix((0, 0)))
    with on_cluster(client, np.ones(3)) as shared:
        tasks = block_tasks(x, lambda rows, *_, **__: rows.nnz, np.zeros(N, dtype=np.intp), shared=shared)
        keys = {str(key) for key in dict(tasks[0].__dask_graph__()) if str(key).startswith("(")}
    assert len(keys - {key for key in keys if "array" in key}) == x.numblocks[0]


def test_blocks_are_worked_on_at_once(counts, client):
    """Each of two blocks waits for the other."""

    def meet(_rows, start, *_):
        names = ["meet-0", "meet-1"]
        Event(names[start > 0]).set()
        return Event(names[start == 0]).wait(timeout=60)

    assert list(gathered(client, block_tasks(lazy(counts, (25, -1)), meet, np.zeros(N, dtype=np.intp)))) == [True] * 2


def test_what_is_left_is_cancelled_where_the_results_are_given_up(counts, client):
    def fail(_rows, start, *_):
        if start:
            msg = f"row {start}"
            raise ValueError(msg)
        return start

    results = gathered(client, block_tasks(lazy(counts, (1, -1)), fail, np.zeros(N, dtype=np.intp)))
    assert next(results) == 0
    with pytest.raises(ValueError, match="row 1"):
        next(results)
    del results
    results = gathered(client, block_tasks(lazy(counts, (1, -1)), lambda *_: 1, np.zeros(N, dtype=np.intp)))
    assert next(results) == 1
    results.close()
    assert not n_tasks(client)


def test_what_is_shared_comes_back_after_all_that_had_it_died(client):
    def pid():
        return os.getpid()

    with on_cluster(client, np.arange(3)) as shared:
        before = set(client.run(pid).values())
        assert client.compute(shared + 1).result().tolist() == [1, 2, 3]
        for process in before:
            os.kill(process, 9)
        client.wait_for_workers(2)
        assert client.compute(shared + 1).result().tolist() == [1, 2, 3]
