"""Cells of several batches, and RNA beside surface proteins, in the space of gene vectors: which form of the contrast?

    python benchmarks/one_space.py --output DIR [--annotation FILE]

Gene vectors: RefSeq summaries (`text:refseq`), words of them (`tfidf`), RefSeq with full names and GO terms
(`annotation`; FILE is what `bftembed embed --all-genes human --engine annotation -o FILE` wrote; left out without it),
random vectors. All are whitened by those of all genes.

**Batches** (symphony_pbmc, pbmc68k; total of scIB as in the task `integration`): expression less its mean, its z-score
(clipped at 10), and the z-score times the s.d. within batches (`rescaled`, the first where there is one batch); mean
and s.d. of all cells or of each batch. Genes that more than 0.5 % of the cells express. Beside them the 50 principal
components of the same matrix. Rules, written before the scores were seen: a reference per batch is recommended if the
mean total of `text:refseq` over both sets is above that of the reference of all cells and bio falls by no more than
0.02 in either. Of its forms, in the order above, the first within 0.01 of the best mean total is taken. (The scores of
the z-score were known when `rescaled` came into question.)

**RNA and proteins** (bremsc_pbmc; 1 - FOSCTTM as in `integration.bremsc_matching`): proteins are z-scores times the
vectors of their genes; RNA is (A) the 2,000 most variable genes and the proteins' own, (B) all genes, (C, D) the same
projected on the span of the ten vectors, (E) the 20 genes nearest to each protein, (F) these projected, (G) all genes,
each times its largest cosine with a protein. Rule, written before: in this order the first within 0.01 of the best by
`text:refseq` on every other cell; there is one such data set only. All were z-scores then; that cells are better made
of the plain departure from the mean was found elsewhere (`cell_recipes.py`), and was to be taken over if within 0.01.
Controls: vectors dealt to other genes than the proteins', no own genes of the proteins, random vectors of the same
genes.

One process, one thread. Prints a line for each, and writes them to DIR/results.csv.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from bftembed import bench, pp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

N_NEAREST, N_DRAWS, CLIP, SEEN = 20, 3, 10, 0.005


def sources(annotation: Path | None) -> Iterator[bench.Source]:
    """Embeddings of genes."""
    for spec in ("text:refseq", "tfidf", *([] if annotation is None else [f"annotation=file:{annotation}"]), "random"):
        yield bench.get_source(spec)


def whitened(source: bench.Source, names: list[str]) -> Floats:
    """Vectors of genes (n, d), NaN rows for those without."""
    vectors = source.genes(names)
    return (vectors if source.label == "random" else pp.whiten(vectors, table=source.all_genes())).astype(float)


def centred(x: Floats) -> Floats:
    """Less the mean."""
    return np.asarray(x - x.mean(axis=0))


def z_scores(x: Floats) -> Floats:
    """Less the mean, over the s.d., clipped; 0 where nothing varies."""
    sd = x.std(axis=0)
    return np.asarray(np.clip(centred(x) / np.where(sd > 0, sd, np.inf), -CLIP, CLIP))


# --------------------------------------------------------------------------------------------------------- batches


def departures(x: Floats, batch: NDArray[np.str_]) -> dict[str, Floats]:
    """Expression (n, n_genes) by how it departs from a reference, in each form."""

    def in_each(form: Callable[[Floats], Floats]) -> Floats:
        found = np.empty_like(x)
        for name in np.unique(batch):
            found[batch == name] = form(x[batch == name])
        return found

    within = np.sqrt(np.square(in_each(centred)).mean(axis=0))
    forms = {"centred": in_each(centred), "rescaled": in_each(z_scores) * within, "z": in_each(z_scores)}
    return {"centred, all": centred(x), "z, all": z_scores(x)} | {f"{k}, batch": v for k, v in forms.items()}


def of_batches(annotation: Path | None) -> Iterator[tuple[str, str, str, dict[str, float]]]:
    """Data set, form, vectors, scores."""
    from sklearn.decomposition import PCA

    for name in ("symphony_pbmc", "pbmc68k_reduced"):
        problem = bench.BatchIntegration(bench.load_cells(name))
        x = problem.cells.X.toarray().astype(float)
        seen = (x > 0).mean(axis=0) > SEEN
        genes, x = [str(gene) for gene in problem.cells.var_names[seen]], x[:, seen]
        vectors = {source.label: whitened(source, genes) for source in sources(annotation)}
        for form, weights in departures(x, problem.cells.obs["batch"].to_numpy(str)).items():
            made = {"principal components": PCA(50, svd_solver="full").fit_transform(weights)}
            for label, each in vectors.items():
                known = ~np.isnan(each).any(axis=1)
                made[label] = weights[:, known] @ each[known]
            for label, cells in made.items():
                scores = problem.evaluate(cells.astype(np.float32)).scores
                yield name, form, label, {score.metric: score.mean for score in scores[:3]}


# ------------------------------------------------------------------------------------------------ RNA and proteins


def candidates(
    weights: Floats, vectors: Floats, own: NDArray[np.intp], variable: NDArray[np.bool_]
) -> dict[str, Floats]:
    """RNA (n_cells, d) in each form; `own` are the columns of the proteins' genes."""
    known = ~np.isnan(vectors).any(axis=1)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = np.where(known[:, None], unit @ unit[own].T, -1)
    of_proteins, near = np.zeros(len(vectors), dtype=bool), np.zeros(len(vectors), dtype=bool)
    of_proteins[own] = True
    near[np.argsort(-cosines, axis=0)[:N_NEAREST].ravel()] = True
    axes = np.linalg.qr(vectors[own].T)[0]
    span = axes @ axes.T

    def summed(genes: NDArray[np.bool_], weight: Floats | None = None) -> Floats:
        rows = vectors[genes] if weight is None else vectors[genes] * weight[genes, None]
        return np.asarray(weights[:, genes] @ rows)

    few, every = summed(known & (variable | of_proteins)), summed(known)
    nearest, weighed = summed(near), summed(known, cosines.max(axis=1).clip(0))
    found = {"A variable": few, "B all": every, "C variable, projected": few @ span, "D all, projected": every @ span}
    found |= {"E nearest": nearest, "F nearest, projected": nearest @ span, "G weighed": weighed}
    return found | {"G without own genes": summed(known & ~of_proteins, cosines.max(axis=1).clip(0))}


def of_modalities(annotation: Path | None) -> Iterator[tuple[str, str, str, dict[str, float]]]:
    """Data set, form, vectors, scores."""
    import scanpy as sc

    adata = bench.load_cells("bremsc_pbmc")
    proteins = list(adata.obsm["protein"].columns)
    seen = np.asarray((adata.X > 0).mean(axis=0)).ravel() > SEEN
    problem = bench.ModalityMatching(adata[:, seen | adata.var_names.isin(proteins)].copy())
    genes = [str(gene) for gene in problem.cells.var_names]
    variable = sc.pp.highly_variable_genes(problem.cells, n_top_genes=2000, inplace=False)["highly_variable"].to_numpy()
    own = np.array([genes.index(name) for name in proteins])
    others = np.setdiff1d(np.arange(len(genes)), own)
    tables = {source.label: whitened(source, genes) for source in sources(annotation)}
    known = others[~np.isnan(tables["text:refseq"][others, 0])]
    for draw in range(N_DRAWS):
        rng = np.random.default_rng(draw)
        dealt, drawn = tables["text:refseq"].copy(), tables["text:refseq"].copy()
        dealt[known] = dealt[rng.permutation(known)]
        drawn[np.r_[own, known]] = rng.standard_normal((len(own) + len(known), drawn.shape[1]))
        tables |= {f"text:refseq, dealt {draw}": dealt, f"random, same genes {draw}": drawn}
    x = problem.cells.X.toarray().astype(float)
    parts = {"chosen on": np.arange(len(x)) % 2 == 0, "other half": np.arange(len(x)) % 2 == 1}
    parts["all"] = np.ones(len(x), dtype=bool)
    for form, weights in {"z": z_scores(x), "centred": centred(x)}.items():
        for label, vectors in tables.items():
            protein = problem.levels @ vectors[own]
            for name, rna in candidates(weights, vectors, own, variable).items():
                if form == "centred" and name[0] not in "ABG":
                    continue
                both = np.hstack([rna, protein]).astype(np.float32)
                values = {
                    part: problem.evaluate(np.where(rows[:, None], both, np.float32(np.nan))).scores[0].mean
                    for part, rows in parts.items()
                    if part == "all" or label == "text:refseq"
                }
                yield "bremsc_pbmc", f"{name}, {form}", label, values


def main() -> None:
    """Print and write a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--annotation", type=Path)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    rows = []
    with threadpool_limits(1):
        for part in (of_modalities, of_batches):
            for data, form, label, values in part(options.annotation):
                rows.append({"data": data, "form": form, "vectors": label, **values})
                print(data, form, label, {key: round(value, 3) for key, value in values.items()}, sep=" | ", flush=True)
                pd.DataFrame(rows).to_csv(options.output / "results.csv", index=False)


if __name__ == "__main__":
    main()
