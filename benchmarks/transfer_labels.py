"""Labels of cells from other cells in the space of gene vectors: do texts add to expression?

    python benchmarks/transfer_labels.py --output DIR

Gene vectors: annotation (RefSeq, GO, full names; no language model) through the default encoder; random vectors of the
same genes (three draws); no vectors at all (cosine of centred expression of the shared genes). Cells:

- symphony_pbmc, each of its three technologies held out, labelled from the other two (nine types);
- symphony_pbmc for bremsc_pbmc and the other way round (six types that both have, cells of other types left out).

Score: mean recall of the labels, by 15 neighbours. Intervals: 95 %, percentiles of 2,000 draws of query cells, drawn
within each label; of differences the same draws for both. Rules, written before any score was seen: of the ways to say
what is usual (`own`, `own` with batches of the reference apart, `ref`), in this order, the first within 0.01 of the
best mean over the three technologies by texts is taken for all that follows. Texts are said to add something in a
design if the interval of texts minus the mean of random vectors lies above 0.

One process, one thread. Prints a line for each, and writes them to DIR/results.csv.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

import bftembed as bft

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anndata import AnnData

N_DRAWS, N_RANDOM, N_NEIGHBORS, TOLERANCE = 2000, 3, 15, 0.01
WAYS: dict[str, dict[str, Any]] = {
    "own": {"reference": "own"},
    "own, batches apart": {"reference": "own", "batch_key": "batch"},
    "ref": {"reference": "ref"},
}
#: Types of BREM-SC by those of Symphony.
TYPES = {
    "T_CD4": "CD4+ T cells",
    "T_CD8": "CD8+ T cells",
    "NK": "NK cells",
    "Mono_CD14": "CD14+ monocytes",
    "B": "B cells",
    "Mono_CD16": "CD16+ monocytes",
}


def prepared() -> tuple[AnnData, AnnData]:
    """Both data sets, log-normalised, BREM-SC with the genes of Symphony, with vectors of genes."""
    import scanpy as sc

    first, second = bft.datasets.symphony_pbmc(), bft.datasets.bremsc_pbmc()
    sc.pp.normalize_total(second, target_sum=1e4)
    sc.pp.log1p(second)
    second = second[:, second.var_names.isin(first.var_names)].copy()
    second.obs["batch"] = "one"
    for adata in (first, second):
        bft.tl.embed_genes(adata, engine="annotation", progress=False)
        rng = np.random.default_rng(0)
        for i in range(N_RANDOM):
            known = np.isfinite(adata.varm["X_bft"]).all(axis=1)
            drawn = rng.standard_normal(adata.varm["X_bft"].shape).astype(np.float32)
            adata.varm[f"random {i + 1}"] = np.where(known[:, None], drawn, np.float32(np.nan))
    return first, second


def designs(symphony: AnnData, bremsc: AnnData) -> Iterator[tuple[str, AnnData, AnnData]]:
    """Name, reference, query."""
    for batch in sorted(symphony.obs["batch"].unique()):
        held = (symphony.obs["batch"] == batch).to_numpy()
        yield f"symphony, {batch} held out", symphony[~held].copy(), symphony[held].copy()
    shared = symphony[symphony.obs["cell_type"].isin(TYPES)].copy()
    shared.obs["cell_type"] = shared.obs["cell_type"].astype(str).map(TYPES)
    known = bremsc[bremsc.obs["cell_type"].notna()].copy()
    yield "symphony for bremsc", shared, known
    yield "bremsc for symphony", known, shared


def called(ref: AnnData, query: AnnData, use_rep: str, way: str) -> np.ndarray:
    """Labels of the cells of the query."""
    options = dict(WAYS[way])
    if ref.obs["batch"].nunique() < 2:
        options.pop("batch_key", None)
    found = query.copy()
    bft.tl.transfer_labels(ref, found, "cell_type", use_rep=use_rep, n_neighbors=N_NEIGHBORS, n_controls=1, **options)
    return found.obs["bft_label"].to_numpy(dtype=str)


def without_vectors(ref: AnnData, query: AnnData) -> np.ndarray:
    """The same vote by the cosine of expression less the mean of its data set."""
    from sklearn.neighbors import KNeighborsClassifier

    shared = ref.var_names.intersection(query.var_names)
    x, y = (each[:, shared].X.toarray() for each in (ref, query))
    voting = KNeighborsClassifier(N_NEIGHBORS, metric="cosine", algorithm="brute")
    voting.fit(x - x.mean(axis=0), ref.obs["cell_type"].to_numpy(dtype=str))
    return np.asarray(voting.predict(y - y.mean(axis=0)))


def draws(truth: np.ndarray) -> np.ndarray:
    """Weights (N_DRAWS, n_cells): how often each cell is drawn, within its label."""
    rng = np.random.default_rng(0)
    weights = np.zeros((N_DRAWS, len(truth)), dtype=np.float64)
    for label in np.unique(truth):
        cells = np.flatnonzero(truth == label)
        weights[:, cells] = rng.multinomial(len(cells), np.full(len(cells), 1 / len(cells)), size=N_DRAWS)
    return weights


def recalls(truth: np.ndarray, right: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean recall of the labels: of all cells first, then of each draw."""
    every = np.vstack([np.ones(len(truth)), weights])
    of_labels = [
        every[:, truth == label] @ right[truth == label] / (truth == label).sum() for label in np.unique(truth)
    ]
    return np.mean(of_labels, axis=0)


def interval(values: np.ndarray) -> dict[str, float]:
    low, high = np.percentile(values[1:], [2.5, 97.5])
    return {"value": float(values[0]), "low": float(low), "high": float(high)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []

    def note(**row: Any) -> None:
        rows.append(row)
        print(row, flush=True)
        pd.DataFrame(rows).to_csv(output / "results.csv", index=False)

    every = list(designs(*prepared()))
    means = {}
    for way in WAYS:
        found = []
        for name, ref, query in every[:3]:
            truth = query.obs["cell_type"].to_numpy(dtype=str)
            right = (called(ref, query, "X_bft", way) == truth).astype(float)
            found.append(interval(recalls(truth, right, draws(truth))))
            note(design=name, way=way, vectors="texts", n=len(truth), **found[-1])
        means[way] = np.mean([each["value"] for each in found])
    chosen = next(way for way, mean in means.items() if mean > max(means.values()) - TOLERANCE)
    print(means, "chosen:", chosen, flush=True)
    for name, ref, query in every:
        truth = query.obs["cell_type"].to_numpy(dtype=str)
        weights = draws(truth)
        right = {"texts": called(ref, query, "X_bft", chosen), "no vectors": without_vectors(ref, query)}
        right |= {f"random {i + 1}": called(ref, query, f"random {i + 1}", chosen) for i in range(N_RANDOM)}
        scores = {which: recalls(truth, (labels == truth).astype(float), weights) for which, labels in right.items()}
        random = np.mean([scores[f"random {i + 1}"] for i in range(N_RANDOM)], axis=0)
        kept = {"texts": scores["texts"], "random, mean": random, "no vectors": scores["no vectors"]}
        kept |= {
            "texts - random": scores["texts"] - random,
            "texts - no vectors": scores["texts"] - scores["no vectors"],
        }
        for which, values in kept.items():
            note(design=name, way=chosen, vectors=which, n=len(truth), **interval(values))
        note(design=name, way=chosen, vectors="one label for all", n=len(truth), value=1 / len(np.unique(truth)))


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
