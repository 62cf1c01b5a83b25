"""The blocks of a Dask array on the workers of a cluster: the work goes to them, and only results travel."""

from __future__ import annotations

import sys
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed._versions import check_versions
from bftembed.errors import ClusterError, InputError
from bftembed.expression.chunks import as_csr, check_blocks, check_real

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from numpy.typing import NDArray

_GONE = (
    "The Dask client is closed, or its cluster is gone: make a new `distributed.Client`, or compute "
    'in this process with dask.config.set(scheduler="threads").'
)


def cluster_of(x: Any) -> Any:
    """The client of the `dask.distributed` cluster that is to compute `x`.

    Parameters
    ----------
    x
        Any matrix.

    Returns
    -------
    distributed.Client or None
        None if `x` is no Dask array or is computed in this process: there is no client, another scheduler is set
        (``dask.config.set(scheduler="threads")``), or this is itself a task of a worker. None also if `x` is stored
        by columns (CSC), which has no blocks of rows.

    Raises
    ------
    InputError
        If `x` does not know the sizes of its blocks.
    ClusterError
        If the cluster has no or another version of this package, or is gone.
    """
    distributed = sys.modules.get("distributed")  # a process that has not imported it has no client
    if distributed is None or not hasattr(x, "dask"):
        return None
    check_real(x)
    check_blocks(x)
    if x.numblocks[1] > 1 and getattr(x._meta, "format", None) == "csc":
        return None
    from dask.base import get_scheduler

    with suppress(ValueError):
        distributed.get_worker()
        return None
    try:
        client = getattr(get_scheduler(collections=[x]), "__self__", None)  # type: ignore[no-untyped-call]
        if not isinstance(client, distributed.Client):
            return None
        if client.asynchronous:
            msg = "The Dask client is asynchronous: make one without asynchronous=True, or call this in a thread."
            raise InputError(msg)
        if client.status != "running":
            raise ClusterError(_GONE)
        _check_versions(client)
    except (RuntimeError, OSError) as error:  # no client is left, or the scheduler does not answer
        raise ClusterError(_GONE) from error
    return client


def _check_versions(client: Any) -> None:
    found = client.get_versions(packages=["bftembed"])
    parts = {f"worker {address}": part for address, part in found["workers"].items()}
    parts["the scheduler"] = found["scheduler"]
    check_versions({name: part["packages"]["bftembed"] for name, part in parts.items()})


def block_tasks(x: Any, function: Callable[..., Any], codes: NDArray[np.intp], **shared: Any) -> list[Any]:
    """One task for each block of rows of a Dask array: ``function(rows, start, codes, **shared)``.

    The task is fused with those that make the block, so that a block is used where it was made and goes nowhere.

    Parameters
    ----------
    x
        Dask array (n_obs, n_vars) of dense or sparse blocks; where it is cut by columns too, the pieces of a row are
        put together first.
    function
        Takes the rows of one block as a scipy CSR matrix, and the number of the first of them.
    codes
        A number of each row, from 0: (n_obs,). Each task gets those of its block.
    shared
        Handed to all tasks; delayed objects (`on_cluster`) as their values.

    Returns
    -------
    list of dask.delayed.Delayed
        In the order of the rows.
    """
    from dask.array import blockwise
    from dask.layers import ArrayValuesDep

    short = codes.astype(np.min_scalar_type(codes.max(initial=0)))
    places = np.empty(x.numblocks[0], dtype=object)
    for number, start in enumerate(np.cumsum((0, *x.chunks[0][:-1])).tolist()):
        places[number] = start, short[start : start + x.chunks[0][number]]
    # As values of the call, and not as a Dask array, whose tasks would stand in the way of the fusion.
    place = ArrayValuesDep((x.chunks[0],), places)
    rows = x if x.numblocks[1] == 1 else x.rechunk({1: -1}, method="tasks")
    how = {"adjust_chunks": {"j": 1}, "dtype": object, "meta": np.empty((0, 0), dtype=object), "align_arrays": False}
    results = blockwise(_call, "ij", rows, "ij", place, "i", function=function, shared=shared, **how)  # type: ignore[no-untyped-call]
    return list(results.to_delayed().ravel())


@contextmanager
def on_cluster(client: Any, value: Any) -> Iterator[Any]:
    """A delayed object that stands for `value`, which is sent to the scheduler once, and from there to those who ask.

    It is made by a task, and not scattered: data that were scattered are gone with the last worker that had them, while
    a task is run again.
    """
    from dask import config
    from dask.delayed import delayed

    with config.set({"distributed.admin.large-graph-warning-threshold": "1 TiB"}):
        future = client.submit(_itself, value, pure=False)
    try:
        yield delayed(future)
    finally:
        future.release()


def gathered(client: Any, tasks: Sequence[Any]) -> Generator[Any]:
    """Yield the results of delayed objects in their order, each given up on the cluster as soon as it is here.

    Where it is closed early, tasks that have not run are cancelled.
    """
    waiting = deque(client.compute(list(tasks)))
    try:
        while waiting:
            yield waiting[0].result()
            waiting.popleft().release()
    finally:
        client.cancel(list(waiting))


def _itself(value: Any) -> Any:
    return value


def _call(block: Any, place: tuple[int, NDArray[Any]], *, function: Callable[..., Any], shared: dict[str, Any]) -> Any:
    start, codes = place
    return function(as_csr(block), start, codes.astype(np.intp), **shared)
