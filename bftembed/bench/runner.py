"""Run tasks on embeddings: what is missing is computed, saved at once, and a failure stops nothing else."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
import time
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bftembed import data
from bftembed._progress import progress
from bftembed.bench.base import Problem
from bftembed.bench.results import (
    LEAST_SHARED,
    SCHEMA_VERSION,
    Result,
    ScoreRecord,
    data_digests,
    gene_table_digest,
    read_result,
    result_path,
    write_result,
)
from bftembed.bench.scoring.scores import digest_of, number
from bftembed.bench.sources.base import CellVectors, NotApplicableError, cell_vectors, checked
from bftembed.bench.sources.grammar import get_source
from bftembed.datasets import NAME_SOURCES
from bftembed.errors import BftembedError, DataError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bftembed._progress import Progress
    from bftembed.bench.base import Evaluation, Task, TaskInfo
    from bftembed.bench.results import Subset
    from bftembed.bench.sources.base import Source

logger = logging.getLogger("bftembed")
Overwrite = Literal["never", "missing", "always"]
_PACKAGES = ("bftembed", "numpy", "scipy", "scikit-learn", "scanpy", "scib", "scib-metrics")


@dataclass
class _Run:
    """What all results of a run have in common."""

    directory: Path
    fast: bool
    overwrite: Overwrite
    n_jobs: int

    def path_of(self, job: _Job) -> Path:
        """Where a result belongs."""
        return result_path(self.directory, job.loaded.task.name, job.source.label, job.subset, fast=self.fast)


@dataclass
class _Loaded:
    """A task and its problem, which is loaded when it is first needed."""

    task: Task
    fast: bool

    @cached_property
    def problem(self) -> Problem:
        problem = self.task.load(self.fast)
        if not isinstance(problem, Problem):
            msg = f"Task `{self.task.name}` loads a {type(problem).__name__}, which is no `bftembed.bench.Problem`."
            raise InputError(msg)
        if len(set(problem.entities)) < len(problem.entities):
            msg = f"Task `{self.task.name}` has entities of the same name; give each once."
            raise InputError(msg)
        return problem


@dataclass
class _Job:
    """One result to compute: `left_out` entities take no part; `same` is a result on exactly these entities."""

    loaded: _Loaded
    source: Source
    subset: Subset
    left_out: frozenset[str]
    same: Result | None = None


def run(
    tasks: Iterable[Task],
    embeddings: Sequence[str | Source],
    directory: str | Path,
    *,
    encoder: Any = "default",
    fast: bool = False,
    overwrite: Overwrite = "missing",
    n_jobs: int = 1,
) -> list[Result]:
    """Evaluate embeddings on tasks.

    Every result is a file of its own under `directory`, written as soon as it is there. A result counts as there only
    if task, version, data, embedding and items are those of now; another is computed again. Where embeddings lack
    different entities, each is scored on its own and on those that all of them have (embeddings with less than
    40 % of the entities are left out of that).

    Parameters
    ----------
    tasks
        From `find_tasks`.
    embeddings
        Short names or sources; see `get_source`.
    directory
        Of the results; made if it is not there.
    encoder
        Of texts; see `bftembed.encoders.get_encoder`.
    fast
        A small part of each task, to see that all works. Its results are never mixed with those of a whole run.
    overwrite
        ``missing``: compute what is not there, failed, or is out of date; ``never``: leave every file as it is;
        ``always``: compute all.
    n_jobs
        Folds at a time; results do not depend on it.

    Returns
    -------
    The results of this run, including those computed before.

    Raises
    ------
    InputError
        If two embeddings have one label, there are none, or one of them cannot be read.
    DataError
        If results cannot be written.

    Examples
    --------
    >>> from bftembed.bench import find_tasks, run
    >>> run(find_tasks(names=["gene_property.dosage"]), ["random", "tfidf"], "runs/first")  # doctest: +SKIP
    """
    if overwrite not in ("never", "missing", "always"):
        msg = f"`overwrite` is 'never', 'missing' or 'always', got {overwrite!r}."
        raise InputError(msg)
    sources = _sources(embeddings, encoder)
    settings = _Run(Path(directory).expanduser(), fast, overwrite, n_jobs)
    tasks = list(tasks)
    _fetch_names(tasks)
    _refuse_unreadable({job.source.label: job.source for job in _pending(tasks, sources, settings)})
    results = []
    with progress(len(tasks) * len(sources), "benchmark", "result") as done:
        for task in tasks:
            results += _run_task(task, sources, settings, done)
    return results


def pending(
    tasks: Iterable[Task],
    embeddings: Sequence[str | Source],
    directory: str | Path,
    *,
    encoder: Any = "default",
    fast: bool = False,
    overwrite: Overwrite = "missing",
) -> list[tuple[str, str]]:
    """Names of the task and label of the embedding of each result that `run` would compute; nothing is computed.

    Parameters are those of `run`. Results on the entities that all embeddings have are not counted.

    Raises
    ------
    InputError
        As `run` does, but for embeddings that cannot be read.
    """
    sources = _sources(embeddings, encoder)
    settings = _Run(Path(directory).expanduser(), fast, overwrite, 1)
    return [(job.loaded.task.name, job.source.label) for job in _pending(tasks, sources, settings)]


def _pending(tasks: Iterable[Task], sources: Sequence[Source], settings: _Run) -> list[_Job]:
    jobs = [_Job(_Loaded(task, settings.fast), source, "own", frozenset()) for task in tasks for source in sources]
    return [job for job in jobs if not _is_there(job, settings)]


def _is_there(job: _Job, settings: _Run) -> bool:
    there = read_result(settings.path_of(job))
    if there is None or settings.overwrite == "always":
        return False
    if settings.overwrite == "never":
        return True
    try:
        described = _inputs(job.loaded.task.info) | {"description": job.source.describe()}
    except (BftembedError, OSError):  # what it was made of is not there now
        return False
    return _is_current(there, _key(job, _named(job, settings) | described))


def _sources(embeddings: Sequence[str | Source], encoder: Any) -> list[Source]:
    sources = [get_source(each, encoder=encoder) for each in embeddings]
    labels = [source.label for source in sources]
    if not sources or len(set(labels)) < len(labels):
        msg = f"Give every embedding a label of its own (LABEL=KIND:ARGUMENT); got {', '.join(labels) or 'none'}."
        raise InputError(msg)
    return sources


def _refuse_unreadable(sources: Mapping[str, Source]) -> None:
    """`InputError` that names every embedding that cannot be read, before hours are spent on the others."""
    reasons = []
    for label, source in sources.items():
        try:
            source.check()
        except NotApplicableError:  # it has no genes, but may have cells
            continue
        except (BftembedError, OSError) as error:
            reasons.append(f"`{label}`: {error}")
    if reasons:
        msg = "\n".join(["Nothing was run, since embeddings cannot be read:", *reasons])
        raise InputError(msg)


def _fetch_names(tasks: Sequence[Task]) -> None:
    """Bring the tables of gene names before the first task, so that all map names alike."""
    for name in NAME_SOURCES:
        if any(name in task.info.data for task in tasks) and not data.available(name):
            try:
                data.fetch(name)
            except DataError as error:
                logger.warning("%s", error)


def _run_task(task: Task, sources: Sequence[Source], settings: _Run, done: Progress) -> list[Result]:
    loaded = _Loaded(task, settings.fast)
    own = []
    for source in sources:
        own.append(_one(_Job(loaded, source, "own", frozenset()), settings))
        done.update(note=task.name)
    both = [
        (source, result)
        for source, result in zip(sources, own, strict=True)
        if result.status == "ok" and result.found >= LEAST_SHARED * result.asked
    ]
    if len({result.items_digest for _, result in both}) < 2:
        return own
    left_out = frozenset(name for _, result in both for name in result.missing)
    return own + [
        _one(_Job(loaded, source, "shared", left_out, result if set(result.missing) == left_out else None), settings)
        for source, result in both
    ]


def _one(job: _Job, settings: _Run) -> Result:
    """A result, from its file if that is up to date."""
    task, source = job.loaded.task, job.source
    path = settings.path_of(job)
    there = read_result(path)
    if there is not None and settings.overwrite == "never":
        return there
    begin = time.perf_counter()
    common: dict[str, Any] = {"key": "", "description": {}, **_named(job, settings)}
    try:
        common |= _inputs(task.info)
        common["description"] = source.describe()
        common["key"] = _key(job, common)
        if there is not None and settings.overwrite == "missing" and _is_current(there, common["key"]):
            return there
        logger.info("%s: %s (%s)", task.name, source.label, job.subset)
        result = _computed(job, settings, common)
    except NotApplicableError as error:
        result = Result(**common, status="not applicable", reason=str(error))
    except (Exception, SystemExit) as error:  # whatever a task or an embedding does, the others go on
        reason = str(error) if isinstance(error, BftembedError) else f"{type(error).__name__}: {error}"
        logger.warning("%s: %s failed: %s", task.name, source.label, reason)
        logger.debug("Where it failed:", exc_info=True)
        result = Result(**common, status="failed", reason=reason)
        if there is not None and there.status == "ok" and common["key"] in ("", there.key):
            logger.warning("%s keeps its earlier result.", path)  # as good as it was, or nobody can tell
            return result
    result = result.model_copy(update={"versions": _versions(), "times": {**result.times, **_times(begin)}})
    write_result(path, result)
    return result


def _named(job: _Job, settings: _Run) -> dict[str, Any]:
    """Which result it is."""
    return {
        "task": job.loaded.task.info,
        "embedding": job.source.label,
        "spec": job.source.spec,
        "subset": job.subset,
        "fast": settings.fast,
    }


def _inputs(info: TaskInfo) -> dict[str, Any]:
    """Digests of the data of a task, and of the gene tables that map its names."""
    digests = data_digests(info)
    if lacking := [name for name in NAME_SOURCES if name in info.data and not data.available(name)]:
        msg = f"Gene names cannot be mapped without {', '.join(lacking)}: run `bftembed data fetch genes`."
        raise DataError(msg)
    return {"data": digests, "genes": gene_table_digest()}


def _is_current(there: Result, key: str) -> bool:
    return there.key == key and there.status != "failed"


def _computed(job: _Job, settings: _Run, common: dict[str, Any]) -> Result:
    if job.same is not None:
        return job.same.model_copy(update={"subset": job.subset, "key": common["key"]})
    problem, source = job.loaded.problem, job.source
    begin = time.perf_counter()
    embedded = problem.embed(source)
    vectors = checked(cell_vectors(embedded).matrix, len(problem.entities), source.label)
    embed_seconds = time.perf_counter() - begin
    known = ~np.isnan(vectors).any(axis=1) & (vectors.shape[1] > 0)
    missing = [name for name, is_known in zip(problem.entities, known, strict=True) if not is_known]
    if not known.any():
        msg = f"`{source.label}` has none of the {len(problem.entities)} names, e.g. {', '.join(problem.entities[:3])}."
        raise InputError(msg)
    if job.left_out:
        vectors = vectors.copy()
        vectors[[name in job.left_out for name in problem.entities]] = np.nan
    embedded = embedded._replace(matrix=vectors) if isinstance(embedded, CellVectors) else vectors
    return Result(
        **common,
        status="ok",
        asked=len(problem.entities),
        found=int(known.sum()),
        missing=missing,
        removed=problem.removed,
        times={"embed_seconds": round(embed_seconds, 3)},
        **_record(problem.evaluate(embedded, n_jobs=settings.n_jobs), job.loaded.task.info),
    )


def _record(evaluation: Evaluation, info: TaskInfo) -> dict[str, Any]:
    first = evaluation.scores[0].metric if evaluation.scores else None
    if first != info.main_score:
        msg = f"Task `{info.name}` has the main_score {info.main_score!r}, but the first of its scores is {first!r}."
        raise InputError(msg)
    draws = evaluation.scores[0].draws
    return {
        "counts": evaluation.counts,
        "n_items": len(evaluation.items),
        "items_digest": digest_of(evaluation.items),
        "scores": [ScoreRecord(**score.describe()) for score in evaluation.scores],
        "baselines": [ScoreRecord(**score.describe()) for score in evaluation.baselines],
        "draws": None if draws is None else [number(value) for value in draws],
        "notes": list(evaluation.notes),
    }


def _key(job: _Job, common: dict[str, Any]) -> str:
    parts = {
        "schema": SCHEMA_VERSION,
        "task": [common["task"].name, common["task"].version, common["fast"]],
        "data": common["data"],
        "genes": common["genes"],
        "embedding": common["description"],
        "subset": [job.subset, sorted(job.left_out)],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _times(begin: float) -> dict[str, str | float]:
    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - begin, 3),
    }
