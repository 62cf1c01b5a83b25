"""``bftembed demo``: the main job on real input."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from bftembed._files import make_directory
from bftembed._optional import needs
from bftembed._scanpy import neighbors
from bftembed.cli import _arguments as arg

if TYPE_CHECKING:
    from anndata import AnnData

_EMBEDDINGS = {
    "profiles": "X_bft",
    "profiles, weighted mean": "X_mean",
    "control: random vectors": "X_random",
    "control: PCA": "X_pca50",
}
_QUERY = "B cell receptor signalling"


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory of the results.")] = Path("demo"),
    n_genes: Annotated[int, typer.Option(help="Most variable genes to profile.", min=10)] = 200,
    engine: arg.EngineOption = "default",
    encoder: arg.EncoderOption = "default",
    facts: arg.FactsOption = "auto",
    max_new_tokens: arg.TokensOption = 64,
) -> None:
    """Profile, embed, cluster and plot pbmc68k_reduced, beside two controls."""
    needs("torch", "scanpy", "sklearn", extra="bench")
    import matplotlib.pyplot as plt

    import bftembed as bft
    from bftembed.engines import Sampling
    from bftembed.expression import write_anndata
    from bftembed.profiles import ProfileStore

    began = time.perf_counter()
    make_directory(output)
    adata = bft.datasets.pbmc68k_reduced()
    order = np.argsort(-adata.var["dispersions_norm"].to_numpy())
    adata.var["demo_gene"] = np.isin(np.arange(adata.n_vars), order[:n_genes])
    store = ProfileStore(output / "profiles.sqlite")
    bft.tl.embed_genes(
        adata,
        mask_var="demo_gene",
        engine=engine,
        encoder=encoder,
        facts=facts,
        sampling=Sampling(max_new_tokens=max_new_tokens),
        store=store,
        add_profiles=True,
    )
    bft.tl.embed_cells(adata, use_raw=True)
    bft.tl.embed_cells(adata, use_raw=True, weights="log1p", key_added="X_mean")
    counts = bft.get.provenance(adata)["genes"]["counts"]
    _add_controls(adata)
    print(f"\n{'embedding':32} {'ARI':>6} {'NMI':>6}   against bulk_labels; Leiden, resolution 1")
    for name, key in _EMBEDDINGS.items():
        ari, nmi = _scores(adata, key)
        print(f"{name:32} {ari:6.3f} {nmi:6.3f}")
    _ask(adata)
    bft.pl.embedding(adata, color=["bulk_labels", "leiden_X_bft"], wspace=0.5, show=False)
    plt.savefig(output / "umap.png", dpi=120, bbox_inches="tight")
    store.export(output / "profiles.parquet")
    store.close()
    write_anndata(adata, output / "pbmc68k_bft.h5ad")
    print(f"\nprofiles: {counts['generated']} generated, {counts['stored']} from the store; bad: {_bad(counts)}")
    print(f"{output}/: pbmc68k_bft.h5ad, umap.png, profiles.parquet; {time.perf_counter() - began:.0f} s")


def _ask(adata: AnnData) -> None:
    """Ask the cells a text, and print the labels of those that it fits best."""
    import bftembed as bft

    bft.tl.score_text(adata, {"query": _QUERY}, use_raw=True)
    means = adata.obs.groupby("bulk_labels", observed=True)["text_query"].mean().sort_values(ascending=False)
    chosen = adata.uns["bft"]["text"]["scores"]["chosen"]["gene"][:5]
    print(f'\ncells asked for "{_QUERY}", by the genes {", ".join(chosen)}, ...; mean z of the first labels:')
    print("  " + ", ".join(f"{label} {mean:.1f}" for label, mean in means.head(3).items()))


def _bad(counts: dict[str, int]) -> int:
    return sum(counts.get(status, 0) for status in ("empty", "degenerate", "error"))


def _add_controls(adata: AnnData) -> None:
    """Cells from random gene vectors of the same genes and size, and from PCA of the same genes."""
    import scanpy as sc

    import bftembed as bft

    vectors = adata.varm["X_bft"]
    known = np.isfinite(vectors).all(axis=1)
    random = np.full_like(vectors, np.nan)
    random[known] = np.random.default_rng(0).standard_normal((known.sum(), vectors.shape[1]))
    adata.varm["X_random"] = random
    bft.tl.embed_cells(adata, use_rep="X_random", key_added="X_random", use_raw=True)
    expression = adata.raw[:, adata.var_names[known]].X
    adata.obsm["X_pca50"] = sc.pp.pca(expression, n_comps=50, random_state=0)


def _scores(adata: AnnData, key: str) -> tuple[float, float]:
    import scanpy as sc
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    neighbors(adata, use_rep=key, key_added=f"neighbors_{key}")
    clusters = f"leiden_{key}"
    sc.tl.leiden(
        adata,
        neighbors_key=f"neighbors_{key}",
        key_added=clusters,
        flavor="igraph",
        n_iterations=2,
        directed=False,
        random_state=0,
    )
    labels = adata.obs["bulk_labels"]
    return adjusted_rand_score(labels, adata.obs[clusters]), normalized_mutual_info_score(labels, adata.obs[clusters])
