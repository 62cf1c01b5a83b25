"""A Ray cluster: connected to, or started here, and looked at before any work."""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import socket
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bftembed._optional import require
from bftembed._versions import check_versions
from bftembed.errors import ClusterError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = logging.getLogger("bftembed")
_PATIENCE = 5.0  # seconds, for an answer of an address
_LOOK = 120.0  # seconds, for the first process of a node
_SETTINGS = b"\x04"  # the frame that HTTP/2, and so gRPC, which Ray speaks, begins with (RFC 9113, 3.4)
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0" + _SETTINGS + bytes(5)
_SPARE = 2  # logical CPUs beside those that the workers hold: other tasks of Ray would wait for these without a word


@dataclass(frozen=True, slots=True)
class Pool:
    """How many workers there are, and the CPUs and GPUs that Ray gives to each.

    Parameters
    ----------
    workers
        Number of processes; by default one for each ``num_gpus`` of the cluster, without GPUs two.
    num_cpus
        Of a worker: logical CPUs, and the threads of its model.
    num_gpus
        Of a worker.

    Raises
    ------
    InputError
        If a number makes no sense.
    """

    workers: int | None = None
    num_cpus: int = 1
    num_gpus: float = 0

    def __post_init__(self) -> None:
        if (self.workers is not None and self.workers < 1) or self.num_cpus < 1 or self.num_gpus < 0:
            msg = f"workers and num_cpus must be at least 1, and num_gpus at least 0, got {self}."
            raise InputError(msg)

    @property
    def needs(self) -> dict[str, float]:
        """What a worker holds, as Ray names it."""
        return {"CPU": self.num_cpus, "GPU": self.num_gpus}

    def size(self, resources: dict[str, float]) -> int:
        """Number of workers on a cluster.

        Raises
        ------
        ClusterError
            If it has fewer CPUs or GPUs than they ask for: Ray would wait for more without an end.
        """
        gpus = resources.get("GPU", 0.0)
        workers = self.workers or (max(1, int(gpus / self.num_gpus)) if self.num_gpus else 2)
        for name, each in self.needs.items():
            has = resources.get(name, 0.0)
            if workers * each > has:
                msg = (
                    f"{workers} workers with {each:g} {name}s each ask for {workers * each:g}, and the Ray cluster has "
                    f"{has:g}: take fewer workers, or add a node (`ray start --address=... --num-{name.lower()}s=N`)."
                )
                raise ClusterError(msg)
        return workers


@contextmanager
def connected(address: str | None, pool: Pool) -> Iterator[Any]:
    """Connect to a Ray cluster, or start one on this machine.

    Parameters
    ----------
    address
        ``"HOST:PORT"`` of a cluster; ``"auto"``: the one that runs on this machine; ``"local"``: one that is started
        here and ends with the work; None: the one that the environment variable ``RAY_ADDRESS`` names, else a local
        one. Where this process is connected already, that is used.
    pool
        Workers that a local one has room for.

    Yields
    ------
    module
        ``ray``.

    Raises
    ------
    ClusterError
        If nothing answers at the address, or what answers is of another version of Ray or Python.
    MissingExtraError
        If Ray is not installed.
    """
    ray = require("ray")
    if ray.is_initialized():
        yield ray
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address == "local":
        logical = (pool.workers or 2) * pool.num_cpus + _SPARE
        quiet |= {"num_cpus": max(logical, os.cpu_count() or 1), "include_dashboard": False}
    elif address != "auto":
        _check_address(address)
    try:
        ray.init(address=address, **quiet)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = " ".join(str(error).split())[:400]
        msg = f"No Ray cluster can be used at `{address}`: {reason} Start one with `ray start --head`, or leave it out."
        raise ClusterError(msg) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """See whether a Ray cluster can be at an address: Ray itself asks in vain for many minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or "/" in host:
        msg = f"`{address}` is no address of a Ray cluster: write HOST:PORT, as `ray start --head` says, or `auto`."
        raise InputError(msg)
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE) as connection:
            connection.sendall(_HELLO)
            answer = connection.recv(9)
    except (OSError, OverflowError) as error:
        msg = (
            f"Nothing answers at the Ray address `{address}` ({error}): start a cluster with `ray start --head`, which "
            "prints its address, or see whether a firewall is between."
        )
        raise ClusterError(msg) from error
    if answer[3:4] != _SETTINGS and os.environ.get("RAY_USE_TLS") != "1":
        msg = (
            f"What answers at `{address}` is no Ray cluster: another program has this port. Give the address that `ray "
            "start --head` prints, or start one on a free port with `ray start --head --port=PORT`."
        )
        raise ClusterError(msg)


def check_nodes(ray: Any, parts: Path, pool: Pool) -> None:
    """Look at every node that a worker may come to, before any work.

    Parameters
    ----------
    ray
        Connected.
    parts
        Directory that all nodes have to see.
    pool
        What a worker needs.

    Raises
    ------
    ClusterError
        If a node has another Python, no bftembed, another version of it, or does not see the directory.
    """
    affinity = require("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
    marker = parts / f".seen-{uuid.uuid4().hex}"
    look = ray.remote(num_cpus=0)(_looker())
    try:
        marker.touch()
        asked = [
            (node, look.options(scheduling_strategy=affinity(node["NodeID"], soft=False)).remote(str(marker)))
            for node in ray.nodes()
            if node["Alive"] and all(node["Resources"].get(name, 0) >= each for name, each in pool.needs.items())
        ]
        found = {}
        for node, answer in asked:
            try:
                found[_name(node)] = ray.get(answer, timeout=_LOOK)
            except (ray.exceptions.TaskUnschedulableError, ray.exceptions.NodeDiedError):
                log.warning("The Ray node %s is gone; the others do the work.", _name(node))
            except ray.exceptions.RayError as error:
                reason = " ".join(str(error).split())[:200]
                msg = f"The Ray node {_name(node)} started no process ({reason}): see its logs in /tmp/ray, or stop it."
                raise ClusterError(msg) from error
    except OSError as error:
        msg = f"The directory of parts `{parts}` cannot be written: {error}. Free space, or choose another one."
        raise ClusterError(msg) from error
    finally:
        marker.unlink(missing_ok=True)
    _compare(found, parts)


def _name(node: dict[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']}, {node['NodeID'][:8]})"


def _compare(found: dict[str, dict[str, str]], parts: Path) -> None:
    """Refuse nodes, by their names, on which something is otherwise than here."""
    python, own, files = platform.python_version(), version("bftembed"), files_digest()
    check_versions({f"the Ray node {name}": there["bftembed"] or None for name, there in found.items()})
    for name, there in found.items():
        if there["python"] != python:
            msg = f"The Ray node {name} runs Python {there['python']}, this is {python}: start it with the same."
        elif there["files"] != files:
            msg = (
                f"The Ray node {name} has other files of bftembed {own} than this machine: install bftembed {own} "
                "there and start the node again."
            )
        elif not there["sees"]:
            msg = f"The Ray node {name} does not see the directory `{parts}`: choose one that every node reaches."
        else:
            continue
        raise ClusterError(msg)


def files_digest() -> str:
    """SHA-256 of all modules of this package, names and contents."""
    root = Path(__file__).parents[1]
    whole = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        whole.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes())
    return whole.hexdigest()


def _looker() -> Callable[[str], dict[str, str]]:
    """A function that travels by value: a node without this package can run it too."""

    def look(marker: str) -> dict[str, str]:
        import importlib
        import platform
        from pathlib import Path

        found = {"python": platform.python_version(), "bftembed": "", "files": ""}
        found["sees"] = "yes" if Path(marker).exists() else ""
        try:
            found["bftembed"] = importlib.import_module("bftembed").__version__
            found["files"] = importlib.import_module("bftembed.scale.cluster").files_digest()
        except ImportError:
            return found  # without the package, or with a version that lacks this module
        return found

    return look
