"""One result of a benchmark: what it is made of, whether its file is up to date, and computing it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
import time
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bftembed import data
from bftembed.bench.answered import answered, encoder_of
from bftembed.bench.base import LanguageProblem, Problem
from bftembed.bench.results import (
    SCHEMA_VERSION,
    Result,
    data_digests,
    gene_table_digest,
    given_digests,
    read_result,
    recorded,
    result_path,
    write_result,
    write_text,
)
from bftembed.bench.sources.base import CellVectors, NotApplicableError, cell_vectors, checked
from bftembed.datasets import NAME_SOURCES
from bftembed.errors import BftembedError, DataError, InputError, NotGivenError

if TYPE_CHECKING:
    from pathlib import Path

    from bftembed.bench.base import Task, TaskInfo
    from bftembed.bench.results import Subset
    from bftembed.bench.sources.base import Source
    from bftembed.engines import Engine

logger = logging.getLogger("bftembed")
Overwrite = Literal["never", "missing", "always"]
_PACKAGES = (
    "bftembed",
    "numpy",
    "scipy",
    "scikit-learn",
    "scanpy",
    "scib",
    "scib-metrics",
    "torch",
    "transformers",
    "vllm",
)


@dataclass
class RunSettings:
    """What all results of a run have in common."""

    directory: Path
    fast: bool
    overwrite: Overwrite
    n_jobs: int
    judge: Engine | None = None

    def path_of(self, job: Job) -> Path:
        """Where a result belongs."""
        return result_path(self.directory, job.loaded.task.name, job.source.label, job.subset, fast=self.fast)


@dataclass
class LoadedTask:
    """A task and its problem, which is loaded when it is first needed."""

    task: Task
    fast: bool

    @cached_property
    def problem(self) -> Problem | LanguageProblem:
        """The problem; `InputError` if it is none, or has entities or items of the same name."""
        problem = self.task.load(self.fast)
        wanted = LanguageProblem if self.is_language else Problem
        if not isinstance(problem, wanted):
            kind = f"`bftembed.bench.{wanted.__name__}`"
            msg = f"Task `{self.task.name}` loads a {type(problem).__name__}, which is no {kind}."
            raise InputError(msg)
        names = problem.entities if isinstance(problem, Problem) else [item.id for item in problem.items]
        if len(set(names)) < len(names):
            what = "entities" if isinstance(problem, Problem) else "items"
            msg = f"Task `{self.task.name}` has {what} of the same name; give each once."
            raise InputError(msg)
        return problem

    @property
    def is_language(self) -> bool:
        """Whether a language model is asked."""
        return self.task.info.kind == "language"


@dataclass
class Job:
    """One result to compute: `left_out` entities take no part; `same` is a result on exactly these entities."""

    loaded: LoadedTask
    source: Source
    subset: Subset
    left_out: frozenset[str]
    same: Result | None = None


def is_there(job: Job, settings: RunSettings) -> bool:
    """Whether the file of a result is up to date, or is to be left as it is; nothing is loaded or computed."""
    there = read_result(settings.path_of(job))
    if there is None or settings.overwrite == "always":
        return False
    if settings.overwrite == "never":
        return True
    try:
        described = _inputs(job.loaded.task.info) | {"description": _description(job, settings)}
    except (BftembedError, OSError):  # what it was made of is not there now
        return False
    return _is_current(there, _key(job, _named(job, settings) | described))


def result_of(job: Job, settings: RunSettings) -> Result:
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
        common["description"] = _description(job, settings)
        common["key"] = _key(job, common)
        if there is not None and settings.overwrite == "missing" and _is_current(there, common["key"]):
            return there
        logger.info("%s: %s (%s)", task.name, source.label, job.subset)
        result = _computed(job, settings, common)
    except (NotApplicableError, NotGivenError) as error:
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


def _named(job: Job, settings: RunSettings) -> dict[str, Any]:
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
    digests = data_digests(info) | given_digests(info)
    if lacking := [name for name in NAME_SOURCES if name in info.data and not data.available(name)]:
        msg = f"Gene names cannot be mapped without {', '.join(lacking)}: run `bftembed data fetch genes`."
        raise DataError(msg)
    maps_names = info.kind != "language" or any(name in info.data for name in NAME_SOURCES)
    return {"data": digests, "genes": gene_table_digest() if maps_names else None}


def _description(job: Job, settings: RunSettings) -> dict[str, Any]:
    """What fixes the vectors or the answers of a source, and what its answers are compared or judged by."""
    info, found = job.loaded.task.info, job.source.describe()
    if info.encodes:
        found = {**found, "encoder": encoder_of(job.source).describe()}
    if info.judged and settings.judge is not None:
        found = {**found, "judge": settings.judge.describe()}
    return found


def _is_current(there: Result, key: str) -> bool:
    return there.key == key and there.status != "failed"


def _computed(job: Job, settings: RunSettings, common: dict[str, Any]) -> Result:
    if job.same is not None:
        return job.same.model_copy(update={"subset": job.subset, "key": common["key"]})
    if job.loaded.is_language:
        return Result(**common, status="ok", **_answered(job, settings))
    problem, source = job.loaded.problem, job.source
    assert isinstance(problem, Problem)
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
        **recorded(problem.evaluate(embedded, n_jobs=settings.n_jobs), job.loaded.task.info),
    )


def _answered(job: Job, settings: RunSettings) -> dict[str, Any]:
    if not job.source.answers:
        msg = f"`{job.source.label}` is an embedding; language tasks ask a model, `model:ENGINE`."
        raise NotApplicableError(msg)
    problem = job.loaded.problem
    assert isinstance(problem, LanguageProblem)
    for name, text in problem.kept.items():  # before anything is asked: what is split anew asks other questions
        write_text(settings.path_of(job).with_name(name), text)
    info, twice = job.loaded.task.info, settings.fast
    return answered(problem, info, job.source, settings.directory, judge=settings.judge, twice=twice)


def _key(job: Job, common: dict[str, Any]) -> str:
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
