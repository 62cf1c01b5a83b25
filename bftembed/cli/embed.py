"""``bftembed embed``: from a file to a file with embeddings."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bftembed.cli import _arguments as arg
from bftembed.cli import _ray
from bftembed.cli._gene_sets import read_gene_sets
from bftembed.cli._names import is_names
from bftembed.cli._trial import tried_cells
from bftembed.cli._vectors import TABLES, checked_output, usable, write_texts
from bftembed.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData

    from bftembed.entities import Facts, NameKind

_GENES, _CELLS, _RESULT = "Genes", "Cells", "Result"


def embed(
    source: Annotated[
        Path | None, typer.Argument(help="AnnData (.h5ad, .zarr), or names, one per line (.txt, .csv, .tsv).")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            rich_help_panel=_RESULT,
            help="Result: .h5ad or .zarr, as the input; the other with --no-keep-x. Vectors of names, or of genes with "
            "--no-cells, also as .csv, .parquet, .vec (word2vec), .npz or .safetensors.",
        ),
    ] = None,
    all_genes: Annotated[
        str | None,
        typer.Option(
            metavar="SPECIES",
            rich_help_panel=_GENES,
            help="In place of a file: all protein-coding genes of `human`, by annotation unless you name an engine.",
        ),
    ] = None,
    kind: arg.KindOption = "gene",
    engine: arg.EngineOption = "default",
    adapter: arg.AdapterOption = None,
    batch_size: arg.BatchOption = None,
    engine_option: arg.EngineOptionsOption = None,
    profiles: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=arg.TEXTS,
            help="Existing texts, in place of an engine: .csv, .tsv, .parquet, a store, or a bundle (a directory).",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=arg.TEXTS, help="Of --profiles those by this recipe: the beginning of its digest."
        ),
    ] = None,
    encoder: arg.EncoderOption = "default",
    encoder_batch_size: arg.EncoderBatchOption = None,
    encoder_prompt: arg.EncoderPromptOption = None,
    encoder_prompt_name: arg.EncoderPromptNameOption = None,
    encoder_query_prompt: arg.EncoderQueryPromptOption = None,
    encoder_dtype: arg.EncoderDtypeOption = None,
    encoder_backend: arg.EncoderBackendOption = None,
    template: arg.TemplateOption = None,
    facts: arg.FactsOption = "auto",
    store: arg.StoreOption = None,
    max_new_tokens: arg.TokensOption = 512,
    temperature: arg.TemperatureOption = 0.0,
    seed: arg.SeedOption = 0,
    gene_symbols: Annotated[
        str | None, typer.Option(rich_help_panel=_GENES, help="Column of var with gene names; by default var_names.")
    ] = None,
    mask_var: Annotated[
        str | None, typer.Option(rich_help_panel=_GENES, help="Boolean column of var: embed these genes only.")
    ] = None,
    cells: Annotated[bool, typer.Option(rich_help_panel=_CELLS, help="Embed the cells too.")] = True,
    weights: Annotated[
        Literal["contrast", "zscore", "log1p", "raw", "log", "binary"] | None,
        typer.Option(
            rich_help_panel=_CELLS, help="Weights of the genes in a cell, by default as of bft.tl.embed_cells."
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(rich_help_panel=_CELLS, help="For contrast: what is usual, a .parquet or .h5ad of other cells."),
    ] = None,
    batch_key: Annotated[
        str | None, typer.Option(rich_help_panel=_CELLS, help="For contrast: column of obs with the batch of a cell.")
    ] = None,
    whiten: Annotated[
        float | None,
        typer.Option(rich_help_panel=_CELLS, help="0 centres the gene vectors, 1 whitens them (as contrast does)."),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(rich_help_panel=_CELLS, help="Vectors of all genes for --whiten, e.g. of embed --all-genes."),
    ] = None,
    n_components: Annotated[
        int | None, typer.Option(rich_help_panel=_CELLS, help="Dimensions to keep of the whitened vectors.")
    ] = None,
    values: Annotated[
        Literal["auto", "counts", "lognorm"], typer.Option(rich_help_panel=_CELLS, help="What the matrix holds.")
    ] = "auto",
    layer: Annotated[str | None, typer.Option(rich_help_panel=_CELLS, help="Layer to use in place of X.")] = None,
    use_raw: Annotated[bool, typer.Option(rich_help_panel=_CELLS, help="Use adata.raw in place of X.")] = False,
    empty: Annotated[
        Literal["raise", "nan"], typer.Option(rich_help_panel=_CELLS, help="What becomes of cells without expression.")
    ] = "raise",
    keep_x: Annotated[bool, typer.Option(rich_help_panel=_RESULT, help="Keep X, layers and raw in the result.")] = True,
    key_added: Annotated[str, typer.Option(rich_help_panel=_RESULT, help="Key in varm, obsm and uns.")] = "X_bft",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", rich_help_panel=_RESULT, help="Say what would be generated, and end.")
    ] = False,
    ray: _ray.RayOption = None,
    ray_workers: _ray.WorkersOption = None,
    ray_cpus: _ray.CpusOption = 1,
    ray_gpus: _ray.GpusOption = 0,
    ray_batch: _ray.RayBatchOption = 64,
) -> None:
    """Embed the genes and cells of an AnnData file, or a list of names."""
    from bftembed._keys import checked_key
    from bftembed.engines import Sampling

    by_name = is_names(source, all_genes, kind)
    _check_paths(source, output, one_table=by_name or not cells, dry=dry_run, vectors=encoder != "none")
    cluster = _ray.Ray.of(ray, workers=ray_workers, cpus=ray_cpus, gpus=ray_gpus, batch=ray_batch)
    if cluster is not None:
        cluster.check(by_name=source is None or by_name, given=profiles is not None)
    if all_genes is not None and engine == "default" and profiles is None:
        engine = "annotation"
    checked_key(key_added)
    if profiles is None:
        texts: dict[str, Any] = {
            "engine": arg.make_engine(engine, adapter, batch_size, engine_option),
            "template": template,
            "sampling": Sampling(max_new_tokens=max_new_tokens, temperature=temperature, seed=seed),
            "store": store,
        }
    elif dry_run or adapter or engine != "default":
        msg = "With --profiles nothing is generated: leave --engine, --adapter and --dry-run out."
        raise InputError(msg)
    else:
        from bftembed.datasets import load_bundle

        texts = {"profiles": load_bundle(profiles) if profiles.is_dir() else profiles, "recipe": recipe}
    encode = partial(
        arg.make_encoder,
        encoder,
        batch_size=encoder_batch_size,
        prompt=encoder_prompt,
        prompt_name=encoder_prompt_name,
        query_prompt=encoder_query_prompt,
        dtype=encoder_dtype,
        backend=encoder_backend,
    )
    common: dict[str, Any] = {"facts": facts, "encode": encode, "key_added": key_added, "dry": dry_run, **texts}
    if source is None or by_name:
        _embed_names(source, output, kind=kind, cluster=cluster, **common)
        return
    given: dict[str, Any] = {"weights": weights, "reference": reference, "batch_key": batch_key, "whiten": whiten}
    given |= {"table": table, "n_components": n_components, "values": values, "layer": layer, "empty": empty}
    how = {"use_raw": use_raw} | {name: value for name, value in given.items() if value is not None}
    _embed_adata(
        source, output, gene_symbols=gene_symbols, mask_var=mask_var, cells=cells, keep_x=keep_x, how=how, **common
    )


def _check_paths(source: Path | None, output: Path | None, *, one_table: bool, dry: bool, vectors: bool) -> None:
    if source is not None:
        arg.check_exists(source)
    if output is not None:
        checked_output(output, one_table=one_table, vectors=vectors)
    elif not dry:
        msg = "Say where the result goes: `-o result.h5ad` (or .zarr; .csv or .parquet of names), or pass --dry-run."
        raise InputError(msg)


def _embed_adata(
    source: Path,
    output: Path | None,
    *,
    gene_symbols: str | None,
    mask_var: str | None,
    cells: bool,
    keep_x: bool,
    how: dict[str, Any],
    facts: Facts,
    encode: Any,
    key_added: str,
    dry: bool,
    **texts: Any,
) -> None:
    import bftembed as bft

    adata = open_adata(source)
    bft.pp.map_genes(adata, gene_symbols=gene_symbols)
    if dry:
        from bftembed.expression import chosen_genes

        genes = adata.var["bft_gene"].iloc[chosen_genes(adata, mask_var)].astype(str).tolist()
        _print_plan(genes, kind="gene", facts=facts, **texts)
        return
    if output is not None:
        _check_writable(adata, output)
    if cells:
        how |= tried_cells(adata, mask_var, source, output, keep_x=keep_x, how=how)
    bft.tl.embed_genes(adata, mask_var=mask_var, encoder=encode(), facts=facts, key_added=key_added, **texts)
    if cells:
        bft.tl.embed_cells(adata, use_rep=key_added, key_added=key_added, output=output, keep_x=keep_x, **how)
        print(f"wrote {output}")
    elif output is not None:
        _write(adata, "var", key_added, output)


def _check_writable(adata: AnnData, output: Path) -> None:
    from bftembed.expression import check_writable

    if output.suffix not in TABLES:
        check_writable(adata, output)


def open_adata(source: Path) -> AnnData:
    """AnnData of a file whose matrix is read chunk by chunk later, where the format allows it."""
    import anndata

    from bftembed.expression import opened

    with opened(source):  # says what is wrong with a file that holds no AnnData
        pass
    return anndata.read_zarr(source) if source.is_dir() else anndata.read_h5ad(source, backed="r")


def _write(adata: AnnData, axis: Literal["obs", "var"], key: str, output: Path) -> None:
    import bftembed as bft
    from bftembed.expression import write_anndata

    frame, vectors = (adata.obs, adata.obsm[key]) if axis == "obs" else (adata.var, adata.varm[key])
    if output.suffix in TABLES and vectors.shape[1]:
        bft.write_vectors(adata, output, use_rep=key, among="cells" if axis == "obs" else "genes")
    elif output.suffix in TABLES:
        write_texts(frame.index, frame[f"{key}_text"], output)
    else:
        write_anndata(adata, output)
    n, d = int(usable(vectors, frame[f"{key}_text"]).sum()), vectors.shape[1]
    made, lacking = (f"{n} x {d}", "vector") if d else (f"{n} texts", "text")
    without = len(vectors) - n
    print(f"wrote {output}: {made}" + (f"; {without} without a {lacking}" if without else ""))


def _embed_names(
    source: Path | None,
    output: Path | None,
    *,
    kind: NameKind,
    cluster: _ray.Ray | None,
    facts: Facts,
    encode: Any,
    key_added: str,
    dry: bool,
    **texts: Any,
) -> None:
    import pandas as pd
    from anndata import AnnData

    import bftembed as bft
    from bftembed.entities import all_human_genes

    if source is None:
        names: Any = all_human_genes()
    else:
        names = read_gene_sets(source) if kind == "gene_set" else arg.read_names(source)
    if dry:
        _print_plan(names, kind=kind, facts=facts, **texts)
        return
    if output is not None:
        _check_writable(AnnData(obs=pd.DataFrame(index=pd.Index(list(names), dtype=object))), output)
    asked = "human" if source is None else names
    how: dict[str, Any] = {"kind": kind, "facts": facts, "encoder": encode(), "key_added": key_added, **texts}
    adata = bft.embed(asked, **how) if cluster is None or output is None else cluster.embed(asked, output, **how)
    if output is not None:
        _write(adata, "obs", key_added, output)


def _print_plan(
    names: Any, *, kind: NameKind, facts: Facts, engine: Any, template: Any, sampling: Any, store: Any
) -> None:
    from bftembed.entities import entities_of
    from bftembed.profiles import ProfileStore, estimate, nearby, plan_profiles

    entities, _ = entities_of(names, kind=kind, facts=facts, needed=not engine.generates)
    with ProfileStore(store) as opened:
        plan = plan_profiles(entities, engine, store=opened, template=template, sampling=sampling)
        cost = estimate(plan, engine, opened)
        near = nearby(plan, entities, engine, opened)
    print(f"unique prompts    {cost['unique']:,}")
    print(f"in the store      {cost['stored']:,}")
    print(f"to generate       {cost['missing']:,}")
    print(f"prompt tokens     {cost['prompt_tokens']:,}")
    print(f"new tokens        {cost['new_tokens']:,} at most")
    basis = "speed measured in this store" if cost["measured"] else "assumed speed of the default model on 2 CPU cores"
    print(f"time              {cost['seconds'] / 60:.1f} min at most ({basis})")
    for line in near:
        print(line)
