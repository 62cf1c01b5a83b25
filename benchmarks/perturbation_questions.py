"""What stands beside a language model's answers on perturbations without one being asked, as tables in Markdown.

Baselines of `tasks/perturbation_reasoning` with their intervals (pigeonhole bootstrap over genes and perturbations),
and how many pairs are asked. Half a minute of processor time.

Run ``python benchmarks/perturbation_questions.py``.
"""

from __future__ import annotations

from bftembed.bench import find_tasks
from bftembed.bench.language.perturbations.controls import controls


def told(score) -> str:
    """The score and its interval."""
    low, high = score.describe()["interval_items"] or (None, None)
    return f"{score.mean:.3f}" if low is None else f"{score.mean:.3f} [{low:.2f}, {high:.2f}]"


def main() -> None:
    tasks = find_tasks(names=["perturbation_reasoning"])
    rows: dict[str, list[str]] = {}
    for task in tasks:
        problem = task.load(False)
        counts = [len(problem.items), len(problem.sample.readouts), int(problem.sample.balanced.sum())]
        for name, n in zip(("pairs asked", "genes", "balanced pairs"), counts, strict=True):
            rows.setdefault(name, []).append(str(n))
        for score in controls(problem.evidence, problem.asked, problem.test, problem.sample):
            rows.setdefault(f"{score.method}: {score.metric}", []).append(told(score))
    print("| |", " | ".join(task.name.partition(".")[2] for task in tasks), "|")
    print("|---" * (len(tasks) + 1) + "|")
    for name, values in rows.items():
        print(f"| {name} |", " | ".join(values), "|")


if __name__ == "__main__":
    main()
