"""``bftembed bench``: evaluate embeddings and models, and show what came out."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bftembed._files import make_directory, replacing
from bftembed.cli import _arguments as arg
from bftembed.errors import DataError, InputError

_NON_COMMERCIAL = re.compile(r"non-?commercial|\bNC\b", re.IGNORECASE)
_SHOWN = 20
app = typer.Typer(help="Evaluate embeddings on benchmark tasks.", no_args_is_help=True)
TasksOption = Annotated[
    list[str] | None, typer.Option("--task", "-t", help="Task or family; may be repeated. By default all.")
]
DirsOption = Annotated[
    list[Path] | None, typer.Option(help="Directory of your own tasks, DIR/<family>/task.py.", file_okay=False)
]
PresetOption = Annotated[
    list[str] | None,
    typer.Option(help="Way of asking a language model, e.g. chat, cot; may be repeated. By default the task's."),
]
FileOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=PATH", help="File of your own that a task reads, e.g. pairs_de=pairs.csv."),
]
FastOption = Annotated[bool, typer.Option("--fast", help="A small part of each task, to see that all works.")]


@app.command("list")
def list_(task: TasksOption = None, tasks_dir: DirsOption = None, preset: PresetOption = None) -> None:
    """List tasks, and the kinds of embeddings."""
    from bftembed.bench import find_tasks
    from bftembed.bench.sources.grammar import kinds

    for each in find_tasks(tasks_dir or (), names=task or (), presets=preset or ()):
        info = each.info
        mark = "" if info.ranked and not info.superseded_by else "  (not ranked)"
        print(f"{info.name:36} v{info.version}  {info.kind:12} {info.main_score:18} {info.title}{mark}")
    print("\nEmbeddings, as KIND:ARGUMENT or LABEL=KIND:ARGUMENT:")
    for kind, about in kinds().items():
        print(f"  {kind:24} {about}")


@app.command()
def run(
    embedding: Annotated[
        list[str],
        typer.Option(
            "--embedding",
            "-e",
            help="KIND:ARGUMENT or LABEL=KIND:ARGUMENT, e.g. tfidf, or model:transformers:DIR; may be repeated.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory of the results.", file_okay=False)],
    task: TasksOption = None,
    tasks_dir: DirsOption = None,
    encoder: arg.EncoderOption = "default",
    encoder_batch_size: arg.EncoderBatchOption = None,
    encoder_prompt: arg.EncoderPromptOption = None,
    encoder_prompt_name: arg.EncoderPromptNameOption = None,
    encoder_query_prompt: arg.EncoderQueryPromptOption = None,
    encoder_dtype: arg.EncoderDtypeOption = None,
    encoder_backend: arg.EncoderBackendOption = None,
    preset: PresetOption = None,
    engine_option: arg.EngineOptionsOption = None,
    judge: Annotated[str | None, typer.Option(help="Engine that judges answers, for tasks that need one.")] = None,
    file: FileOption = None,
    fast: FastOption = False,
    overwrite: Annotated[
        Literal["missing", "never", "always"], typer.Option(help="Results to compute again.")
    ] = "missing",
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Folds at a time; 0 is one per core.", min=0)] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be computed, and end.")] = False,
) -> None:
    """Evaluate embeddings and models; run again to go on after an interruption. Ends with status 1 if one failed."""
    import joblib

    from bftembed.bench import find_tasks, pending
    from bftembed.bench import run as run_tasks

    tasks = find_tasks(tasks_dir or (), names=task or (), presets=preset or ())
    made = arg.make_encoder(
        encoder,
        batch_size=encoder_batch_size,
        prompt=encoder_prompt,
        prompt_name=encoder_prompt_name,
        query_prompt=encoder_query_prompt,
        dtype=encoder_dtype,
        backend=encoder_backend,
    )
    sources = [_source(each, made, engine_option) for each in embedding]
    options: dict[str, Any] = {"fast": fast, "overwrite": overwrite, "judge": judge, "files": _files(file or [])}
    if dry_run:
        missing = pending(tasks, sources, output, **options)
        for name, label in missing:
            print(f"{name:36} {label}")
        print(f"{len(missing)} of {len(tasks) * len(embedding)} results (tasks x embeddings) would be computed")
        return
    for licence in sorted({each.info.licence for each in tasks if _NON_COMMERCIAL.search(each.info.licence)}):
        names = [each.name for each in tasks if each.info.licence == licence]
        print(f"No commercial use of the data of {', '.join(names)}: {licence}.")
    results = run_tasks(tasks, sources, output, n_jobs=jobs or joblib.cpu_count(), **options)
    for result in results:
        print(_line(result))
    failed = sum(result.status == "failed" for result in results)
    print(f"{len(results)} results in {output}" + (f", {failed} failed" if failed else ""))
    directories = [part for each in tasks_dir or () for part in ("--tasks-dir", str(each))]
    command = ["bftembed", "bench", "report", str(output), "-o", "report.html", *directories]
    print(shlex.join([*command, "--fast"] if fast else command))
    if failed:
        raise typer.Exit(1)


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(help="Directory of the results.", file_okay=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help=".html, .md or .csv.", dir_okay=False)],
    tasks_dir: DirsOption = None,
    fast: FastOption = False,
) -> None:
    """Make one page of the results: self-contained HTML, Markdown, or a table (CSV)."""
    from bftembed.bench import read_results
    from bftembed.bench.registry import all_tasks
    from bftembed.bench.report import write_report
    from bftembed.bench.results import without_stale

    results, stale = without_stale(read_results(directory, fast=fast), all_tasks(tasks_dir or ()))
    write_report(results, output, stale=stale)
    print(f"{output}: {len(results)} results" + (f", {len(stale)} out of date and left out" if stale else ""))


@app.command()
def overlap(
    corpus: Annotated[
        Path, typer.Argument(help="What `bftembed tune` reads, a directory of `corpus build`, .json, .txt or .md.")
    ],
    task: TasksOption = None,
    tasks_dir: DirsOption = None,
    results: Annotated[
        Path | None, typer.Option("--results", "-r", help="Directory of results: scores without the flagged items.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Directory for a table of all items per task (CSV).")
    ] = None,
    split: Annotated[str, typer.Option(help="Of a corpus with several.")] = "train",
    preset: PresetOption = None,
    file: FileOption = None,
    fast: FastOption = False,
) -> None:
    """How much of the questions of language tasks stands in a corpus; flagged are items of which 30 % do."""
    from bftembed.bench import find_tasks
    from bftembed.bench import overlap as overlap_of

    named = find_tasks(tasks_dir or (), names=task or (), presets=preset or ())
    tasks = [each for each in named if each.info.kind == "language"]
    if not tasks:
        msg = f"{', '.join(task or ())} asks no language model; overlap is of questions."
        raise InputError(msg)
    for each in tasks:
        found = overlap_of(corpus, each, results=results, split=split, fast=fast, files=_files(file or []))
        print(f"{each.name}: " + ", ".join(f"{n:,} {what}" for what, n in found.counts.items()))
        flagged = found.items[found.items["flagged"]]
        if len(flagged):
            print(flagged.drop(columns="flagged").head(_SHOWN).round(2).to_string())
        if len(flagged) > _SHOWN:
            print(f"and {len(flagged) - _SHOWN:,} more")
        if len(found.scores):
            print(found.scores.round(3).to_string(index=False))
        for note in found.notes:
            print(note)
        if output:
            make_directory(output)
            found.items.to_csv(output / f"{each.name}.csv")


@app.command()
def answers(
    directory: Annotated[Path, typer.Argument(help="Directory of the results.", file_okay=False)],
    task: Annotated[str, typer.Option("--task", "-t", help="Language task.")],
    embedding: Annotated[str, typer.Option("--embedding", "-e", help="Label of the model.")],
    output: Annotated[Path, typer.Option("--output", "-o", help=".jsonl, a line for each question.", dir_okay=False)],
    file: FileOption = None,
    tasks_dir: DirsOption = None,
    fast: FastOption = False,
) -> None:
    """Write what a model was asked and what it answered."""
    from bftembed.bench import find_tasks, read_answers

    one = {each.name: each for each in find_tasks(tasks_dir or (), names=[task])}
    if task not in one:
        msg = f"`{task}` is no single task; there are {', '.join(one)}."
        raise InputError(msg)
    table = read_answers(directory, one[task], embedding, fast=fast, files=_files(file or []))
    try:
        with replacing(output) as made:
            table.to_json(made, orient="records", lines=True, force_ascii=False)
    except OSError as error:
        msg = f"`{output}` cannot be written ({error}). Free space, or choose another output."
        raise DataError(msg) from error
    print(f"{output}: {len(table)} questions")


def _source(spec: str, encoder: Any, engine_options: list[str] | None) -> Any:
    from bftembed.bench import get_source

    source = get_source(spec, encoder=encoder)
    if not engine_options or not source.takes_engine_options:
        return source
    return get_source(spec, encoder=encoder, engine_options=arg.read_options(source.argument, engine_options))


def _files(given: list[str]) -> dict[str, str]:
    parts = [each.partition("=") for each in given]
    if wrong := [each for each, (name, _, path) in zip(given, parts, strict=True) if not name or not path]:
        msg = f"`{wrong[0]}` names no file; write it as NAME=PATH, e.g. `pairs=pairs.csv`."
        raise InputError(msg)
    return {name: path for name, _, path in parts}


def _line(result: Any) -> str:
    from bftembed.bench.report.controls import trouble
    from bftembed.bench.report.text import DASH

    name = f"{result.task.name:36} {result.embedding:24} {result.subset:7}"
    if result.main is None:
        return f"{name} {result.status}: {(result.reason or '').splitlines()[0][:120]}"
    main, unusable = result.main, trouble(result)
    value = "none" if main.mean is None else f"{main.mean:.3f}"
    limits = main.interval_items or main.interval_folds
    shown = f" [{limits[0]:.3f}, {limits[1]:.3f}]" if limits else ""
    return f"{name} {main.metric} {value}{shown}  {result.found} of {result.asked} found, on {result.n_items}" + (
        "" if unusable in {DASH, "none"} else f"  {unusable}"
    )
