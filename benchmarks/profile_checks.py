"""How often `bftembed profiles check` is wrong about texts that people wrote, and how often it sees a wrong one.

Usage: python benchmarks/profile_checks.py

RefSeq summaries of all genes are true texts. What is called wrong in them is a false alarm (of families: by names and
functions alone, the summary itself left out of the tables; of symbols: each summary's own annotation left out). What is
called right of the summaries of other genes is chance. Invented symbols are known ones with their letters shuffled.
"""

from __future__ import annotations

import random

import numpy as np
import pandas as pd

from bftembed.quality.families import Evidence, family_evidence, stated_family, supports
from bftembed.quality.form import is_refusal, repetition
from bftembed.quality.known import Known, known_genes
from bftembed.quality.statements import STATEMENTS, statements
from bftembed.quality.symbols import unknown_symbols


def main() -> None:
    """Print a table in Markdown."""
    known = known_genes()
    rows = known.facts.frame.query("summary != ''")
    genes, texts = rows["symbol"].tolist(), rows["summary"].tolist()
    order = np.random.default_rng(0).permutation(len(genes))
    others = [""] * len(genes)
    for at, after in zip(order, np.roll(order, 1), strict=True):
        others[at] = texts[after]
    print(f"{len(genes):,} RefSeq summaries\n\n| | stated | right of stated | of another gene's |\n|---|---|---|---|")
    own, other = (
        pd.DataFrame([statements(text, gene, known) for text, gene in zip(said, genes, strict=True)])
        for said in (texts, others)
    )
    for name in STATEMENTS[:3]:
        stated = [int((frame[name] != "absent").sum()) for frame in (own, other)]
        right = [int((frame[name] == "right").sum()) for frame in (own, other)]
        chance = f"{right[1] / stated[1]:.3f} of {stated[1]:,}" if stated[1] else "none stated"
        print(f"| {name.replace('_', ' ')} | {stated[0]:,} | {right[0] / stated[0]:.3f} | {chance} |")
    _families(genes, texts, others, known)
    found = unknown_symbols(texts, known, own=genes)
    print(f"\ntexts with unknown symbols: {np.mean(list(map(bool, found))):.4f}, {sum(map(len, found))} symbols")
    invented = _invented(known)
    seen = sum(map(bool, unknown_symbols([f"It binds {name} in cells." for name in invented], known)))
    print(f"invented symbols that are seen: {seen / len(invented):.3f} of {len(invented):,}")
    print(f"refusals: {sum(map(is_refusal, texts))}; mean repetition {np.mean(list(map(repetition, texts))):.4f}")


def _families(genes: list[str], texts: list[str], others: list[str], known: Known) -> None:
    for kind in ("family", "class"):
        counts = []
        for said in (texts, others):
            stated = [(gene, stated_family(text, gene)) for gene, text in zip(genes, said, strict=True)]
            told = [
                supports(_without_summary(gene, known), family)
                for gene, family in stated
                if family and family[0] == kind
            ]
            counts.append(told)
        own, other = counts
        print(f"| {kind} | {len(own):,} | {np.mean(own):.3f} | {np.mean(other):.3f} of {len(other):,} |")


def _without_summary(gene: str, known: Known) -> Evidence:
    facts = {name: text for name, text in known.of(gene).items() if name != "summary"}
    return family_evidence(facts, known.full_names.get(gene, ()), known.symbols.get(gene, ()))


def _invented(known: Known, n: int = 2000) -> list[str]:
    draw = random.Random(0)
    approved = known.table.rows.query("tier == 'approved'")["name"]
    symbols = [
        name for name in approved.sample(n, random_state=0) if name.isalnum() and name.isupper() and len(name) > 3
    ]
    return ["".join(draw.sample(name, len(name))) for name in symbols]


if __name__ == "__main__":
    main()
