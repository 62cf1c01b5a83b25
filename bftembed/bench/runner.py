"""Run tasks on embeddings: what is missing is computed, saved at once, and a failure stops nothing else."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from bftembed import data
from bftembed._near import check_choice
from bftembed._progress import progress
from bftembed.bench.base import Task
from bftembed.bench.jobs import Job, LoadedTask, Overwrite, RunSettings, is_there, result_of
from bftembed.bench.results import LEAST_SHARED, Results
from bftembed.bench.sources.base import NotApplicableError
from bftembed.bench.sources.grammar import get_source
from bftembed.bench.sources.model import Model
from bftembed.data import given_files
from bftembed.datasets import NAME_SOURCES
from bftembed.engines import get_engine
from bftembed.errors import BftembedError, DataError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bftembed._progress import Progress
    from bftembed.bench.results import Result
    from bftembed.bench.sources.base import Source
    from bftembed.engines import Engine

logger = logging.getLogger("bftembed")


def run(
    tasks: Iterable[Task],
    embeddings: str | Sequence[str | Source],
    directory: str | Path,
    *,
    encoder: Any = "default",
    fast: bool = False,
    overwrite: Overwrite = "missing",
    n_jobs: int = 1,
    judge: str | Engine | None = None,
    files: Mapping[str, str | Path] | None = None,
) -> Results:
    """Evaluate embeddings and language models on tasks.

    Every result is a file of its own under `directory`, written as soon as it is there. A result counts as there only
    if task, version, data, embedding and items are those of now; another is computed again. Where embeddings lack
    different entities, each is scored on its own and on those that all of them have (embeddings with less than
    40 % of the entities are left out of that).

    Language models (``model:ENGINE``) answer the questions of language tasks. What they answered is kept in
    ``answers.sqlite`` beside the results as soon as it is there, so that nothing is asked twice: not after a run was
    killed, nor where answers are only read in another way. A model that is tuned by an adapter is followed by the
    model that it was tuned from, labelled ``LABEL (base)``, unless that is among the embeddings.

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
    judge
        Engine that judges answers, for the tasks that need one.
    files
        Files of your own that tasks read, by name.

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
    >>> from tempfile import TemporaryDirectory
    >>> from bftembed.bench import find_tasks, run
    >>> with TemporaryDirectory() as runs:
    ...     results = run(find_tasks(names=["gene_property.dosage"]), ["random"], runs, fast=True)
    >>> results.table()["metric"][0]
    'auroc'
    """
    check_choice("overwrite", overwrite, get_args(Overwrite))
    tasks = _listed(tasks)
    sources = _sources(embeddings, encoder, fast=fast)
    settings = RunSettings(
        Path(directory).expanduser(), fast, overwrite, n_jobs, None if judge is None else get_engine(judge)
    )
    _fetch_names(tasks)
    with given_files(files or {}):
        loaded = [LoadedTask(task, fast) for task in tasks]
        models = _with_untuned(sources, loaded)
        _refuse_unreadable({job.source.label: job.source for job in _pending(loaded, sources, models, settings)})
        return Results(_run(loaded, sources, models, settings))


def _run(
    loaded: Sequence[LoadedTask], sources: Sequence[Source], models: Sequence[Source], settings: RunSettings
) -> list[Result]:
    """Embeddings task by task, which reads the data once; then models one by one, which loads one at a time."""
    language = [each for each in loaded if each.is_language]
    results = []
    with progress(
        len(sources) * (len(loaded) - len(language)) + len(models) * len(language), "benchmark", "result"
    ) as done:
        for each in loaded:
            if not each.is_language:
                results += _run_task(each, sources, settings, done)
        for source in models:
            if source not in sources:
                logger.info("Compared with the model that it was tuned from: `%s`.", source.label)
            for each in language:
                results.append(result_of(Job(each, source, "own", frozenset()), settings))
                done.update(note=each.task.name)
            if isinstance(source, Model):
                source.release()
    return results


def _with_untuned(sources: Sequence[Source], loaded: Sequence[LoadedTask]) -> list[Source]:
    """Sources, for language tasks with the models that the tuned ones among them were made from."""
    if not any(each.is_language for each in loaded):
        return list(sources)
    known = [source.describe() for source in sources if isinstance(source, Model)]
    listed = list(sources)
    for source in sources:
        if isinstance(source, Model) and (base := source.untuned()) is not None and base.describe() not in known:
            known.append(base.describe())
            listed.append(base)
            base.fast = source.fast
    return listed


def pending(
    tasks: Iterable[Task],
    embeddings: str | Sequence[str | Source],
    directory: str | Path,
    *,
    encoder: Any = "default",
    fast: bool = False,
    overwrite: Overwrite = "missing",
    judge: str | Engine | None = None,
    files: Mapping[str, str | Path] | None = None,
) -> list[tuple[str, str]]:
    """Names of the task and label of the embedding of each result that `run` would compute; nothing is computed.

    Parameters are those of `run`. Results on the entities that all embeddings have are not counted.

    Raises
    ------
    InputError
        As `run` does, but for embeddings that cannot be read.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from bftembed.bench import find_tasks, pending
    >>> with TemporaryDirectory() as runs:
    ...     pending(find_tasks(names=["gene_property.dosage"]), ["random"], runs, fast=True)
    [('gene_property.dosage', 'random')]
    """
    sources = _sources(embeddings, encoder, fast=fast)
    settings = RunSettings(
        Path(directory).expanduser(), fast, overwrite, 1, None if judge is None else get_engine(judge)
    )
    with given_files(files or {}):
        loaded = [LoadedTask(task, fast) for task in _listed(tasks)]
        jobs = _pending(loaded, sources, _with_untuned(sources, loaded), settings)
    return [(job.loaded.task.name, job.source.label) for job in jobs]


def _pending(
    loaded: Sequence[LoadedTask], sources: Sequence[Source], models: Sequence[Source], settings: RunSettings
) -> list[Job]:
    jobs = [
        Job(each, source, "own", frozenset()) for each in loaded for source in (models if each.is_language else sources)
    ]
    return [job for job in jobs if not is_there(job, settings)]


def _listed(tasks: Iterable[Task]) -> list[Task]:
    listed = [tasks] if isinstance(tasks, str) else list(tasks)
    if other := [each for each in listed if not isinstance(each, Task)]:
        msg = f"Tasks are what `find_tasks` gives, got {other[0]!r}: write `find_tasks(names=[{other[0]!r}])`."
        raise InputError(msg)
    return listed


def _sources(embeddings: str | Sequence[str | Source], encoder: Any, *, fast: bool) -> list[Source]:
    listed = [embeddings] if isinstance(embeddings, str) else embeddings
    sources = [get_source(each, encoder=encoder) for each in listed]
    labels = [source.label for source in sources]
    if not sources or len(set(labels)) < len(labels):
        msg = f"Give every embedding a label of its own (LABEL=KIND:ARGUMENT); got {', '.join(labels) or 'none'}."
        raise InputError(msg)
    for source in sources:
        source.fast = fast
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


def _run_task(loaded: LoadedTask, sources: Sequence[Source], settings: RunSettings, done: Progress) -> list[Result]:
    own = []
    for source in sources:
        own.append(result_of(Job(loaded, source, "own", frozenset()), settings))
        done.update(note=loaded.task.name)
    both = [
        (source, result)
        for source, result in zip(sources, own, strict=True)
        if result.status == "ok" and result.found >= LEAST_SHARED * result.asked
    ]
    if len({result.items_digest for _, result in both}) < 2:
        return own
    left_out = frozenset(name for _, result in both for name in result.missing)
    jobs = [
        Job(loaded, source, "shared", left_out, result if set(result.missing) == left_out else None)
        for source, result in both
    ]
    return own + [result_of(job, settings) for job in jobs]
