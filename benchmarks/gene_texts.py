"""Which texts of genes tell most of them? The tables one by one, and together, on the same genes.

A text is the symbol and the facts of some tables, rendered by the annotation template, as `bft.embed(engine=
"annotation")` renders all of them; the default encoder encodes it. Beside the texts stand the bare symbol and random
vectors of the same genes.

Rules, set before any score was seen. Genes: those of which every table has something, so that all texts are scored on
equal items: all of the small tasks (`WHOLE`), and of the others the first `--genes` by a hash of the symbol. Probe: the
linear one of the benchmark with its folds, intervals and paired tests. No text is chosen by this table: the default of
`bft.embed("human")` is everything but the tissues, whatever it says; where one table alone is better than all of them
on the mean over tasks without a flag, the report says so. `SHARED` flags texts that share their source with a
task's labels.

    python benchmarks/gene_texts.py --output DIR

Vectors are kept in the cache and results in DIR; the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.bench import Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bftembed.bench import Result, Task
    from bftembed.genes import GeneFacts

_GO = ("biological_process", "cellular_component", "molecular_function")
_ALL = ("full_name", "locus", "gene_type", "summary", *_GO)
TEXTS: dict[str, tuple[str, ...]] = {
    "symbol": (),
    "full name": ("full_name",),
    "tissues": ("tissues",),
    "RefSeq": ("summary",),
    "GO": _GO,
    "RefSeq + GO": ("summary", *_GO),
    "annotation": _ALL,
    "annotation + tissues": (*_ALL, "tissues"),
}
WHOLE = (
    "gene_property.bivalent_no_methyl",
    "gene_property.bivalent_lys4",
    "gene_property.dosage",
    "gene_property.tf_range",
    "gene_property.tf",
)
TASKS = (
    *WHOLE,
    "gene_property.location",
    "gene_property.kinases",
    "gene_property.constraint",
    "gene_property.go_terms",
    "gene_interaction.gene2vec",
    "gene_interaction.trrust",
)
#: Facts that share their source with the labels of a task: see the traps of the tasks.
SHARED = {
    "gene_property.go_terms": _GO,
    "gene_interaction.gene2vec": _GO,
    "gene_property.location": ("summary", "cellular_component"),
    "gene_property.kinases": ("full_name", "summary", "molecular_function"),
    "gene_property.tf": ("full_name", "summary", "molecular_function"),
}


class FactTexts(Source):
    """Encoded facts of the chosen genes: the symbol and those of `TEXTS` that the argument names."""

    def __init__(self, text: str, genes: frozenset[str]) -> None:
        super().__init__(text, label=text)
        self.chosen = genes

    def describe(self) -> dict[str, Any]:
        from bftembed.encoders import get_encoder

        return {
            "facts": list(TEXTS[self.argument]),
            "digest": known_facts().digest,
            "genes": len(self.chosen),
            "encoder": get_encoder("default").describe(),
        }

    def genes(self, names: Sequence[str]) -> NDArray[np.float32]:
        from bftembed.encoders import encode_cached, get_encoder

        chosen = np.array([name in self.chosen for name in names])
        texts = [text_of(name, TEXTS[self.argument]) for name in names if name in self.chosen]
        vectors, _ = encode_cached(texts, get_encoder("default"))
        found = np.full((len(names), vectors.shape[1]), np.nan, dtype=np.float32)
        found[chosen] = vectors
        return found


class RandomOf(Source):
    """Random vectors of the chosen genes."""

    def __init__(self, genes: frozenset[str]) -> None:
        super().__init__(label="random vectors")
        self.chosen = genes

    def describe(self) -> dict[str, Any]:
        return {"spec": "random", "genes": len(self.chosen)}

    def genes(self, names: Sequence[str]) -> NDArray[np.float32]:
        from bftembed.bench import get_source

        found = get_source("random").genes(names)
        found[[name not in self.chosen for name in names]] = np.nan
        return found


@cache
def known_facts() -> GeneFacts:
    from bftembed.datasets import gene_facts

    facts = gene_facts(tissues=True)
    if facts is None:
        msg = "Run `bftembed data fetch genes` first."
        raise SystemExit(msg)
    return facts


def text_of(gene: str, facts: Sequence[str]) -> str:
    """The symbol and these facts as the annotation template has them; the bare symbol without facts."""
    from bftembed.profiles import Entity
    from bftembed.profiles.template import load_template

    known = known_facts().of(gene)
    kept = {name: known[name] for name in facts if name in known}
    return load_template("annotation").render(Entity("gene", gene, kept)).user if kept else gene


def chosen_genes(tasks: Sequence[Task], n: int) -> frozenset[str]:
    """Genes of which every table has something: all of the small tasks, and `n` of the others."""
    from bftembed.bench import few_names

    frame = known_facts().frame
    complete = (frame[["full_name", "summary", "tissues"]] != "").all(axis=1) & (frame[list(_GO)] != "").any(axis=1)
    told = set(frame.loc[complete, "symbol"])
    small = {gene for task in tasks if task.name in WHOLE for gene in task.load(False).entities}
    return frozenset((told & small) | set(few_names(told - small, n)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--genes", type=int, default=600, help="genes beside those of the small tasks")
    options = parser.parse_args()

    from bftembed.bench import find_tasks, read_results, run

    by_name = {task.name: task for task in find_tasks(names=TASKS)}
    tasks = [by_name[name] for name in TASKS]
    genes = chosen_genes(tasks, options.genes)
    sources = [*(FactTexts(text, genes) for text in TEXTS), RandomOf(genes)]
    for task in tasks:
        run([task], sources, options.output)
        text = report(read_results(options.output), len(genes))
        (options.output / "report.md").write_text(text, encoding="utf-8")
    print(text)


def report(results: Sequence[Result], n_genes: int) -> str:
    """Main score by task and text, a star at texts that share their source with the labels, and their means."""
    own = {(result.task.name, result.embedding): result for result in results if result.subset == "own"}
    tasks = [name for name in TASKS if any(task == name for task, _ in own)]
    columns = [*TEXTS, "random vectors"]
    lines = [f"{n_genes:,} genes; main score of each task, linear probe; * shares its source with the labels.", ""]
    lines += [f"| task | items | {' | '.join(columns)} | interval of annotation |", "|---" * (len(columns) + 3) + "|"]
    scores = np.full((len(tasks), len(columns)), np.nan)
    for row, task in enumerate(tasks):
        told = [own.get((task, text)) for text in columns]
        scores[row] = [np.nan if result is None or result.main is None else result.main.mean for result in told]
        flags = [bool(set(SHARED.get(task, ())) & set(TEXTS.get(text, ()))) for text in columns]
        cells = [f"{score:.3f}{' *' * flag}" for score, flag in zip(scores[row], flags, strict=True)]
        n_items = max(result.n_items for result in told if result is not None)
        lines.append(f"| {task.partition('.')[2]} | {n_items:,} | {' | '.join(cells)} | {interval(own, task)} |")
    plain = [row for row, task in enumerate(tasks) if task not in SHARED]
    means = " | ".join(f"{mean:.3f}" for mean in scores[plain].mean(axis=0))
    lines.append(f"| mean of the tasks without * | | {means} | |")
    return "\n".join(lines) + "\n"


def interval(own: Mapping[tuple[str, str], Result], task: str) -> str:
    """95 % interval over items of the annotation's score."""
    result = own.get((task, "annotation"))
    low, high = (result.main.interval_items if result and result.main else None) or (np.nan, np.nan)
    return f"{low:.3f} to {high:.3f}"


if __name__ == "__main__":
    main()
