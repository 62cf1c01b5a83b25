"""Names to texts and vectors on the workers of a Ray cluster."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from bftembed import _progress, errors
from bftembed._keys import checked_key
from bftembed._near import did_you_mean
from bftembed._optional import require
from bftembed.encoders import get_encoder
from bftembed.engines import get_engine
from bftembed.entities import (
    all_human_genes,
    check_conditions,
    check_distinct,
    condition_table,
    conditions_of,
    entities_of,
    listed_names,
)
from bftembed.errors import InputError
from bftembed.profiles import ProfileStore, plan_profiles
from bftembed.scale.cluster import Pool, check_nodes, connected
from bftembed.scale.finished import FinishedEncoder, FinishedEngine
from bftembed.scale.parts import Parts
from bftembed.scale.worker import Batch, Job, Writer
from bftembed.tl import embed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from anndata import AnnData

    from bftembed.encoders import Encoder
    from bftembed.engines import Engine, Sampling
    from bftembed.entities import Facts, How, NameKind
    from bftembed.profiles import Entity

log = logging.getLogger("bftembed")
#: So often a batch may lose its worker, by a kill or by its node's death, before it is taken for the cause.
_RETRIES = 5
_CONDITIONS = ("how", "dose", "cell_line", "control", "separator")


class NameOptions(TypedDict, total=False):
    """Arguments of `bftembed.embed` that `embed_names` takes too."""

    kind: NameKind
    how: How | Sequence[How] | None
    dose: str | Sequence[str] | None
    cell_line: str | Sequence[str] | None
    control: Sequence[str] | None
    separator: str | None
    facts: Facts
    key_added: str
    engine: str | Engine
    encoder: str | Encoder
    template: str | Path | None
    sampling: Sampling | None
    store: ProfileStore | str | Path | None
    progress: bool | None


def embed_names(
    names: Any,
    *,
    parts: str | Path,
    address: str | None = None,
    workers: int | None = None,
    num_cpus: int = 1,
    num_gpus: float = 0,
    batch_size: int = 64,
    **options: Unpack[NameOptions],
) -> AnnData:
    """Embed names as :func:`bftembed.embed` does, with the work done by the workers of a Ray cluster.

    A worker is a process with engine and encoder, an actor of Ray Data. It writes every finished batch as a Parquet
    part, named by its contents, and renames it when it is whole. So a batch that is done stays done: where a worker or
    a node dies, Ray gives the batch in flight to another one; where this process dies, call again, and only what has no
    part yet is asked for. At most the batches in flight are repeated.

    Parameters
    ----------
    names
        As of :func:`bftembed.embed`, or a ``ray.data.Dataset`` with a column ``name``.
    parts
        Directory of the parts, which every node reaches under this path. Parts of other names, engines and encoders may
        lie there too. The texts are also put into the store.
    address
        ``"HOST:PORT"`` of a cluster; ``"auto"``: the one that runs on this machine; ``"local"``: one that is started
        here and ends with the work; by default what the environment variable ``RAY_ADDRESS`` names, else a local one.
        Where this process is connected to a cluster already, that is used.
    workers
        Number of workers; by default one for each ``num_gpus`` of the cluster, without GPUs two.
    num_cpus, num_gpus
        Of a worker. The model of a worker has ``num_cpus`` threads. The cluster should have two logical CPUs more than
        the workers hold.
    batch_size
        Names that are written and encoded together.
    options
        All others of :func:`bftembed.embed`, less ``profiles`` and ``recipe``. An `engine` or `encoder` that is an
        object is sent to the workers, which needs a class that they can import.

    Returns
    -------
    AnnData
        As of :func:`bftembed.embed`.

    Raises
    ------
    InputError
        If an argument makes no sense.
    ClusterError
        If the cluster cannot be reached, is too small, or a node differs from this machine: another Python, another
        version of this package or none, another model, or no such directory.
    StoreError, EngineError, EncoderError
        If these fail on a worker; the message names its machine. What was finished is kept.
    MissingExtraError
        If Ray is not installed.

    Notes
    -----
    Scheduling, retries and recovery are Ray Data's (https://docs.ray.io/en/latest/data/data.html).

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import bftembed as bft
    >>> with TemporaryDirectory() as shared:  # a directory that all machines see; RAY_ADDRESS names the cluster
    ...     genes = bft.scale.embed_names(  # doctest: +SKIP
    ...         ["TP53", "ALB"], parts=shared, engine="annotation", workers=1
    ...     )
    >>> print(genes.obsm["X_bft"].shape)  # doctest: +SKIP
    (2, 384)
    """
    ray_data = require("ray.data")
    pool = Pool(workers, num_cpus, num_gpus)
    _check(options, batch_size)
    if isinstance(names, ray_data.Dataset):
        names = _column(names)
    everything = isinstance(names, str) and names == "human"
    engine = get_engine(options.get("engine", "annotation" if everything else "default"))
    encoder = get_encoder(options.get("encoder", "default"))
    if not everything and options.get("kind", "gene") != "gene_set":
        names = listed_names(names)  # read once: they may be a generator
    entities = _entities(names, options, needed=not engine.generates)
    job = Job.of(
        engine,
        encoder,
        parts=Path(parts).expanduser().resolve(),
        template=options.get("template"),
        sampling=options.get("sampling"),
    )
    given = options.get("store")
    store = given if isinstance(given, ProfileStore) else ProfileStore(given)
    try:
        there = Parts(job.parts)
        there.merge(store)
        batches = _missing(entities, job, store, there.done(job.encoder_digest), batch_size)
        if batches:
            _run(batches, job, pool, address, progress=options.get("progress"))
            there.merge(store)
        there.tidy()
        made = FinishedEncoder(encoder, there.vectors(job.encoder_digest))
        options |= {"engine": FinishedEngine(engine, store), "encoder": made, "store": store}
        return embed(names, **options)
    finally:
        if store is not given:
            store.close()


def _column(names: Any) -> list[str]:
    columns = names.columns() or []
    if "name" not in columns:
        msg = f"A Ray dataset of names has a column `name`; this one has {', '.join(columns) or 'none'}."
        raise InputError(msg)
    return [str(row["name"]) for row in names.select_columns(["name"]).iter_rows()]


def _check(options: Mapping[str, Any], batch_size: int) -> None:
    known = NameOptions.__annotations__
    if unknown := [name for name in options if name not in known]:
        if unknown[0] in {"profiles", "recipe"}:
            msg = f"`{unknown[0]}` gives texts that are there already, which takes no cluster: call bft.embed."
            raise InputError(msg)
        msg = f"embed_names() got an unexpected keyword argument '{unknown[0]}'.{did_you_mean(unknown[0], known)}"
        raise TypeError(msg)
    checked_key(options.get("key_added", "X_bft"))
    if batch_size < 1:
        msg = f"batch_size must be at least 1, got {batch_size}."
        raise InputError(msg)


def _entities(names: Any, options: Mapping[str, Any], *, needed: bool) -> list[Entity]:
    """What `embed` will make of the names; refused here is what would be refused there after all the work."""
    kind, facts = options.get("kind", "gene"), options.get("facts", "auto")
    conditions = {name: options[name] for name in _CONDITIONS if options.get(name) is not None}
    check_conditions(kind, conditions)
    if kind == "gene" and isinstance(names, str) and names == "human":
        names = all_human_genes()
    listed = listed_names(names)
    check_distinct(
        condition_table(conditions_of(listed, **conditions)).index.tolist() if kind == "perturbation" else listed
    )
    entities, _ = entities_of(names, kind=kind, facts=facts, needed=needed, **conditions)
    if not entities:
        msg = "There is nothing to embed: the list of names is empty."
        raise InputError(msg)
    return entities


def _missing(entities: Sequence[Entity], job: Job, store: ProfileStore, done: set[str], batch_size: int) -> list[Batch]:
    """Batches of what has no part, in the order of the names: a run that was killed goes on with the same batches."""
    plan = plan_profiles(entities, job.engine, store=store, template=job.template, sampling=job.sampling)
    wanted = {key: entity for key, entity in zip(plan.keys, entities, strict=True) if key not in done}
    keys = list(wanted)
    recipes = store.recipes() if plan.stored else {}
    batches = []
    for start in range(0, len(keys), batch_size):
        of_batch = keys[start : start + batch_size]
        profiles = [plan.stored[key] for key in of_batch if key in plan.stored]
        used = [recipes[digest] for digest in sorted({profile.recipe for profile in profiles})]
        batches.append(Batch(of_batch, [wanted[key] for key in of_batch], profiles, used))
    return batches


def _run(batches: Sequence[Batch], job: Job, pool: Pool, address: str | None, *, progress: bool | None) -> None:
    """Have all batches written.

    Raises
    ------
    BftembedError
        The first that a worker met.
    """
    total = sum(len(batch.entities) for batch in batches)
    with connected(address, pool) as ray:
        size = min(pool.size(ray.cluster_resources()), len(batches))
        check_nodes(ray, job.parts, pool)
        log.info("%d names in %d batches on %d workers.", total, len(batches), size)
        with _progress.progress(total, "names", "name", show=progress) as bar:
            for row in _rows(ray, batches, job, pool, size):
                if row["error"]:
                    msg = f"{row['error']} What was finished is kept; run again to go on."
                    raise getattr(errors, row["kind"], errors.BftembedError)(msg)
                bar.update(row["n"])


def _rows(ray: Any, batches: Sequence[Batch], job: Job, pool: Pool, size: int) -> Iterator[Mapping[str, Any]]:
    """A row for each finished batch, as they finish."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # it announces what is set here
    rows = [{"batch": pickle.dumps(batch)} for batch in batches]
    made = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        Writer,
        fn_constructor_args=(job,),
        compute=ray.data.ActorPoolStrategy(size=size, max_tasks_in_flight_per_actor=2),
        batch_size=1,
        num_cpus=pool.num_cpus,
        num_gpus=pool.num_gpus,
        ray_remote_args_fn=lambda: {"max_task_retries": _RETRIES},
    )
    try:
        yield from made.iter_rows()
    except ray.exceptions.RayTaskError:
        raise  # of the code that a worker ran: a fault of an engine, with its trace
    except ray.exceptions.RayError as error:
        reason = " ".join(str(error).split())[:300]
        msg = (
            f"The workers of the Ray cluster ended without a result ({reason}). Where a worker was killed for memory, "
            "take fewer workers or a smaller batch_size. What was finished is kept; run again to go on."
        )
        raise errors.ClusterError(msg) from error
