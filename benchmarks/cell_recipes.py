"""How should vectors of genes become a vector of a cell? The study that decides the default of `bft.tl.embed_cells`.

    python benchmarks/cell_recipes.py --output DIR [--annotation FILE.h5ad] [--fast]

Cells with a type of symphony_pbmc, pbmc68k_reduced and bremsc_pbmc. Gene vectors: RefSeq summaries through the
sentence encoder (`refseq`); the same with full name and GO terms (`annotation`; FILE is what `bft.embed` of all genes
wrote, with the symbols as obs_names, and without it they are left out); words of the summaries (`tfidf`); random
vectors of the genes that the first two have, ten draws each. Baselines: the default until now (mean weighted by log-
normalised expression), principal components of the 2,000 most variable genes, centred or scaled as well, and scVI
where it is installed and the data have counts.

**Score of an embedding**: the mean of five: ARI of k-means (as many clusters as types), ARI of Leiden at resolutions
0.5 and 1, NMI of Leiden at 1 (15 neighbours; ten seeds of each clustering, averaged), balanced accuracy of the
majority of a cell's 15 nearest others. The silhouette of the types is reported beside it. Vectors of cells are read
twice: as they are, and by their 50 first principal components, as users of scanpy do; the score is the mean of both.
Principal components and scVI are read as they are. Intervals: bootstrap over cells, clusters and votes kept, the same
draws for all recipes, so that differences are paired; pairs of a cell with itself are left out of the Rand index. For
the mean of random vectors the draws of vectors are drawn anew too.

**The rule, written before any recipe was scored by this script.** From the centre (z-scores, clipped at 10, 2,000
most variable of all genes that more than 0.5 % of the reference's cells express, vectors as long as they come) the
factors are decided one after the other in the order of `FACTORS`, each with what was decided before and the centre's
values of what comes after; then the order is gone through a second time with the outcome of the first as the centre,
and that decides. Criterion: the mean of the score over the three data sets and over `refseq` and `annotation`. Of a
factor's values, listed from the simplest to the least simple, the first is taken whose criterion lies within one
paired standard error of the best one's. Values at which a data set falls more than 0.05 below principal components
(centred) are left out; if that leaves none, all stay in and the report says so. Shrinkage is decided last and by
itself, in the same way, with the mean vector and the whitening estimated on small random tables of 200 and 1,000
genes, since on all genes it does nothing.

**What the outcome must show**: on average over the three sets at least the score of principal components, and more
than random vectors of the same genes; no set more than 0.05 below principal components.

One line of results.jsonl in DIR per data set, vectors and recipe; what is there is not computed again. report.md has
all tables. One process, one thread.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

import bftembed as bft
from bftembed import bench, datasets
from bftembed.errors import BftembedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from anndata import AnnData
    from numpy.typing import NDArray

SETS = ("symphony_pbmc", "pbmc68k_reduced", "bremsc_pbmc")
TEXTS = ("refseq", "annotation")
SCORES = ("k-means ARI", "Leiden 0.5 ARI", "Leiden 1 ARI", "Leiden 1 NMI", "neighbours")
N_NEIGHBORS = 15
N_COMPONENTS = 50
N_RANDOM = 10
N_DIMENSIONS = 384


@dataclass(frozen=True)
class Recipe:
    """How a cell's vector is made; the values here are the centre that the rule starts from."""

    #: Departure of log-normalised expression x from the reference: "z" (x - m) / s; "centred" x - m; "root"
    #: (x - m) / s^0.5; "floor" (x - m) / (s + median s). "mean" is the old default, "library" what
    #: `embed_cells(weights="contrast")` does by itself.
    scale: str = "z"
    clip: float | None = 10.0
    #: Number of most variable genes, among all genes or among those with a vector.
    genes: int | None = 2000
    pool: str = "all"
    #: Share of the reference's cells that express a gene.
    seen: float = 0.005
    alpha: float = 0.0
    components: int | None = None
    unit: bool = False
    #: What the mean and the whitening are estimated on: None is all genes with a vector, a number so many of them,
    #: drawn at random, "own" those of the data.
    table: int | str | None = None
    shrink: str = "none"
    #: "same" cells, a random "half" of them, or another data set.
    reference: str = "same"
    #: Random part of cells (number) and of genes (share) that are there at all.
    cells: int | None = None
    panel: float | None = None

    def changes(self) -> dict[str, Any]:
        """What differs from the centre."""
        centre = asdict(Recipe())
        return {key: value for key, value in asdict(self).items() if value != centre[key]}

    @property
    def name(self) -> str:
        return " ".join(f"{key}={value}" for key, value in self.changes().items()) or "centre"


#: Values from the simplest to the least simple, in the order in which they are decided.
FACTORS: dict[str, tuple[Any, ...]] = {
    "alpha": (0.0, 0.25, 0.5, 0.75, 1.0),
    "scale": ("centred", "z", "root", "floor"),
    "clip": (None, 10.0, 5.0, 3.0),
    "genes": (2000, 1000, 500, None),
    "pool": ("all", "vector"),
    "seen": (0.0, 0.005, 0.02),
    "components": (None, 200, 100, 50),
    "unit": (False, True),
}
SHRINKAGE = ("none", "oas", "ledoit_wolf")
SMALL_TABLES = (1000, 200)
OLD = Recipe(scale="mean", genes=None, seen=0.0)


# ------------------------------------------------------------------------------------------------ vectors of cells


@functools.cache
def cells_of(name: str) -> AnnData:
    """Cells with a type."""
    adata = bench.load_cells(name)
    return adata[adata.obs["cell_type"].notna().to_numpy()].copy()


@functools.lru_cache(4)
def gene_vectors(name: str, annotation: Path | None) -> pd.DataFrame:
    """Vectors of all genes that have one, by symbol: (n_genes, d)."""
    if name.startswith("random"):
        _, genes, draw = name.split(":")
        symbols = gene_vectors(genes, annotation).index
        return pd.DataFrame(np.random.default_rng(int(draw)).standard_normal((len(symbols), N_DIMENSIONS)), symbols)
    if name == "annotation":
        import anndata

        adata = anndata.read_h5ad(annotation)
        return pd.DataFrame(adata.obsm["X_bft"], adata.obs_names).dropna().astype(float)
    facts = datasets.gene_facts()
    symbols = sorted({symbol for symbol in facts.frame["symbol"] if symbol})
    source = bench.get_source("text:refseq" if name == "refseq" else name)
    return pd.DataFrame(source.genes(symbols), symbols).dropna().astype(float)


def reference_of(adata: AnnData) -> pd.DataFrame:
    """Mean, s.d. and share of cells with expression, per gene."""
    from sklearn.utils.sparsefuncs import mean_variance_axis

    mean, variance = mean_variance_axis(adata.X.astype(np.float64), axis=0)
    n = adata.n_obs
    seen = np.asarray((adata.X > 0).sum(axis=0)).ravel() / n
    return pd.DataFrame({"mean": mean, "sd": np.sqrt(variance * n / (n - 1)), "seen": seen}, index=adata.var_names)


def variable(adata: AnnData, genes: pd.Index, n: int | None) -> pd.Index:
    """The n most variable of some genes of the reference's cells."""
    import scanpy as sc

    if n is None or n >= len(genes):
        return genes
    found = sc.pp.highly_variable_genes(adata[:, genes].copy(), n_top_genes=n, inplace=False)
    return genes[found["highly_variable"].to_numpy()]


def whitening(table: NDArray[np.float64], recipe: Recipe) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean vector (d,) and matrix (d, k) by which centred vectors are multiplied: principal axes over s.d. ** alpha."""
    from sklearn.covariance import empirical_covariance, ledoit_wolf, oas

    mean = table.mean(axis=0)
    estimate = {"none": lambda x: (empirical_covariance(x),), "oas": oas, "ledoit_wolf": ledoit_wolf}[recipe.shrink]
    variances, axes = np.linalg.eigh(estimate(table - mean)[0])
    kept = np.flatnonzero(variances > variances.max() * 1e-9)[::-1][: recipe.components]
    return mean, axes[:, kept] / variances[kept] ** (recipe.alpha / 2)


def departure(x: NDArray[np.float64], reference: pd.DataFrame, recipe: Recipe) -> NDArray[np.float64]:
    """How far log-normalised values (n, g) are from a reference (g rows): (n, g)."""
    sd = reference["sd"].to_numpy()
    divisor = {"z": sd, "centred": np.ones_like(sd), "root": np.sqrt(sd), "floor": sd + np.median(sd)}[recipe.scale]
    found = (x - reference["mean"].to_numpy()) / np.where(sd > 0, divisor, np.inf)
    return found if recipe.clip is None else np.clip(found, -recipe.clip, recipe.clip)


def embed(adata: AnnData, reference: AnnData, vectors: pd.DataFrame, recipe: Recipe) -> NDArray[np.float64]:
    """Vectors of cells (n, k) by a recipe."""
    table = vectors
    if recipe.table is not None:
        own = vectors.index.isin(adata.var_names)
        table = vectors[own] if recipe.table == "own" else vectors.sample(recipe.table, random_state=0)
    if recipe.scale == "library":
        return by_library(adata, reference, vectors, table)
    if recipe.scale == "mean":
        genes = adata.var_names.intersection(vectors.index, sort=False)
        x = adata[:, genes].X.toarray().astype(np.float64)
        return x @ vectors.loc[genes].to_numpy() / x.sum(axis=1, keepdims=True)
    known = reference_of(reference)
    genes = known.index[(known["seen"] > recipe.seen) & (known["sd"] > 0) & known.index.isin(adata.var_names)]
    if recipe.pool == "vector":
        genes = genes[genes.isin(vectors.index)]
    genes = variable(reference, genes, recipe.genes)
    genes = genes[genes.isin(vectors.index)]
    mean, matrix = whitening(table.to_numpy(), recipe)
    x = adata[:, genes].X.toarray().astype(np.float64)
    found = departure(x, known.loc[genes], recipe) @ ((vectors.loc[genes].to_numpy() - mean) @ matrix)
    return found / np.linalg.norm(found, axis=1, keepdims=True) if recipe.unit else found


def by_library(adata: AnnData, reference: AnnData, vectors: pd.DataFrame, table: pd.DataFrame) -> NDArray[np.float64]:
    """What users get: (n, d)."""
    import anndata

    cells = anndata.AnnData(adata.X, obs=adata.obs[[]].copy(), var=adata.var[[]].copy())
    cells.varm["genes"] = vectors.reindex(adata.var_names).to_numpy(dtype=np.float32)
    known = bft.pp.reference(reference, values="lognorm", progress=False)
    bft.tl.embed_cells(
        cells,
        use_rep="genes",
        weights="contrast",
        values="lognorm",
        reference=known,
        table=table.to_numpy(),
        progress=False,
    )
    return cells.obsm["X_bft"].astype(np.float64)


def principal(x: NDArray[np.float64]) -> NDArray[np.float64]:
    from sklearn.decomposition import PCA

    return PCA(min(N_COMPONENTS, *x.shape), svd_solver="full").fit_transform(x)


def baseline(adata: AnnData, name: str) -> NDArray[np.float64]:
    """Principal components, centred or scaled too, or scVI's latent space, of the most variable genes."""
    known = reference_of(adata)
    genes = variable(adata, known.index[(known["seen"] > Recipe.seen) & (known["sd"] > 0)], Recipe.genes)
    if name == "scvi":
        return bench.get_source("scvi").cells(adata[:, genes].copy()).matrix.astype(np.float64)
    recipe = Recipe(scale="z" if name == "scaled pca" else "centred", clip=10.0 if name == "scaled pca" else None)
    return principal(departure(adata[:, genes].X.toarray().astype(np.float64), known.loc[genes], recipe))


# ---------------------------------------------------------------------------------------------------------- scores


def draws_of_cells(n: int, n_draws: int) -> NDArray[np.float64]:
    """How often each cell is drawn: (1 + n_draws, n); the first row is each cell once."""
    rng = np.random.default_rng(n)
    return np.vstack([np.ones(n), rng.multinomial(n, np.full(n, 1 / n), size=n_draws)])


def agreement(types: NDArray[np.intp], clusters: NDArray[np.intp], weights: NDArray[np.float64]) -> dict[str, Any]:
    """Adjusted Rand index and normalised mutual information per row of weights (n_draws, n).

    The index counts pairs of different cells, a pair as often as the product of its weights.
    """
    from scipy.sparse import csr_array

    shape = types.max() + 1, clusters.max() + 1
    each = np.ones(len(types)), types * shape[1] + clusters, np.arange(len(types) + 1)
    table = (weights @ csr_array(each, shape=(len(types), shape[0] * shape[1]))).reshape(-1, *shape)
    rows, columns, n = table.sum(axis=2), table.sum(axis=1), table.sum(axis=(1, 2))
    own = np.square(weights).sum(axis=1)
    both, of_rows, of_columns = (np.square(t).reshape(len(n), -1).sum(axis=1) - own for t in (table, rows, columns))
    expected = of_rows * of_columns / (np.square(n) - own)
    limit = (of_rows + of_columns) / 2 - expected
    rand = np.divide(both - expected, limit, out=np.ones_like(limit), where=limit > 0)

    def entropy(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        p = counts.reshape(len(n), -1) / n[:, None]
        return -(p * np.log(np.where(p > 0, p, 1))).sum(axis=1)

    types_h, clusters_h = entropy(rows), entropy(columns)
    limit = (types_h + clusters_h) / 2
    mutual = types_h + clusters_h - entropy(table)
    return {"ARI": rand, "NMI": np.divide(mutual, limit, out=np.ones_like(limit), where=limit > 0)}


def balanced_accuracy(
    types: NDArray[np.intp], guess: NDArray[np.intp], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean over the types of the share that is guessed, per row of weights (n_draws, n)."""
    members = np.eye(types.max() + 1)[types]
    drawn = weights @ members
    hits = (weights * (guess == types)) @ members
    return np.nanmean(np.divide(hits, drawn, out=np.full_like(hits, np.nan), where=drawn > 0), axis=1)


def score(x: NDArray[np.float64], types: NDArray[np.intp], n_seeds: int, n_draws: int) -> dict[str, Any]:
    """The five scores of an embedding (n, d), its silhouette, and the mean of the five for every draw of cells."""
    import anndata
    import scanpy as sc
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score
    from sklearn.neighbors import KNeighborsClassifier

    weights = draws_of_cells(len(types), n_draws)
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in SCORES}
    graph = anndata.AnnData(obs=pd.DataFrame(index=[str(i) for i in range(len(x))]), obsm={"X": x})
    sc.pp.neighbors(graph, n_neighbors=N_NEIGHBORS, use_rep="X", random_state=0, transformer="sklearn")
    for seed in range(n_seeds):
        clusters = KMeans(types.max() + 1, n_init=1, random_state=seed).fit_predict(x)
        found["k-means ARI"].append(agreement(types, clusters, weights)["ARI"])
        for resolution in (0.5, 1):
            sc.tl.leiden(graph, resolution, flavor="igraph", n_iterations=2, directed=False, random_state=seed)
            both = agreement(types, graph.obs["leiden"].cat.codes.to_numpy().astype(np.intp), weights)
            found[f"Leiden {resolution} ARI"].append(both["ARI"])
            if resolution == 1:
                found["Leiden 1 NMI"].append(both["NMI"])
    guess = KNeighborsClassifier(min(N_NEIGHBORS, len(x) - 1)).fit(x, types).predict(None)
    found["neighbours"].append(balanced_accuracy(types, guess, weights))
    each = {name: np.mean(values, axis=0) for name, values in found.items()}
    mean = np.mean(list(each.values()), axis=0)
    return {
        "scores": {name: round(float(values[0]), 5) for name, values in each.items()},
        "silhouette": round(float(silhouette_score(x, types)), 5),
        "seeds": round(float(np.std(np.mean([np.array(v)[:, 0] for v in list(found.values())[:4]], axis=0))), 5),
        "mean": round(float(mean[0]), 5),
        "draws": [round(float(value), 5) for value in mean[1:]],
    }


# ----------------------------------------------------------------------------------------------------------- study


class Study:
    """Scores of embeddings by (data, vectors, recipe), computed when they are asked for and kept in a file."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.path = options.output / "results.jsonl"
        self.texts = TEXTS if options.annotation else TEXTS[:1]
        lines = self.path.read_text().splitlines(keepends=True) if self.path.exists() else []
        whole = [line for line in lines if line.endswith("\n")]  # a run that was killed may leave half a line
        self.path.write_text("".join(whole))
        self.known: dict[str, dict[str, Any]] = {json.dumps(record["key"]): record for record in map(json.loads, whole)}

    def get(self, data: str, vectors: str, recipe: Recipe) -> dict[str, Any]:
        """Both readings: {"as it is": scores, "components": scores}."""
        parts = [data, vectors, recipe.changes(), self.options.seeds, self.options.draws]
        if (key := json.dumps(parts)) not in self.known:
            begin = time.perf_counter()
            record: dict[str, Any] = {"key": parts, "readings": {}}
            for reading, (x, types) in self._vectors(data, vectors, recipe).items():
                record["readings"][reading] = score(x, types, self.options.seeds, self.options.draws)
            record["seconds"] = round(time.perf_counter() - begin, 1)
            with self.path.open("a") as file:
                file.write(json.dumps(record) + "\n")
            means = {reading: found["mean"] for reading, found in record["readings"].items()}
            print(f"{data} | {vectors} | {recipe.name} | {means} | {record['seconds']} s", flush=True)
            self.known[key] = record
        return self.known[key]["readings"]

    def _vectors(self, data: str, vectors: str, recipe: Recipe) -> dict[str, tuple[NDArray[np.float64], Any]]:
        adata = cells_of(data)
        rng = np.random.default_rng(0)
        if recipe.cells:
            adata = adata[np.sort(rng.choice(adata.n_obs, min(recipe.cells, adata.n_obs), replace=False))].copy()
        if recipe.panel:
            adata = adata[:, np.sort(rng.choice(adata.n_vars, int(recipe.panel * adata.n_vars), replace=False))].copy()
        types = adata.obs["cell_type"].cat.remove_unused_categories().cat.codes.to_numpy().astype(np.intp)
        if vectors in ("pca", "scaled pca", "scvi"):
            return {"as it is": (baseline(adata, vectors), types)}
        reference = adata
        if recipe.reference == "half":
            reference = adata[np.sort(rng.choice(adata.n_obs, adata.n_obs // 2, replace=False))].copy()
        elif recipe.reference != "same":
            reference = cells_of(recipe.reference)
        x = embed(adata, reference, gene_vectors(vectors, self.options.annotation), recipe)
        return {"as it is": (x, types), "components": (principal(x), types)}

    def draws(self, recipe: Recipe, vectors: Iterable[str], sets: Iterable[str] = SETS, reading: str = "") -> Any:
        """Mean score over vectors, data sets and readings: first the score, then that of each draw of cells."""
        found = [
            [each["mean"], *each["draws"]]
            for data in sets
            for name in vectors
            for kind, each in self.get(data, name, recipe).items()
            if reading in ("", kind) or name in ("pca", "scaled pca", "scvi")
        ]
        return np.mean(found, axis=0)

    def random(self, recipe: Recipe, sets: Iterable[str] = SETS, reading: str = "") -> Any:
        """As `draws`, of the mean of random vectors: those of the genes of every text, drawn anew for each draw."""
        each = [
            np.mean([self.draws(recipe, [f"random:{text}:{i}"], sets, reading) for text in self.texts], axis=0)
            for i in range(self.options.random)
        ]
        values = np.array(each)
        picks = np.random.default_rng(0).integers(len(values), size=(values.shape[1] - 1, len(values)))
        drawn = values[picks, np.arange(1, values.shape[1])[:, None]].mean(axis=1)
        return np.concatenate([[values[:, 0].mean()], drawn])

    def decide(self, factor: str, now: Recipe, log: list[str]) -> Any:
        """One value of a factor, by the rule."""
        recipes = [replace(now, **{factor: value}) for value in FACTORS[factor]]
        found = [self.draws(recipe, self.texts) for recipe in recipes]
        worst = [self.worst(recipe) for recipe in recipes]
        allowed = [i for i, least in enumerate(worst) if least >= -0.05]
        if not allowed:
            log.append(f"| {factor} | every value falls more than 0.05 below principal components somewhere |")
        choice = one_standard_error(found, allowed or range(len(found)))
        for i, recipe in enumerate(recipes):
            difference, mark = found[i] - found[choice], " **taken**" if i == choice else ""
            each = [f"{self.draws(recipe, self.texts, [data])[0]:.3f}" for data in SETS]
            against = f"{difference[0]:+.3f} ({difference[1:].std():.3f})"
            value = f"{getattr(recipe, factor)}{mark}"
            log.append(line(factor, value, f"{found[i][0]:.3f}", against, *each, f"{worst[i]:+.3f}"))
        return getattr(recipes[choice], factor)

    def worst(self, recipe: Recipe, reading: str = "") -> float:
        """Of the data sets, the least difference to principal components."""
        sets = [[data] for data in SETS]
        return min(
            self.draws(recipe, self.texts, one, reading)[0] - self.draws(Recipe(), ["pca"], one)[0] for one in sets
        )


def one_standard_error(found: Sequence[NDArray[np.float64]], allowed: Iterable[int]) -> int:
    """Index of the first allowed row (score, then draws) within one paired standard error of the best allowed one."""
    allowed = list(allowed)
    best = max(allowed, key=lambda i: found[i][0])
    return next(i for i in allowed if found[best][0] - found[i][0] <= np.std(found[best][1:] - found[i][1:]))


def decided(study: Study, log: list[str]) -> Recipe:
    """The recipe by the rule; every comparison goes into the log."""
    now = Recipe()
    for number in (1, 2):
        log += ["", f"Pass {number}, from: {now.name}", ""]
        log += head("factor", "value", "mean", "to the one taken (s.e.)", *SETS, "worst to PCA")
        for factor in FACTORS:
            now = replace(now, **{factor: study.decide(factor, now, log)})
            print(f"pass {number}: {factor} = {getattr(now, factor)}", flush=True)
    small = [[study.draws(replace(now, table=n, shrink=kind), study.texts) for n in SMALL_TABLES] for kind in SHRINKAGE]
    found = [np.mean(pair, axis=0) for pair in small]
    choice = one_standard_error(found, range(len(found)))
    log += ["", f"Shrinkage on small tables (all genes: {study.draws(now, study.texts)[0]:.3f})", ""]
    log += head("shrinkage", "mean", "to the one taken (s.e.)", *(f"{n:,} genes" for n in SMALL_TABLES))
    for kind, pair, draws in zip(SHRINKAGE, small, found, strict=True):
        difference, mark = draws - found[choice], " **taken**" if kind == SHRINKAGE[choice] else ""
        against = f"{difference[0]:+.3f} ({difference[1:].std():.3f})"
        log.append(line(kind + mark, f"{draws[0]:.3f}", against, *(f"{one[0]:.3f}" for one in pair)))
    return replace(now, shrink=SHRINKAGE[choice])


# ---------------------------------------------------------------------------------------------------------- report


def line(*values: str) -> str:
    return f"| {' | '.join(values)} |"


def head(*names: str) -> list[str]:
    return [line(*names), "|---" * len(names) + "|"]


def intervals(each: Sequence[NDArray[np.float64]], sign: str = "") -> list[str]:
    """Scores of the data sets and their mean, each with the 95 % interval of the draws of cells, around the score."""
    shown = []
    for draws in [*each, np.mean(each, axis=0)]:
        low, high = np.quantile(draws[1:], [0.025, 0.975]) + draws[0] - draws[1:].mean()
        shown.append(f"{draws[0]:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]")
    return shown


def main_tables(study: Study, chosen: Recipe, log: list[str]) -> None:
    """The chosen recipe beside everything else, per data set and on average, for both readings."""
    library = Recipe(scale="library")
    texts = {"both texts": study.texts, **{name: [name] for name in (*study.texts, "tfidf")}}
    for reading in ("as it is", "components"):
        rows: dict[str, list[Any]] = {}
        for label, recipe in {"chosen": chosen, "library": library, "old default": OLD}.items():
            for name, vectors in texts.items():
                rows[f"{label}, {name}"] = [study.draws(recipe, vectors, [data], reading) for data in SETS]
            if recipe != library:
                control = [study.random(recipe, [data], reading) for data in SETS]
                rows[f"{label}, random x {study.options.random}"] = control
        for name in ("pca", "scaled pca"):
            rows[name] = [study.draws(Recipe(), [name], [data]) for data in SETS]
        log += ["", f"### Vectors of cells read: {reading}", "", *head("", *SETS, "mean")]
        log += [line(name, *intervals(each)) for name, each in rows.items()]
        log += ["", *head("difference", *SETS, "mean")]
        for name in texts:
            own = rows[f"chosen, {name}"]
            for other in ("pca", "scaled pca", f"chosen, random x {study.options.random}", f"old default, {name}"):
                differences = [a - b for a, b in zip(own, rows[other], strict=True)]
                log.append(line(f"chosen, {name} - {other}", *intervals(differences, "+")))


def single_scores(study: Study, chosen: Recipe, log: list[str]) -> None:
    """The five scores and the silhouette, which the mean hides."""
    log += ["", *head("", "data", "reading", *SCORES, "silhouette", "s.d. of seeds")]
    rows = [("chosen", name, chosen) for name in (*study.texts, "tfidf")]
    rows += [("old default", name, OLD) for name in study.texts]
    rows += [("", "pca", Recipe()), ("", "scaled pca", Recipe())]
    for label, name, recipe in rows:
        for data in SETS:
            for reading, found in study.get(data, name, recipe).items():
                values = [*found["scores"].values(), found["silhouette"], found["seeds"]]
                log.append(line(f"{label} {name}", data, reading, *(f"{value:.3f}" for value in values)))


def scvi(study: Study, log: list[str]) -> None:
    """scVI, where it can be run."""
    for data in SETS:
        try:
            found = study.draws(Recipe(), ["scvi"], [data])
        except BftembedError as error:
            log += ["", f"scVI, {data}: left out. {error}"]
        else:
            log += ["", f"scVI, {data}: {intervals([found])[0]}"]


def robustness(study: Study, chosen: Recipe, log: list[str]) -> None:
    """Other references and tables, fewer cells, fewer genes; principal components of the same."""
    pca = Recipe()
    others = [[replace(chosen, reference=SETS[(i + step) % 3]) for i in range(3)] for step in (1, 2)]
    rows: dict[str, tuple[Sequence[Recipe], Sequence[str]]] = {
        "reference of the same cells": ([chosen] * 3, study.texts),
        "reference of half of the cells": ([replace(chosen, reference="half")] * 3, study.texts),
        **{f"reference: {', '.join(r.reference for r in one)}": (one, study.texts) for one in others},
        "table: genes of the data": ([replace(chosen, table="own")] * 3, study.texts),
    }
    for change in ({"cells": 300}, {"panel": 0.5}, {"panel": 0.2}):
        label = " ".join(f"{key}={value}" for key, value in change.items())
        rows[label] = [replace(chosen, **change)] * 3, study.texts
        rows[f"{label}, 1,000 genes"] = [replace(chosen, genes=1000, **change)] * 3, study.texts
        rows[f"{label}, pca"] = [replace(pca, **change)] * 3, ["pca"]
    log += ["", *head("chosen, both texts", *SETS, "mean")]
    for label, (recipes, vectors) in rows.items():
        each = [study.draws(recipe, vectors, [data]) for recipe, data in zip(recipes, SETS, strict=True)]
        log.append(line(label, *intervals(each)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--annotation", type=Path, help=".h5ad of bft.embed(names, engine='annotation'), all genes")
    parser.add_argument("--fast", action="store_true", help="two seeds, 20 draws, two random tables: to try it")
    options = parser.parse_args()
    options.seeds, options.draws, options.random = (2, 20, 2) if options.fast else (10, 300, N_RANDOM)
    options.output.mkdir(parents=True, exist_ok=True)
    study, log = Study(options), []
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chosen = decided(study, log)
        log += ["", f"**Chosen: {asdict(chosen)}**"]
        print(log[-1], flush=True)
        for part in (main_tables, robustness, single_scores):
            part(study, chosen, log)
        scvi(study, log)
    (options.output / "report.md").write_text("\n".join(log) + "\n")
    print("\n".join(log))


if __name__ == "__main__":
    main()
