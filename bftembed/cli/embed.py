"""``bftembed embed``: from a file to a file with embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bftembed.cli import _arguments as arg
from bftembed.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData

_TEXT = {".txt", ".csv", ".tsv"}


def embed(
    source: Annotated[Path, typer.Argument(help="AnnData (.h5ad, .zarr), or names, one per line (.txt, .csv, .tsv).")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Result (.h5ad or .zarr).")] = None,
    kind: Annotated[str, typer.Option(help="Of a list of names: gene | drug | perturbation.")] = "gene",
    engine: arg.EngineOption = "default",
    adapter: arg.AdapterOption = None,
    batch_size: arg.BatchOption = None,
    encoder: arg.EncoderOption = "default",
    template: arg.TemplateOption = None,
    facts: arg.FactsOption = "auto",
    store: arg.StoreOption = None,
    max_new_tokens: arg.TokensOption = 512,
    temperature: arg.TemperatureOption = 0.0,
    seed: arg.SeedOption = 0,
    gene_column: Annotated[
        str | None, typer.Option(help="Column of var with gene names; by default var_names.")
    ] = None,
    mask_var: Annotated[str | None, typer.Option(help="Boolean column of var: embed these genes only.")] = None,
    cells: Annotated[bool, typer.Option(help="Embed the cells too.")] = True,
    weights: Annotated[
        Literal["log1p", "raw", "log", "binary"], typer.Option(help="Weights of the genes in a cell.")
    ] = "log1p",
    values: Annotated[Literal["auto", "counts", "lognorm"], typer.Option(help="What the matrix holds.")] = "auto",
    layer: Annotated[str | None, typer.Option(help="Layer to use in place of X.")] = None,
    use_raw: Annotated[bool, typer.Option(help="Use adata.raw in place of X.")] = False,
    empty: Annotated[Literal["raise", "nan"], typer.Option(help="What becomes of cells without expression.")] = "raise",
    keep_x: Annotated[bool, typer.Option(help="Keep X, layers and raw in the result.")] = True,
    key_added: Annotated[str, typer.Option(help="Key in varm, obsm and uns.")] = "X_bft",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be generated, and end.")] = False,
) -> None:
    """Embed the genes and cells of an AnnData file, or a list of names."""
    from bftembed.engines import Sampling

    if not source.exists():
        msg = f"There is no file `{source}`."
        raise InputError(msg)
    if output is None and not dry_run:
        msg = "Say where the result goes: `-o result.h5ad` (or .zarr), or pass --dry-run."
        raise InputError(msg)
    if output is not None and output.suffix not in {".h5ad", ".zarr"}:
        msg = f"The result is .h5ad or .zarr, got `{output}`."
        raise InputError(msg)
    texts: dict[str, Any] = {
        "engine": arg.make_engine(engine, adapter, batch_size),
        "template": template,
        "sampling": Sampling(max_new_tokens=max_new_tokens, temperature=temperature, seed=seed),
        "store": store,
    }
    if source.suffix in _TEXT:
        _embed_names(source, output, kind=kind, facts=facts, encoder=encoder, key_added=key_added, dry=dry_run, **texts)
        return
    import bftembed as bft

    adata = open_adata(source)
    bft.pp.map_genes(adata, gene_key=gene_column)
    if dry_run:
        from bftembed.tl._embed_genes import chosen_genes

        genes = adata.var["bft_gene"].iloc[chosen_genes(adata, mask_var)].astype(str).tolist()
        _print_plan(genes, kind="gene", facts=facts, **texts)
        return
    bft.tl.embed_genes(adata, mask_var=mask_var, encoder=encoder, facts=facts, key_added=key_added, **texts)
    if cells:
        bft.tl.embed_cells(
            adata,
            gene_key=key_added,
            weights=weights,
            values=values,
            layer=layer,
            use_raw=use_raw,
            empty=empty,
            key_added=key_added,
            output=output,
            keep_x=keep_x,
        )
    else:
        _write(adata, output)
    print(f"wrote {output}")


def open_adata(source: Path) -> AnnData:
    """AnnData of a file whose matrix is read chunk by chunk later, where the format allows it."""
    import anndata

    from bftembed.tl._cell_input import opened

    with opened(source):  # says what is wrong with a file that holds no AnnData
        pass
    if source.suffix == ".h5ad":
        return anndata.read_h5ad(source, backed="r")
    return anndata.read_zarr(source)


def _write(adata: AnnData, output: Path | None) -> None:
    in_memory = adata.to_memory()
    in_memory.write_h5ad(output) if output and output.suffix == ".h5ad" else in_memory.write_zarr(output)


def _embed_names(
    source: Path, output: Path | None, *, kind: str, facts: str, encoder: str, key_added: str, dry: bool, **texts: Any
) -> None:
    import bftembed as bft

    names = arg.read_names(source)
    if not names:
        msg = f"`{source}` holds no names."
        raise InputError(msg)
    if dry:
        _print_plan(names, kind=kind, facts=facts, **texts)
        return
    adata = bft.embed(names, kind=kind, facts=facts, encoder=encoder, key_added=key_added, **texts)
    _write(adata, output)
    print(f"wrote {output}: {adata.n_obs} x {adata.n_vars}")


def _print_plan(
    names: list[str], *, kind: str, facts: str, engine: Any, template: Any, sampling: Any, store: Any
) -> None:
    from bftembed.profiles import ProfileStore, estimate, plan_profiles
    from bftembed.tl._embed import entities_of

    entities, _ = entities_of(names, kind=kind, facts=facts, needed=engine.name == "annotation")
    with ProfileStore(store) as opened:
        plan = plan_profiles(entities, engine, store=opened, template=template, sampling=sampling)
        cost = estimate(plan, engine, opened)
    print(f"unique prompts    {cost['unique']:,}")
    print(f"in the store      {cost['stored']:,}")
    print(f"to generate       {cost['missing']:,}")
    print(f"prompt tokens     {cost['prompt_tokens']:,}")
    print(f"new tokens        {cost['new_tokens']:,} at most")
    basis = "speed measured in this store" if cost["measured"] else "assumed speed of the default model on 2 CPU cores"
    print(f"time              {cost['seconds'] / 60:.1f} min at most ({basis})")
