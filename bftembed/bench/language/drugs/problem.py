"""What drugs do to genes, asked on data of the user: pairs or cells, with what is known of the drugs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bftembed import datasets
from bftembed.bench.language.drugs.effects import drug_effects
from bftembed.bench.language.drugs.files import read_descriptions, read_likeness
from bftembed.bench.language.drugs.pairs import check_controls, check_drugs, held_out_drugs, read_pairs, with_split
from bftembed.bench.language.perturbations.evidence import alike_by_words
from bftembed.bench.language.perturbations.gene_texts import gene_documents, gene_summaries
from bftembed.bench.language.perturbations.pairs import checked_pairs
from bftembed.bench.language.perturbations.problem import PerturbationReasoning
from bftembed.entities import drug_names
from bftembed.errors import DataError
from bftembed.likeness import drug_words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from bftembed.bench.language.perturbations.evidence import Alike
    from bftembed.bench.language.perturbations.prompts import Effect
    from bftembed.bench.language.perturbations.questions import Preset

_TOLD = ("mechanism of action", "targets")
_DECIMALS = 6  # beyond are the last bits of float32


def drug_reasoning(
    effect: Effect,
    *,
    pairs: Path | None = None,
    h5ad: Path | None = None,
    held_out: Path | None = None,
    drug_descriptions: Path | None = None,
    gene_descriptions: Path | None = None,
    drug_similarity: Path | None = None,
    gene_similarity: Path | None = None,
    preset: Preset = "described",
    fast: bool = False,
) -> PerturbationReasoning:
    """Questions on drugs and genes, of files.

    Parameters
    ----------
    effect
        ``"de"``: does the drug change the gene; ``"dir"``: does a gene that it changes go up (label 1) or down.
    pairs
        Table of pairs with answers to this question, see `read_pairs` and `checked_pairs`; ``split`` may be left out.
    h5ad
        Cells, in place of `pairs`, see `drug_effects`.
    held_out
        Names of drugs, or of cell lines, a line each, that are the test, whatever `pairs` say. By default what `pairs`
        say, or a fifth of the drugs, see `held_out_drugs`.
    drug_descriptions, gene_descriptions
        Texts by name, see `read_descriptions`; by default mechanism and targets of the Drug Repurposing Hub, by any of
        the drug's names (`bftembed.entities.drug_names`), and RefSeq summaries.
    drug_similarity, gene_similarity
        See `read_likeness`; by default by the words of the descriptions, or of all that the tables say.
    preset, fast
        See `PerturbationReasoning`.

    Raises
    ------
    DataError
        If there are neither pairs nor cells, or both, or what is in the files cannot be asked.
    InputError
        If a table is needed that is not on this machine.
    """
    rows, removed = _rows(effect, pairs, h5ad)
    check_controls(rows)
    if held_out is not None or "split" not in rows:
        rows = with_split(rows, held_out_drugs(rows["pert"]) if held_out is None else _names(held_out))
    checked_pairs(rows)
    check_drugs(rows)
    kept = {"held_out.txt": _held_out_text(rows)}
    if pairs is None:
        changed = rows[rows["label"] == 1] if effect == "dir" else rows
        rows = changed.assign(label=changed["up" if effect == "dir" else "label"].astype(int)).drop(columns="up")
        kept["pairs.csv"] = rows.to_csv(index=False, lineterminator="\n")
    drugs, genes = (sorted(set(rows[name])) for name in ("pert", "gene"))
    if drug_descriptions is None:
        known = _known_names(drugs)
        drug_texts, drugs_alike = _facts_of(known), _alike_by_table(known)
    else:
        drug_texts = read_descriptions(drug_descriptions)
        drugs_alike = alike_by_words({name: drug_texts[name] for name in drugs if name in drug_texts})
    if gene_descriptions is None:
        gene_texts, genes_alike = gene_summaries(genes), alike_by_words(gene_documents(genes))
    else:
        gene_texts = read_descriptions(gene_descriptions)
        genes_alike = alike_by_words({name: gene_texts[name] for name in genes if name in gene_texts})
    problem = PerturbationReasoning(
        rows,
        mode=effect,
        perturbation="drug",
        pert_texts=drug_texts,
        gene_texts=gene_texts,
        alike=drugs_alike if drug_similarity is None else read_likeness(drug_similarity),
        genes_alike=genes_alike if gene_similarity is None else read_likeness(gene_similarity),
        removed=removed,
        preset=preset,
        fast=fast,
    )
    problem.kept = kept
    return problem


def _rows(effect: Effect, pairs: Path | None, h5ad: Path | None) -> tuple[pd.DataFrame, dict[str, int]]:
    if pairs is not None and h5ad is None:
        return read_pairs(pairs), {}
    if h5ad is not None and pairs is None:
        return drug_effects(h5ad)
    ways = f"`--file pairs_{effect}=TABLE` or `--file h5ad=CELLS`"
    msg = f"This asks about drugs and genes of yours, from a table of pairs or from cells: give {ways}, not both."
    raise DataError(msg)


def _names(path: Path) -> list[str]:
    return [
        name for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines() if (name := line.strip())
    ]


def _held_out_text(rows: pd.DataFrame) -> str:
    """Names of what is tested and does not train: drugs, or else cell lines."""
    train, test = (rows[rows["split"] == split] for split in ("train", "test"))
    column = "cell" if set(train["pert"]) & set(test["pert"]) else "pert"
    return "".join(f"{name}\n" for name in sorted(set(test[column])))


def _known_names(drugs: Sequence[str]) -> dict[str, str]:
    """The name by which the table knows a drug, of those that it knows."""
    facts = datasets.required(datasets.drug_facts(), "broad_repurposing")
    found = {drug: next((name for name in drug_names(drug) if facts.get(name)), "") for drug in drugs}
    return {drug: name for drug, name in found.items() if name}


def _facts_of(known: dict[str, str]) -> dict[str, str]:
    facts = datasets.required(datasets.drug_facts(), "broad_repurposing")
    texts = {
        drug: "; ".join(f"{what}: {facts[name][what]}" for what in _TOLD if what in facts[name])
        for drug, name in known.items()
    }
    return {drug: f"{text[0].upper()}{text[1:]}." for drug, text in texts.items() if text}


def _alike_by_table(known: dict[str, str]) -> Alike:
    def alike(names: Sequence[str], others: Sequence[str]) -> NDArray[np.float64]:
        one, two = (drug_words([known.get(name, "") for name in each]) for each in (names, others))
        return np.asarray((one @ two.T).toarray(), dtype=np.float64).round(_DECIMALS)

    return alike
