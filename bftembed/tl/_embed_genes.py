"""Gene embeddings of an AnnData."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from bftembed import pp
from bftembed._keys import check_place, with_provenance
from bftembed.entities import gene_entities
from bftembed.entities.facts import checked_facts
from bftembed.expression import checked_anndata, chosen_genes, column_of, made_actual, mask_of_genes
from bftembed.tl._entities import TextSource, embed_entities

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from anndata import AnnData
    from numpy.typing import NDArray

    from bftembed.encoders import Encoder
    from bftembed.engines import Engine, Sampling
    from bftembed.entities import Facts
    from bftembed.profiles import ProfileStore
    from bftembed.profiles.given import Texts

log = logging.getLogger("bftembed")


def embed_genes(  # noqa: PLR0913 -- one signature with all options, as users of scanpy expect it
    adata: AnnData,
    *,
    mask_var: str | Sequence[bool] | NDArray[np.bool_] | None = None,
    gene_symbols: str | None = None,
    engine: str | Engine = "default",
    encoder: str | Encoder = "default",
    template: str | Path | None = None,
    facts: Facts = "auto",
    sampling: Sampling | None = None,
    store: ProfileStore | str | Path | None = None,
    profiles: Texts | None = None,
    recipe: str | None = None,
    key_added: str = "X_bft",
    add_profiles: bool = True,
    progress: bool | None = None,
) -> None:
    """Write a profile of every gene, encode it, and put the vectors into ``varm``.

    Gene names come from ``var["bft_gene"]``; where it is missing, :func:`bftembed.pp.map_genes` makes it with its
    defaults. Genes without a canonical name get no profile.

    Parameters
    ----------
    adata
        In memory, backed or lazy; only ``var``, ``varm`` and ``uns`` are used.
    mask_var
        Genes to embed: a boolean column of ``var`` (e.g. ``"highly_variable"``) or a boolean array of shape
        (n_vars,). By default all.
    gene_symbols
        Column of ``var`` with the names of the genes, in place of ``var_names``: ``var["bft_gene"]`` is made from it,
        and texts that are given are looked up by it.
    engine
        Language model that writes the texts: ``"default"``, ``"transformers:MODEL"``, ``"openai:MODEL@URL"``,
        ``"vllm:MODEL"``, ``"annotation"``, or an engine.
    encoder
        Model that encodes the texts: ``"default"``, ``"sentence-transformers:MODEL"``, ``"openai:MODEL@URL"``, or an
        encoder.
    template
        Name or file of the prompt template; by default ``gene``.
    facts
        ``"auto"`` puts full name, locus, RefSeq summary and GO terms into the prompt where the gene tables are at
        hand; ``"none"`` asks by the bare name.
    sampling
        How tokens are drawn; greedy, at most 512 new tokens by default.
    store
        Profile store or its path; by default the one in the user cache.
    profiles
        Texts to use instead of an engine, by canonical name or ``var_names``: ``{"TP53": "..."}``, a Series, a
        DataFrame with a column of names and ``text``, the path of a CSV file, a Parquet export or a store, or what
        :func:`bftembed.datasets.load_bundle` read; see :func:`bftembed.profiles.read_texts`.
    recipe
        Beginning of the digest of the recipe to take, where `profiles` has texts of several.
    key_added
        Key of the result.
    add_profiles
        Keep the texts in ``var`` too (20,000 genes: some 20 MB), so that a file that is shared has them.
    progress
        Show bars; by default only on a terminal.

    Returns
    -------
    None
        Sets the following fields:

        ``adata.varm[key_added]`` : float32 array, shape (n_vars, d)
            NaN rows for genes without a vector.
        ``adata.var[f"{key_added}_text"]`` : str
            The texts, with `add_profiles`; ``""`` where there is none. See :func:`bftembed.get.profiles`.
        ``adata.var[f"{key_added}_text_key"]`` : str
            Key of each text in the store, ``""`` where there is none.
        ``adata.uns["bft"][key_added]["genes"]`` : dict
            Engine, encoder, template, sampling, store, counts, version, date.

    Raises
    ------
    InputError
        If an argument or the names cannot be used.
    EngineError, EncoderError, StoreError
        If writing or encoding fails. What was finished is stored, and the next call goes on from there.

    Examples
    --------
    >>> import bftembed as bft
    >>> adata = bft.datasets.pbmc68k_reduced()
    >>> adata.var["chosen"] = adata.var_names.isin(["CD79A", "NKG7"])
    >>> bft.tl.embed_genes(adata, mask_var="chosen", engine="annotation")
    >>> adata.varm["X_bft"].shape
    (765, 384)
    >>> bft.get.profiles(adata)["text"]["NKG7"][:43]
    'NKG7. natural killer cell granule protein 7'
    """
    checked_anndata(adata)
    check_place(adata, key_added)
    source = TextSource(engine, encoder, template, sampling, store, profiles, recipe, progress)
    # What can be wrong with options is refused before map_genes writes into `adata`.
    mask_of_genes(adata, mask_var)
    checked_facts(facts)
    source.check()
    if gene_symbols is not None or "bft_gene" not in adata.var:
        pp.map_genes(adata, gene_symbols=gene_symbols)
    chosen = chosen_genes(adata, mask_var)
    genes = column_of(adata.var, "bft_gene").iloc[chosen].astype(str).tolist()
    entities, used = gene_entities(genes, facts=facts, needed=source.annotates)
    own = adata.var_names if gene_symbols is None else adata.var[gene_symbols]
    names = np.asarray(own, dtype=object)[chosen].astype(str).tolist()
    result = embed_entities(entities, source, names=names, facts=used, n_vars=int(adata.n_vars))
    log.info(result.summary(f"varm[{key_added!r}]"))
    result = result.spread(adata.n_vars, chosen)
    with made_actual():
        adata.varm[key_added] = result.vectors
        result.annotate(adata.var, key_added, texts=add_profiles)
        adata.uns["bft"] = with_provenance(adata.uns.get("bft", {}), key_added, "genes", result.info)
