"""Control rows of process naming on all sets, and what GPT-4 answered in 2023, by the metrics of here.

python benchmarks/process_naming.py [TASK ...]     with the data fetched; no language model is run
"""

from __future__ import annotations

import sys

from bftembed import data
from bftembed.bench import Answer, find_tasks
from bftembed.encoders import get_encoder

SHOWN = {
    "percentile": "percentile",
    "percentile >= 0.95": ">= .95",
    "exact match": "exact",
    "cosine": "cosine",
    "rouge-1": "ROUGE-1",
    "rouge-2": "ROUGE-2",
    "rouge-l": "ROUGE-L",
}
GPT4 = {"real": "default", "half replaced": "50perc_contaminated", "all replaced": "100perc_contaminated"}


def gpt4_answers(problem):
    """Answers to the contaminated sets, put as our prompt asks for them."""
    table = data.load("llmeval_gene_sets", "gpt4").set_index("GO")
    answers = {}
    for item in problem.items:
        said = [table.loc[item.group, f"gpt_4_{GPT4[item.stratum]} {what}"] for what in ("Name", "Score")]
        answers[item.id] = Answer(item.id, text="Process: {}\nConfidence: {}".format(*said))
    return answers


def show(scores):
    """Print a row per method."""
    for method in dict.fromkeys(score.method for score in scores):
        values = {score.metric: score.describe() for score in scores if score.method == method}
        for metric, value in values.items():
            low, high = value["interval_items"] or (float("nan"), float("nan"))
            print(f"{method} | {SHOWN.get(metric, metric)} | {value['mean']:.3f} | {low:.3f} to {high:.3f}", flush=True)


def main(names):
    for task in find_tasks(names=names or ["process_naming"]):
        if task.info.files:
            continue
        problem = task.load(False)
        is_contaminated = task.name.endswith("contaminated")
        print(f"\n{task.name}: {len(problem.items)} items, {problem.removed or 'none removed'}", flush=True)
        nothing = {question.request.id: Answer(question.request.id, "too_long") for question in problem.questions()}
        answers = gpt4_answers(problem) if is_contaminated else nothing
        found = problem.evaluate(answers, encoder=get_encoder("default"))
        show(
            [*(found.scores if is_contaminated else []), *(row for row in found.baselines if "prior" not in row.method)]
        )
        print(*found.notes, found.counts, sep="\n", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
