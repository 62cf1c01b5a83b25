"""Embeddings of names, without an AnnData to start from."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Literal, Unpack

from bftembed import datasets
from bftembed._keys import checked_key
from bftembed.entities import (
    check_conditions,
    check_distinct,
    condition_table,
    conditions_of,
    entities_of,
    gene_entities,
    listed_names,
    perturbation_entities,
)
from bftembed.errors import InputError
from bftembed.tl._entities import TextOptions, TextSource, embed_entities, to_anndata

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData

    from bftembed.entities import Facts, How, NameKind

log = logging.getLogger("bftembed")


def embed(
    names: Sequence[str] | Mapping[str, Sequence[str]] | Literal["human"],
    *,
    kind: NameKind = "gene",
    how: How | Sequence[How] | None = None,
    dose: str | Sequence[str] | None = None,
    cell_line: str | Sequence[str] | None = None,
    control: Sequence[str] | None = None,
    separator: str | None = None,
    facts: Facts = "auto",
    key_added: str = "X_bft",
    **options: Unpack[TextOptions],
) -> AnnData:
    """Embed genes, types of cells, drugs, gene sets or perturbations by name.

    Parameters
    ----------
    names
        Names; for gene sets a mapping from the set's name to its genes. Perturbations are written ``"KLF1"``,
        ``"KLF1+MAP2K6"`` (both at once; the order makes no difference) or, with ``how="drug"``, ``"vorinostat"``.
        ``"human"`` stands for all its protein-coding genes (`bftembed.datasets.protein_coding_genes`) that HGNC
        approves.
    kind
        ``"gene"``, ``"cell"`` (names of types of cells), ``"drug"``, ``"gene_set"`` or ``"perturbation"``.
    how
        Of perturbations: ``"knockdown"`` (default), ``"knockout"``, ``"activation"`` or ``"drug"``, one for all or one
        for each. What data sets write for these (``"CRISPRi"``, ``"CRISPRa"``, ...) is understood.
    dose, cell_line
        Of perturbations: what goes into the prompt about them, one for all or one for each.
    control
        Of perturbations: names of controls, compared without case, blanks, ``-`` and ``_``; by default the usual ones,
        `bftembed.entities.CONTROLS`.
    separator
        Of perturbations: between the parts of a combination; by default ``"+"`` for genes, while names of drugs are not
        split.
    facts
        ``"auto"`` puts what the tables on this machine know into the prompt, ``"auto+tissues"`` of genes also the
        tissues with most of their RNA, ``"none"`` asks by the bare name.
    key_added
        Key of the result.
    options
        ``engine``, ``encoder``, ``template``, ``sampling``, ``store``, ``profiles``, ``recipe``, ``progress`` as in
        :func:`bftembed.tl.embed_genes`; the engine for ``"human"`` is ``"annotation"`` unless another is named, since a
        small language model takes days for 20,000 genes.

    Returns
    -------
    AnnData
        One row per name, in their order. ``X`` and ``obsm[key_added]``: float32, shape (n, d), NaN rows where there is
        no vector (no usable text, or a control); ``obs[f"{key_added}_text"]`` and ``obs[f"{key_added}_text_key"]``:
        text, and its key in the store; for genes ``obs["bft_gene"]``: canonical symbol; for perturbations
        ``obs[["perturbation", "parts", "how", "dose", "cell_line"]]``; for ``"human"`` also ``obs[["ensembl",
        "entrez", "approved", "biotype", "facts"]]``; ``uns["bft"][key_added]["entities"]``: provenance, for ``"human"``
        with coverage and the licences of the sources.

    Raises
    ------
    InputError
        If a name is repeated or empty, `kind` or another argument is unknown, or options of perturbations are given
        with another kind, or all genes are asked for and the gene tables are not on this machine.

    Warns
    -----
    BftembedWarning
        If there are gene (or drug) tables, and they do not know some of the names.

    Examples
    --------
    >>> import bftembed as bft
    >>> genes = bft.embed(["TP53", "BRCA1"], engine="annotation")
    >>> genes.obsm["X_bft"].shape
    (2, 384)
    >>> pert = bft.embed(["KLF1+MAP2K6"], kind="perturbation", how="activation", engine="annotation")
    >>> pert.obs["parts"].tolist()
    ['KLF1 + MAP2K6']
    >>> genome = bft.embed("human")  # doctest: +SKIP
    >>> bft.write_vectors(genome, "genes.parquet")  # doctest: +SKIP
    """
    checked_key(key_added)
    everything = isinstance(names, str) and names == "human"
    listed = [] if everything else listed_names(names)
    if everything and "profiles" not in options:
        options = {"engine": "annotation", **options}
    source = TextSource.of("embed", options)
    given = {"how": how, "dose": dose, "cell_line": cell_line, "control": control, "separator": separator}
    given = {name: value for name, value in given.items() if value is not None}
    check_conditions(kind, given)
    if everything and kind != "gene":
        msg = f"All names of 'human' are genes, not kind={kind!r}: give a list of names."
        raise InputError(msg)
    if kind == "perturbation":
        return _perturbations(listed, source, facts, key_added, given)
    if everything:
        return _all_genes(source, facts, key_added)
    given_names = names if kind == "gene_set" else listed
    entities, used = entities_of(
        given_names, kind=kind, facts=facts, needed=source.annotates, check=source.profiles is None
    )
    check_distinct(listed)
    result = embed_entities(entities, source, names=listed, facts=used)
    log.info(result.summary(f"obsm[{key_added!r}]"))
    columns = {"bft_gene": [entity.id for entity in entities]} if kind == "gene" else {}
    return to_anndata(listed, result, columns, key_added=key_added)


def _all_genes(source: TextSource, facts: Facts, key_added: str) -> AnnData:
    every = datasets.required(datasets.protein_coding_genes(), "genes")
    genes = every[every["approved"]]
    symbols = [str(name) for name in genes.index]
    entities, used = gene_entities(symbols, facts=facts, needed=source.annotates)
    told = genes["facts"]
    coverage = {
        "genes": len(genes),
        "RefSeq summary": int(told.str.contains("RefSeq").sum()),
        "GO terms": int(told.str.contains("GO").sum()),
        "RefSeq summary and GO terms": int((told == "RefSeq and GO").sum()),
        "name only": int((told == "name only").sum()),
        "Ensembl id": int((genes["ensembl"] != "").sum()),
        "protein-coding in Ensembl": int((genes["biotype"] == "protein_coding").sum()),
        "left out, not approved by HGNC": len(every) - len(genes),
    }
    sources = datasets.gene_sources(tissues=facts == "auto+tissues")
    result = embed_entities(entities, source, facts=used, species="human", coverage=coverage, sources=sources)
    log.info("coverage: %s", ", ".join(f"{n:,} {what}" for what, n in coverage.items()))
    log.info(result.summary(f"obsm[{key_added!r}]"))
    columns = {"bft_gene": symbols} | {str(name): values.tolist() for name, values in genes.items()}
    return to_anndata(symbols, result, columns, key_added=key_added)


def _perturbations(
    labels: list[str], source: TextSource, facts: Facts, key_added: str, given: Mapping[str, Any]
) -> AnnData:
    conditions = conditions_of(labels, **given)
    table = condition_table(conditions)
    check_distinct(table.index.tolist())
    treated = [i for i, condition in enumerate(conditions) if condition.parts]
    entities, used = perturbation_entities([conditions[i] for i in treated], facts=facts, check=source.profiles is None)
    n_controls = len(conditions) - len(treated)
    result = embed_entities(
        entities, source, names=[labels[i] for i in treated], facts=used, n_controls=n_controls
    ).spread(len(conditions), treated)
    log.info(result.summary(f"obsm[{key_added!r}]"))
    return to_anndata(table.index.tolist(), result, dict(table), key_added=key_added)
