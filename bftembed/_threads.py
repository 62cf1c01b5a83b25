"""How many CPU threads a model uses."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from bftembed._settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger("bftembed")


@contextmanager
def torch_threads(threads: int | None = None) -> Iterator[None]:
    """Give torch `threads` CPU threads inside the block, by default ``settings.threads``, else ``OMP_NUM_THREADS``.

    A machine whose load is above its number of cores gets a line in the log, once: there, fewer threads are faster.
    """
    import torch

    wanted, before = threads or settings.threads or _of_environment(), torch.get_num_threads()
    advise_once(wanted or before)
    if wanted is None or wanted == before:
        yield
        return
    torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _of_environment() -> int | None:
    """What torch took at its start; numba's OpenMP layer (a UMAP, scanpy) gives it one for each core afterwards."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) or None if first.isdecimal() else None


@cache
def advise_once(threads: int) -> None:
    """Log the advice, if there is any, the first time in this process: later its own threads are part of the load."""
    if advice := busy_advice(threads):
        log.info("%s", advice)


def busy_advice(threads: int) -> str:
    """What to do about `threads` threads on a machine whose load is above its cores; empty where it is not."""
    load, cores = load_average(), os.cpu_count() or 1
    if load is None or load <= cores or threads == 1:
        return ""
    return (
        f"The load of this machine ({load:.1f}) is above its {cores} cores: {threads} threads may be several times "
        "slower than one. Use `bft.settings.threads = 1`, or `--threads 1` on the command line."
    )


def load_average() -> float | None:
    """Processes that wanted a core in the last minute, in the mean; None where the platform does not tell."""
    if not hasattr(os, "getloadavg"):
        return None
    try:
        return os.getloadavg()[0]
    except OSError:
        return None
