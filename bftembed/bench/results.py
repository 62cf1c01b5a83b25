"""Result files: one JSON per task, subset and embedding, written as soon as it is there."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from bftembed import datasets
from bftembed._files import replacing
from bftembed._html import Shown
from bftembed.bench.base import TaskInfo  # noqa: TC001 (pydantic reads it)
from bftembed.bench.scoring.scores import digest_of, number
from bftembed.data import get_manifest, given_file, is_given
from bftembed.errors import DataError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from bftembed.bench.base import Evaluation, Task

logger = logging.getLogger("bftembed")
SCHEMA_VERSION = 3
#: An embedding with less of the entities would leave too few for the others to be compared on.
LEAST_SHARED = 0.4
Subset = Literal["own", "shared"]
Status = Literal["ok", "failed", "not applicable"]
_GIVEN = "given/"
_COLUMNS = ("task", "embedding", "subset", "metric", "score", "low", "high", "n_items", "status", "reason")
_SHOWN = {"method", "metric", "mean", "interval_items", "interval_folds"}
_FOLDERS = {False: "results", True: "fast"}


class ScoreRecord(BaseModel):
    """A score as `Score.describe` gives it: `values` has one row per repeat and one column per fold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    metric: str
    mean: float | None
    interval_folds: tuple[float, float] | None
    interval_items: tuple[float, float] | None
    values: list[list[float | None]]
    to_beat: bool = True


class Result(Shown, BaseModel):
    """What one embedding got in one task.

    Attributes
    ----------
    key
        Digest of all that decides the scores: task and version, data digests, embedding, subset, which items.
    embedding, spec, description
        Label, short name, and everything that fixes the vectors.
    subset
        ``own``: all entities that the embedding has; ``shared``: those that all embeddings of the run have.
    reason
        Why there are no scores, unless `status` is ``ok``.
    asked, found, missing
        Entities of the task, how many the embedding has, and the names of the others.
    removed, counts
        What was removed from the data; what was scored, e.g. items per class.
    items
        Number and digest of the scored items: results of equal digests are paired.
    draws
        Main score of resampled items.
    right
        Where the main score is a share of right items: whether each of the scored ones was, in their order.
    data
        Sha256 of the files of the task's data sets, by ``manifest/file``; of files of the user by ``given/name``.
    genes
        Digest of the gene tables that names were mapped by; None without any.
    versions
        Of the packages that computed it.
    times
        Start (ISO 8601) and seconds; all else is the same whenever it is computed.

    Examples
    --------
    >>> from bftembed.bench import Result, TaskInfo
    >>> about = {"title": "Parity", "data": (), "main_score": "auroc", "licence": "CC0", "citation": "none"}
    >>> task = TaskInfo(name="own.parity", kind="gene", **about)
    >>> of = {"embedding": "mine", "spec": "file:mine.csv", "description": {}, "subset": "own"}
    >>> Result(key="0" * 64, task=task, status="failed", reason="There is no file `mine.csv`.", **of).main is None
    True
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = SCHEMA_VERSION
    key: str
    task: TaskInfo
    embedding: str
    spec: str
    description: dict[str, Any]
    subset: Subset
    status: Status
    reason: str | None = None
    fast: bool = False
    asked: int = 0
    found: int = 0
    missing: list[str] = []
    removed: dict[str, int] = {}
    counts: dict[str, int] = {}
    n_items: int = 0
    items_digest: str = ""
    scores: list[ScoreRecord] = []
    baselines: list[ScoreRecord] = []
    draws: list[float | None] | None = None
    right: list[bool] | None = None
    notes: list[str] = []
    data: dict[str, str] = {}
    genes: str | None = None
    versions: dict[str, str] = {}
    times: dict[str, str | float] = {}

    @property
    def main(self) -> ScoreRecord | None:
        """The score that ranks, or None if there is none."""
        return self.scores[0] if self.scores else None

    def _parts(self) -> dict[str, Any]:
        import pandas as pd

        counts = {"entities": f"{self.found:,} of {self.asked:,}", **self.counts}
        several = {"scores": self.scores, "baselines": self.baselines}
        tables = {name: pd.DataFrame([each.model_dump(include=_SHOWN) for each in of]) for name, of in several.items()}
        full = {name: table.dropna(axis="columns", how="all") for name, table in tables.items() if len(table)}
        return {**_row(self), **counts, **full, "notes": "\n".join(self.notes)}


class Results(Shown, list[Result]):
    """Results, which notebooks show as a table.

    Examples
    --------
    >>> from bftembed.bench import Result, Results, TaskInfo
    >>> about = {"title": "Parity", "data": (), "main_score": "auroc", "licence": "CC0", "citation": "none"}
    >>> task = TaskInfo(name="own.parity", kind="gene", **about)
    >>> of = {"embedding": "mine", "spec": "file:mine.csv", "description": {}, "subset": "own"}
    >>> results = Results([Result(key="0" * 64, task=task, status="failed", reason="There is no such file.", **of)])
    >>> results.table()[["task", "status"]].to_numpy().tolist()
    [['own.parity', 'failed']]
    """

    def table(self) -> pd.DataFrame:
        """Main scores, a row for each result.

        Columns: ``task``, ``embedding``, ``subset``, ``metric``, ``score``, ``low`` and ``high`` (95 % interval over
        items, else over folds), ``n_items``, ``status`` and ``reason``, why there is no score.
        """
        import pandas as pd

        return pd.DataFrame([_row(result) for result in self], columns=list(_COLUMNS))

    def _parts(self) -> dict[str, Any]:
        return {"main scores": self.table().dropna(axis="columns", how="all")}


def _row(result: Result) -> dict[str, Any]:
    main = result.main
    low, high = (main and (main.interval_items or main.interval_folds)) or (None, None)
    scored = {"metric": result.task.main_score, "score": main and main.mean, "low": low, "high": high}
    told = {name: getattr(result, name) for name in ("embedding", "subset", "n_items", "status", "reason")}
    return {"task": result.task.name, **scored, **told}


def recorded(evaluation: Evaluation, info: TaskInfo) -> dict[str, Any]:
    """What a result holds of an evaluation.

    Raises
    ------
    InputError
        If its first score is not the main score of the task, or not the share of items that were right.
    """
    first = evaluation.scores[0].metric if evaluation.scores else None
    if first != info.main_score:
        msg = f"Task `{info.name}` has the main_score {info.main_score!r}, but the first of its scores is {first!r}."
        raise InputError(msg)
    main, *others = evaluation.scores
    if evaluation.right is not None:
        main = replace(main, right=_checked_right(evaluation.right, evaluation, info))
    return {
        "counts": evaluation.counts,
        "n_items": len(evaluation.items),
        "items_digest": digest_of(evaluation.items),
        "scores": [ScoreRecord(**score.describe()) for score in (main, *others)],
        "baselines": [ScoreRecord(**score.describe()) for score in evaluation.baselines],
        "draws": None if main.draws is None else [number(value) for value in main.draws],
        "right": main.right,
        "notes": list(evaluation.notes),
    }


def _checked_right(right: Sequence[bool], evaluation: Evaluation, info: TaskInfo) -> list[bool]:
    checked, n, score = [bool(value) for value in right], len(evaluation.items), evaluation.scores[0].mean
    if len(checked) != n or not abs(sum(checked) - n * score) < 1e-6:
        told = f"{sum(checked)} of {len(checked)} items were right, but it scored {n} items with {score:.6f}"
        msg = f"By task `{info.name}` {told}: give `right` only where the main score is the share of right items."
        raise InputError(msg)
    return checked


def data_digests(info: TaskInfo) -> dict[str, str]:
    """Sha256 of the files of a task by ``manifest/file``, as the manifests have them."""
    return {f"{name}/{file.name}": file.sha256 for name in info.data for file in get_manifest(name).files}


def gene_table_digest() -> str | None:
    """Of the tables by which names become genes, or None without them."""
    table = datasets.gene_table()
    return None if table is None else table.digest


def given_digests(info: TaskInfo) -> dict[str, str]:
    """Sha256 of the files of the user that a task reads, by ``given/name``; of those that are given now."""
    found = {}
    for name in info.files:
        if is_given(name):
            with given_file(name).open("rb") as file:
                found[f"{_GIVEN}{name}"] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _of_manifests(result: Result) -> dict[str, str]:
    return {name: digest for name, digest in result.data.items() if not name.startswith(_GIVEN)}


def _digests_now(info: TaskInfo) -> dict[str, str] | None:
    try:
        return data_digests(info)
    except DataError as error:  # a manifest of the user's own that is not configured now
        logger.warning("%s: %s", info.name, error)
        return None


def result_path(directory: Path, task: str, embedding: str, subset: Subset, *, fast: bool = False) -> Path:
    """Where a result belongs; a label that is no file name gets a digest, so that two never share a file."""
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", embedding).strip("-.")[:60]
    if stem != embedding:
        stem = f"{stem}-{hashlib.sha256(embedding.encode()).hexdigest()[:8]}"
    return directory / _FOLDERS[fast] / task / f"{stem}.{subset}.json"


def write_result(path: Path, result: Result) -> None:
    """Write under another name first: a file under the final name is complete.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    text = json.dumps(result.model_dump(mode="json"), indent=1, allow_nan=False, ensure_ascii=False)
    write_text(path, text + "\n")


def write_text(path: Path, text: str) -> None:
    """Write what stands beside the results, or one of them, as `write_result` does.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    try:
        with replacing(path) as made:
            made.write_text(text, encoding="utf-8")
    except OSError as error:
        msg = f"The result {path} cannot be written: {error}. What was saved before stays; run again to go on."
        raise DataError(msg) from error


def read_result(path: Path) -> Result | None:
    """A result file, or None (with a warning in the log) if it is damaged or of another schema: it is made again."""
    try:
        text = path.read_bytes()
        content = json.loads(text)
        schema = content.get("schema_version") if isinstance(content, dict) else None
        if schema in (None, SCHEMA_VERSION):
            return Result.model_validate_json(text)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        logger.warning("%s is no result file and is not used: %s", path, str(error).splitlines()[0])
        return None
    logger.warning("%s has schema %s, not %d; it is not used.", path, schema, SCHEMA_VERSION)
    return None


def read_results(directory: str | Path, *, fast: bool = False) -> Results:
    """All results of a run's directory, sorted by task, embedding and subset.

    Parameters
    ----------
    directory
        As given to `run`.
    fast
        Those of runs with `fast`, which are kept apart.

    Raises
    ------
    DataError
        If there is not one.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from bftembed.bench import find_tasks, read_results, run
    >>> with TemporaryDirectory() as runs:
    ...     _ = run(find_tasks(names=["gene_property.dosage"]), ["random"], runs, fast=True)
    ...     {(result.embedding, result.status) for result in read_results(runs, fast=True)}
    {('random', 'ok')}
    """
    paths = sorted(Path(directory).expanduser().glob(f"{_FOLDERS[fast]}/*/[!.]*.json"))  # .* is being written
    results = [result for path in paths if (result := read_result(path)) is not None]
    if not results:
        raise DataError(_none_there(Path(directory).expanduser(), fast=fast))
    return Results(sorted(results, key=lambda result: (result.task.name, result.embedding, result.subset)))


def _none_there(directory: Path, *, fast: bool) -> str:
    """What to do where there are no results of this kind."""
    n_others = len(list(directory.glob(f"{_FOLDERS[not fast]}/*/[!.]*.json")))
    if n_others:
        whole = "`--fast` (`fast=True`)"
        there, advice = ("whole", f"leave out {whole}") if fast else ("fast", f"add {whole}")
        return f"In `{directory}` there are only {n_others} results of {there} runs: {advice}."
    command = shlex.join(["bftembed", "bench", "run", "-o", str(directory), "-e", "random"])
    return f"There are no results in `{directory}`: make some, e.g. with `{command}`."


def _maps_no_names(result: Result) -> bool:
    """Whether no gene tables were needed: of a language task whose data hold no names that are mapped."""
    return result.genes is None and result.task.kind == "language"


def without_stale(results: Iterable[Result], tasks: Iterable[Task]) -> tuple[list[Result], list[str]]:
    """Results of the tasks and data of now, and a sentence for each that is left out.

    Where some were made by other gene tables than the others, those of the current tables are taken.
    """
    known = {task.name: task.info for task in tasks}
    results = list(results)
    tables = {result.genes for result in results if not _maps_no_names(result)}
    if len(tables) > 1:
        tables = {gene_table_digest()}
    good, stale = [], []
    for result in results:
        info = known.get(result.task.name)
        if info is None:
            why = "there is no such task"
        elif info.version != result.task.version:
            why = f"it was made by version {result.task.version} of the task, which is at {info.version}"
        elif (digests := _of_manifests(result)) and digests != _digests_now(info):
            why = "it was made from other data than are known here"
        elif result.genes not in tables and not _maps_no_names(result):
            why = "its genes were mapped by other gene tables, or without any"
        else:
            good.append(result)
            continue
        stale.append(f"{result.task.name}, {result.embedding} ({result.subset}): {why}.")
    return good, stale
