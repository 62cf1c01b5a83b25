"""Embeddings of names, without an AnnData to start from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from bftembed._keys import checked_key
from bftembed.entities import entities_of
from bftembed.errors import InputError
from bftembed.tl._embed_perturbations import embed_perturbations
from bftembed.tl._entities import TextOptions, TextSource, embed_entities, to_anndata

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData


def embed(
    names: Sequence[str] | Mapping[str, Sequence[str]],
    *,
    kind: str = "gene",
    facts: str = "auto",
    key_added: str = "X_bft",
    **options: Unpack[TextOptions],
) -> AnnData:
    """Embed genes, drugs, gene sets or perturbations by name.

    Parameters
    ----------
    names
        Names, each once; for gene sets a mapping from the set's name to its genes.
    kind
        ``"gene"``, ``"drug"``, ``"gene_set"`` or ``"perturbation"`` (gene knock-downs, see
        :func:`bftembed.tl.embed_perturbations` for others).
    facts
        ``"auto"`` puts what the tables at hand know into the prompt, ``"none"`` asks by the bare name.
    key_added
        Key of the result.
    options
        ``engine``, ``encoder``, ``template``, ``sampling``, ``store``, ``profiles``, ``progress`` as in
        :func:`bftembed.tl.embed_genes`.

    Returns
    -------
    AnnData
        One row per name. ``X`` and ``obsm[key_added]``: float32, shape (n, d), NaN rows where there is no vector;
        ``obs[f"{key_added}_text"]``: text; for genes ``obs["bft_gene"]``: canonical symbol;
        ``uns["bft"][key_added]["entities"]``: provenance.

    Raises
    ------
    InputError
        If a name is repeated, empty or unknown, or `kind` is unknown.

    Examples
    --------
    >>> import bftembed as bft
    >>> genes = bft.embed(["TP53", "BRCA1"], kind="gene")  # doctest: +SKIP
    """
    if isinstance(names, str):
        msg = f"`names` is a list of names, got the single name {names!r}: write [{names!r}]."
        raise InputError(msg)
    checked_key(key_added)
    listed = list(names)
    if odd := [name for name in listed if not isinstance(name, str)]:
        msg = f"Names are strings, got {odd[0]!r} ({type(odd[0]).__name__})."
        raise InputError(msg)
    if kind == "perturbation":
        return embed_perturbations(listed, facts=facts, key_added=key_added, **options)
    if len(set(listed)) != len(listed):
        repeated = sorted({name for name in listed if listed.count(name) > 1})[:5]
        msg = f"Names are repeated: {', '.join(repeated)}. Give each once."
        raise InputError(msg)
    source = TextSource(**options)
    check = source.profiles is None
    entities, used = entities_of(names, kind=kind, facts=facts, needed=source.annotates, check=check)
    columns = {"bft_gene": [entity.id for entity in entities]} if kind == "gene" else {}
    return to_anndata(listed, embed_entities(entities, source, names=listed, facts=used), columns, key_added=key_added)
