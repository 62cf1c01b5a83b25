"""Do profiles of a tuned model tell more of a gene than those of the model as it is?

Profiles of every gene of the dosage and bivalent tasks, by the embedded model as it is and by the adapters that are
given, asked by the bare name and with facts in the prompt; encoded, scored, and compared with RefSeq summaries, the
symbol alone as a text, and random vectors by the paired tests of the benchmark.

    python benchmarks/tuned_profiles.py --output DIR --adapters sft=RUN/long-sft dft=RUN/long-dft bft=RUN/long-bft

Adapters are what `bftembed tune` or `benchmarks/real_training.py` leaves. Texts and results are kept in DIR; the same
command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bftembed.bench import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from bftembed.bench import Task
    from bftembed.bench.report.comparisons import Pair
    from bftembed.bench.results import Result

TASKS = ("gene_property.dosage", "gene_property.bivalent_no_methyl", "gene_property.bivalent_lys4")
PROMPTS = {"name": "none", "facts": "auto"}


class Symbols(Source):
    """The symbol itself, encoded: what a text says by naming its gene, whatever else stands in it."""

    def describe(self) -> dict[str, Any]:
        from bftembed.encoders import get_encoder

        return {"spec": self.spec, "encoder": get_encoder("default").describe()}

    def genes(self, names: Sequence[str]) -> NDArray[np.float32]:
        from bftembed.encoders import encode_cached, get_encoder

        return encode_cached(names, get_encoder("default"))[0]


CONTROLS = ("text:refseq", "random", Symbols(label="symbol"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--adapters", nargs="*", default=[], help="LABEL=DIRECTORY of a LoRA adapter each")
    parser.add_argument("--tokens", type=int, default=48, help="of a text, at most")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--every", type=int, default=1, help="take one gene in so many, to try it")
    options = parser.parse_args()

    from bftembed.bench import find_tasks, read_results, run

    tasks = find_tasks(names=TASKS)
    genes = sorted({gene for task in tasks for gene in task.load(False).entities})[:: options.every]
    models = {"base": None, **dict(adapter.split("=", 1) for adapter in options.adapters)}
    labels = []
    for prompt, facts in PROMPTS.items():
        for model, adapter in models.items():
            store = options.output / f"{model}-{prompt}.sqlite"
            write(store, genes, adapter, facts, options)
            labels.append(f"{model} {prompt}=profiles:{store}")
            run(tasks, [*labels, *CONTROLS], options.output / "results", n_jobs=2)
            (options.output / "report.md").write_text(
                report(tasks, read_results(options.output / "results"), len(genes))
            )


def write(path: Path, genes: Sequence[str], adapter: str | None, facts: str, options: argparse.Namespace) -> None:
    """Have the missing texts written."""
    from bftembed.engines import Sampling
    from bftembed.engines.transformers import TransformersEngine
    from bftembed.entities import gene_entities
    from bftembed.profiles import ProfileStore, write_profiles

    engine = TransformersEngine("default", adapter=adapter, batch_size=options.batch)
    entities, _ = gene_entities(genes, facts=facts)
    path.parent.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()
    with ProfileStore(path) as store:
        written = write_profiles(entities, engine, store=store, sampling=Sampling(max_new_tokens=options.tokens))
    print(f"{path.stem}: {written.counts}, {time.perf_counter() - begin:.0f} s", flush=True)


def report(tasks: Sequence[Task], results: Sequence[Result], n_genes: int) -> str:
    """Scores on the genes that all have, and each tuned model against the others."""
    from bftembed.bench.report.index import Index
    from bftembed.bench.report.tables import collect

    index = Index(results)
    same = {task.name: index.same_items(task.name) for task in tasks}
    tables = collect([result for found in same.values() for result in found.values()], timings=False)
    text = f"{n_genes} genes; linear probe, AUROC [95 % interval over genes]; on the genes that all have.\n\n"
    text += "| | " + " | ".join(task.name.partition(".")[2] for task in tasks) + " |\n" + "|---" * (len(tasks) + 1)
    text += "|\n"
    for name in tables.embeddings:
        cells = []
        for task in tasks:
            result = same[task.name].get(name)
            main = result.main if result else None
            low, high = (main.interval_items if main else None) or (float("nan"), float("nan"))
            cells.append(f"{main.mean:.3f} [{low:.3f}, {high:.3f}]" if main and main.mean is not None else "none")
        text += f"| {name} | " + " | ".join(cells) + " |\n"
    text += "\nFirst minus second; corrected resampled t-test, p adjusted (Holm) over the tasks of a pair.\n\n"
    text += "| first | second | task | difference [95 % interval] | adjusted p |\n|---|---|---|---|---|\n"
    for pair in tables.pairs:
        if _is_asked(pair):
            for row in pair.rows:
                mean, low, high, _ = row.difference
                task = row.info.name.partition(".")[2]
                text += f"| {pair.first} | {pair.second} | {task} | {mean:+.3f} [{low:+.3f}, {high:+.3f}] | "
                text += f"{row.adjusted:.3f} |\n"
    return text


def _is_asked(pair: Pair) -> bool:
    """Models under one prompt, one model under both prompts, and everything against the controls."""
    first, second = pair.first.split(" "), pair.second.split(" ")
    return len(first) != len(second) or any(a == b for a, b in zip(first, second, strict=True))


if __name__ == "__main__":
    main()
