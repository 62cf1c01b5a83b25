"""A text for each cluster of cells, from the genes that set it apart."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

from bftembed._keys import checked_key
from bftembed._near import check_number
from bftembed.entities import gene_set_entities
from bftembed.errors import InputError
from bftembed.expression import checked_anndata
from bftembed.profiles import Entity
from bftembed.tl._entities import TextSource, embed_entities, to_anndata
from bftembed.tl._markers import group_sizes, marker_genes

if TYPE_CHECKING:
    from anndata import AnnData

    from bftembed.entities import Facts
    from bftembed.expression import Values
    from bftembed.tl._entities import TextOptions

log = logging.getLogger("bftembed")
_LONGEST_NAME = 300


def describe_clusters(
    adata: AnnData,
    groupby: str,
    *,
    n_top: int = 15,
    facts: Facts = "auto",
    values: Values = "auto",
    layer: str | None = None,
    use_raw: bool = False,
    key_added: str = "X_bft",
    **text_options: Unpack[TextOptions],
) -> AnnData:
    """Describe clusters of cells by a text about the genes that set each of them apart, and encode the texts.

    The genes are those with the largest t of Welch's test between the log-normalised expression of the cluster and that
    of all other cells, as :func:`scanpy.tl.rank_genes_groups` ranks them (``method="t-test"``); moments come from one
    pass over the matrix. Their names, full names, the first sentences of their summaries and the processes that
    they share make the prompt. **The names of the clusters are not in it**, so that labels can be grouped by: in the
    store a cluster goes by its genes.

    Parameters
    ----------
    adata
        In memory, backed or lazy; it is not changed.
    groupby
        Column of ``.obs`` with the clusters.
    n_top
        Most genes of a cluster; beyond 20 there are no sentences about them.
    facts
        ``"auto"`` puts what the gene tables know of the genes into the prompt, ``"none"`` their names alone.
    values
        What the matrix holds: ``"counts"`` or ``"lognorm"``. ``"auto"`` takes whole numbers as counts and fractions up
        to 30 as log-normalised.
    layer
        Use this layer instead of `.X`.
    use_raw
        Use ``.raw.X`` instead of `.X`.
    key_added
        Key of the result.
    text_options
        ``engine``, ``encoder``, ``template``, ``sampling``, ``store``, ``profiles`` (texts by cluster), ``recipe``,
        ``progress`` as in :func:`bftembed.tl.embed_genes`. With ``engine="annotation"`` the text is the genes and what
        is known of them.

    Returns
    -------
    AnnData
        One row per cluster, in the order of the categories. ``X`` and ``obsm[key_added]``: float32, shape (n_clusters,
        d); ``obs["n_cells"]``, ``obs["genes"]`` (the genes, the most distinctive first), ``obs[f"{key_added}_text"]``,
        ``obs[f"{key_added}_text_key"]``; ``uns["bft"][key_added]["entities"]``: provenance.

    Raises
    ------
    InputError
        If there are cells without a cluster, fewer than two clusters, a cluster of one cell or one that expresses no
        gene more than the others, or the values or an argument cannot be used.
    EngineError, EncoderError, StoreError
        If writing or encoding fails. What was finished is stored, and the next call goes on from there.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> import bftembed as bft
    >>> counts = np.array([[5, 0, 1], [7, 1, 1], [0, 6, 2], [1, 8, 1]], dtype=np.float32)
    >>> obs = pd.DataFrame({"leiden": ["0", "0", "1", "1"]}, index=list("abcd"))
    >>> cells = anndata.AnnData(counts, obs=obs, var=pd.DataFrame(index=["CD3E", "LYZ", "ACTB"]))
    >>> clusters = bft.tl.describe_clusters(cells, "leiden", n_top=1, profiles={"0": "T cells.", "1": "Monocytes."})
    >>> clusters.obs["genes"].tolist(), clusters.shape
    (['CD3E', 'LYZ'], (2, 384))
    """
    checked_key(key_added)
    checked_anndata(adata)
    source = TextSource.of("describe_clusters", text_options)
    check_number("n_top", n_top, least=1, whole=True)
    sizes = group_sizes(adata, groupby)
    genes = marker_genes(
        adata, groupby, n_top=n_top, layer=layer, use_raw=use_raw, values=values, progress=source.progress
    )
    if none := [name for name, those in genes.items() if not those]:
        msg = f"No gene is higher in cluster {none[0]!r} of `{groupby}` than in the other cells: merge it with another."
        raise InputError(msg)
    known, used = gene_set_entities(genes, facts=facts, check=False)
    # Genes in place of names, which a template may put into the prompt: those of another data set are another entity.
    entities = [Entity("cluster", _by_genes(genes[entity.id]), entity.facts) for entity in known]
    if source.annotates and source.template is None:
        source = replace(source, template="annotation_of_genes")
    info = {"method": "Welch's t against all other cells", "groupby": groupby, "n_top": n_top}
    result = embed_entities(entities, source, names=list(genes), facts=used, **info)
    log.info(result.summary(f"obsm[{key_added!r}]"))
    columns = {"n_cells": [int(sizes[name]) for name in genes], "genes": [", ".join(those) for those in genes.values()]}
    return to_anndata(list(genes), result, columns, key_added=key_added)


def _by_genes(genes: list[str]) -> str:
    """A name made of genes, all of which decide it, also where they are too many for a name."""
    name = ", ".join(genes)
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{', '.join(genes[:10])} and {len(genes) - 10} others ({digest})"
