"""What is measured of one model: values of single items, so that means and intervals can be made of them later."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.errors import InputError
from bftembed.studies.medical import medical_answers, numbers
from bftembed.studies.tuning import per_sample, read_logprobs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bftembed.bench import Asker, Problem, Task
    from bftembed.engines import TransformersEngine
    from bftembed.studies.objectives.config import GeneTasks, ObjectivesConfig
    from bftembed.studies.objectives.data import Prepared
    from bftembed.studies.tuning import Logprobs

#: Raised when what is measured changes: results of before are then not taken for those of now.
VERSION = 1
#: Of `dense_low`.
_WINDOW, _LOW, _DENSITY, _RUN = 64, 0.1, 0.2, 6
#: By the name in the report: measures of `bftembed.quality.measure_values`.
QUALITY = {
    "percentile": "masked percentile (TF-IDF)",
    "percentile, names kept": "percentile (TF-IDF)",
    "chromosome right": "chromosome right",
    "repetition": "repetition",
    "words": "n_words",
}


def measure(
    engine: TransformersEngine, prepared: Prepared, config: ObjectivesConfig, place: Path
) -> dict[str, Any] | None:
    """Values of one model.

    Parameters
    ----------
    engine
        The model.
    prepared, config
        Of the study.
    place
        For answers and texts: what was asked before a kill is not asked again.

    Returns
    -------
    JSON values: of each file sums by sample, ``nll``, ``tokens``, ``probability``, ``windows`` and ``dense``; of
    medical questions ``right`` and log-probabilities ``gold`` and ``among`` (the options); of profiles one number per
    gene and measure. None if the model gives log-probabilities that are no numbers.
    """
    from bftembed.bench import Asker
    from bftembed.engines import AnswerStore

    options: dict[str, Any] = {"max_length": config.recipe.max_length, "batch_size": config.recipe.reading.batch_size}
    files = {"validation": prepared.validation, **prepared.sets}
    read = {name: read_logprobs(engine, path, **options) for name, path in files.items()}
    if not all(np.isfinite(each.logprobs).all() for each in read.values()):
        return None
    found: dict[str, Any] = {"sets": {}}
    for name, each in read.items():
        sums = {**per_sample(each), **dense_low(each)}
        found["sets"][name] = {key: values.tolist() for key, values in sums.items()}
    place.mkdir(parents=True, exist_ok=True)
    with AnswerStore(place / "answers.sqlite") as store:
        asker = Asker(engine, store)
        if config.medical:
            found["medical"] = medical_answers(asker, config.medical)
        if config.profiles:
            found["profiles"] = {
                name: profile_values(asker, genes, config.profiles.max_new_tokens)
                for name, genes in prepared.genes.items()
            }
    if config.gene_tasks:
        found["gene tasks"] = _gene_tasks(engine, config.gene_tasks, place)
    return found


def dense_low(read: Logprobs) -> dict[str, NDArray[np.int64]]:
    """Windows of each sample, and those that are dense in tokens of low confidence.

    By the defaults of `bftembed diagnose`, in windows of 64 tokens: at least 20 % below a probability of 0.1, six of
    them in a row.

    Examples
    --------
    >>> from bftembed.studies.objectives.measures import dense_low
    >>> from bftembed.studies.tuning import Logprobs
    >>> found = dense_low(Logprobs(np.log(np.repeat(np.float32([0.9, 0.01]), [70, 10])), np.array([70, 10])))
    >>> found["windows"].tolist(), found["dense"].tolist()
    ([2, 1], [0, 1])
    """
    from bftembed.tune.diagnosis.windows import longest_runs, window_bounds

    counts = []
    for sample in np.split(np.exp(read.logprobs.astype(np.float64)), np.cumsum(read.lengths)[:-1]):
        begins, size = window_bounds(len(sample), _WINDOW, _WINDOW // 4)
        low = np.lib.stride_tricks.sliding_window_view(sample < _LOW, size)[begins]
        counts.append((len(begins), int(((low.mean(1) >= _DENSITY) & (longest_runs(low) >= _RUN)).sum())))
    windows, dense = np.array(counts, dtype=np.int64).T
    return {"windows": windows, "dense": dense}


def profile_values(asker: Asker, genes: Sequence[str], max_new_tokens: int) -> dict[str, Any]:
    """Texts asked for by the bare symbol, and how close each is to its gene's own annotation."""
    import pandas as pd

    from bftembed.bench import ProfileQuality
    from bftembed.profiles import Entity, clean
    from bftembed.quality import check_texts, gene_annotations, measure_values

    problem = ProfileQuality([Entity("gene", gene) for gene in genes], max_new_tokens=max_new_tokens)
    answers = asker.answer(problem.questions(), sampling=problem.sampling)
    told = [answers[question.request.id] for question in problem.questions()]
    texts = [clean(each.text, finish_reason="length" if each.status == "cut" else "stop").text for each in told]
    names = [item.id for item in problem.items]
    values = measure_values(check_texts(pd.DataFrame({"gene": names, "text": texts})))
    annotations = gene_annotations()
    measured = {name: numbers(values[measure].to_numpy(dtype=float)) for name, measure in QUALITY.items()}
    closeness = numbers(own_against_others([annotations.get(gene, "") for gene in names], texts))
    return {"genes": names, **measured, "ROUGE-L over others": closeness, "texts": texts}


def own_against_others(annotations: Sequence[str], texts: Sequence[str]) -> Any:
    """ROUGE-L (F) of each text with its own annotation, less the mean of it with the others'.

    Parameters
    ----------
    annotations, texts
        (n,) each, n above 1.

    Returns
    -------
    (n,) float64: zero of a text that fits all alike, NaN where there is no annotation.

    Examples
    --------
    >>> from bftembed.studies.objectives.measures import own_against_others
    >>> own_against_others(["a kinase", "an ion channel"], ["the kinase", "the gene"]).round(2).tolist()
    [0.5, 0.0]
    """
    from bftembed.bench.scoring.rouge import rouge

    known = np.array([bool(annotation) for annotation in annotations])
    golds = [annotation for annotation in annotations if annotation]
    found = np.full(len(texts), math.nan)
    for place in np.flatnonzero(known).tolist():
        scores = rouge(golds, [texts[place]] * len(golds))["rouge-l"]
        own = int(known[:place].sum())
        found[place] = scores[own] - np.delete(scores, own).mean() if len(golds) > 1 else math.nan
    return found


def gene_problems(tasks: GeneTasks) -> list[tuple[Task, Problem]]:
    """The benchmarks by their tasks.

    Raises
    ------
    InputError
        If there is no such task, or it is not about genes.
    DataError
        If its data are missing.
    """
    from bftembed.bench import Problem, find_tasks

    found = []
    for task in find_tasks(names=tasks.tasks):
        problem = task.load(False) if task.info.kind == "gene" else None
        if not isinstance(problem, Problem):
            msg = f"`{task.name}` is not about genes; name others in `gene_tasks.tasks`, as `gene_property.dosage`."
            raise InputError(msg)
        found.append((task, problem))
    return found


def _gene_tasks(engine: TransformersEngine, tasks: GeneTasks, place: Path) -> dict[str, float | None]:
    """Main scores of embeddings of the profiles that the model writes of all genes of some tasks."""
    from bftembed.bench import run
    from bftembed.engines import Sampling
    from bftembed.entities import gene_entities
    from bftembed.profiles import ProfileStore, write_profiles

    found = gene_problems(tasks)
    genes = sorted({gene for _, problem in found for gene in problem.entities})
    entities, _ = gene_entities(genes, facts="none")
    with ProfileStore(place / "profiles.sqlite") as store:
        write_profiles(entities, engine, store=store, sampling=Sampling(max_new_tokens=tasks.max_new_tokens))
    results = run([task for task, _ in found], [f"tuned=profiles:{place / 'profiles.sqlite'}"], place / "gene-tasks")
    return {result.task.name: None if result.main is None else result.main.mean for result in results}
