"""How much genes or cells are what a text says."""

from __future__ import annotations

import datetime as dt
import logging
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from bftembed._keys import check_place, with_provenance
from bftembed._near import check_choice, check_number
from bftembed.errors import InputError
from bftembed.expression import checked_anndata, made_actual, parts_of
from bftembed.queries import Choice, coherent, text_scores
from bftembed.tl._text_query import GeneOptions, checked_texts, chosen_by_texts, columns_made, contrast_of, gene_vectors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anndata import AnnData
    from numpy.typing import NDArray

    from bftembed.encoders import Encoder
    from bftembed.expression import Values

log = logging.getLogger("bftembed")


def score_text(  # noqa: PLR0913
    adata: AnnData,
    texts: str | Sequence[str] | Mapping[str, str],
    *,
    among: Literal["cells", "genes"] = "cells",
    use_rep: str = "X_bft",
    table: Any = None,
    reference: Any = None,
    batch_key: str | None = None,
    n_genes: int = 20,
    expressed_together: bool = False,
    layer: str | None = None,
    use_raw: bool = False,
    values: Values = "auto",
    gene_symbols: str | None = None,
    encoder: str | Encoder | None = None,
    key_added: str = "text",
) -> None:
    """Score cells, or genes, by what a free text says.

    The text chooses the genes whose own texts are nearest to it, and their expression scores the cells: the weighted
    mean of z-scores against a reference, in s.d. of what random genes of the same detection give in the same cell. So 0
    is chance, and 2 is noteworthy. The score of a cell depends on that cell, the vectors, the texts and the reference
    alone. How genes are chosen: `bftembed.queries.relevance`; how cells are scored: `bftembed.queries.text_scores`.

    Describe a cell by what it has and does ("a phagocyte of the blood with the lipopolysaccharide receptor CD14"):
    genes that the text names are chosen. Of texts that are asked together each keeps what is its own.

    Parameters
    ----------
    adata
        In memory, backed or lazy. The matrix is read in chunks (twice, without a `reference`), and never made dense.
    texts
        A text, several, or names and texts.
    among
        ``"cells"``, or ``"genes"``: the relevance of each gene to each text, in s.d. over genes.
    use_rep
        Key of the gene vectors in ``.varm``, from `embed_genes`.
    table
        Vectors of all genes, in place of ``.varm``: the AnnData of `bft.embed`, a DataFrame by gene (with `encoder`),
        or the path of an .h5ad, .zarr or .parquet of one. More genes to choose from, and the same vectors for any data.
    reference
        Of `bft.pp.reference`, its table or the path of one; by default of these cells.
    batch_key
        Column of ``.obs``: a reference per batch.
    n_genes
        How many genes each text chooses.
    expressed_together
        Prefer, of the 400 most relevant genes, those that are expressed together in these cells
        (`bftembed.queries.coherent`): somewhat better at finding cells, but scores then depend on the cells, and are
        larger for any text, so that 2 is no longer noteworthy.
    layer, use_raw, values
        Which matrix, and what it holds, as in `embed_cells`.
    gene_symbols
        Column of ``.var`` with the symbols of the genes, where ``var_names`` are others.
    encoder
        That of the gene vectors, where these do not tell it.
    key_added
        Beginning of the names of the results.

    Returns
    -------
    Nothing. Sets the following fields:

    ``.obs[f"{key_added}_{name}"]`` : float64 (n_obs,)
        For each text; NaN for cells that express none of the genes. With ``among="genes"`` in ``.var``, NaN for genes
        without a vector.
    ``.uns["bft"][key_added]["scores"]``, or ``["gene_scores"]`` : dict
        ``texts``; ``chosen``, a table of ``text``, ``gene``, ``weight`` and ``relevance``, the largest weight first;
        ``columns``, those made with this key, which alone are overwritten; parameters, version, date.

    Raises
    ------
    InputError
        If texts are empty or equal, a column of that name is not from `score_text`, or vectors, values or reference
        cannot be used.

    Warns
    -----
    BftembedWarning
        If a text is longer than the encoder takes.

    Examples
    --------
    >>> import anndata, numpy as np
    >>> import bftembed as bft
    >>> about = {"CD3E": "T cell receptor.", "CD3D": "The T cell receptor.", "ALB": "Blood plasma.", "APOA1": "Plasma."}
    >>> adata = anndata.AnnData(np.array([[5, 4, 0, 0], [0, 0, 3, 6], [4, 6, 0, 1]], dtype=np.float32))
    >>> adata.var_names = list(about)
    >>> bft.tl.embed_genes(adata, facts="none", profiles=about)
    >>> bft.tl.score_text(adata, {"T cell": "T cell receptor complex"}, n_genes=2)
    >>> int(adata.obs["text_T cell"].argmin())
    1
    """
    checked_anndata(adata)
    check_place(adata, key_added)
    check_choice("among", among, ("cells", "genes"))
    if use_raw and among == "genes":
        msg = 'use_raw=True has no place with among="genes": the scores are of the genes of `adata.var`.'
        raise InputError(msg)
    check_number("n_genes", n_genes, least=1, whole=True)
    asked = checked_texts(texts)
    if slashed := [name for name in asked if "/" in name]:
        msg = f"The name {slashed[0]!r} of a text cannot be that of a column in a file: give a name without `/`."
        raise InputError(msg)
    frame, side = ("var", "gene_scores") if among == "genes" else ("obs", "scores")
    names = [f"{key_added}_{name}" for name in asked]
    columns = columns_made(adata, key_added, side, names, place=frame)
    options = GeneOptions(use_rep, table, layer, use_raw, gene_symbols)
    genes = gene_vectors(parts_of(adata), options)
    if among == "genes":
        choice = chosen_by_texts(genes, list(asked.values()), n_genes=n_genes, encoder=encoder)
        found, symbols = choice.relevance, genes.symbols
    else:
        contrast = contrast_of(adata, genes, options, reference=reference, batch_key=batch_key, values=values)
        choice = chosen_by_texts(genes, list(asked.values()), n_genes=n_genes, encoder=encoder, usable=contrast.columns)
        if expressed_together:
            choice = coherent(contrast, choice, n_genes=n_genes)
        found = text_scores(contrast, choice.weights).calibrated
        symbols = genes.symbols[contrast.columns]
    with made_actual():
        for name, column in zip(names, found.T, strict=True):
            getattr(adata, frame)[name] = column
        info = described(
            asked,
            choice,
            symbols,
            n_genes=n_genes,
            expressed_together=expressed_together,
            columns=columns,
            encoder=dict(genes.made_with),
        )
        adata.uns["bft"] = with_provenance(adata.uns.get("bft", {}), key_added, side, info)
    shown = [f"{frame}['{name}']" for name in names[:3]] + ["..."] * (len(names) > 3)
    log.info("%d text%s -> %s", len(asked), "s" * (len(asked) > 1), ", ".join(shown))


def described(
    texts: Mapping[str, str],
    choice: Choice,
    symbols: NDArray[np.object_],
    *,
    of_genes: Mapping[str, NDArray[np.float64]] | None = None,
    **info: Any,
) -> dict[str, Any]:
    """What is kept of a question: texts, the genes that they chose, and `info`.

    `of_genes` are further columns of the table of genes, (n_genes, n_texts) each.
    """
    columns = {"weight": choice.weights, "relevance": choice.relevance, **(of_genes or {})}
    order, which = np.nonzero((choice.weights > 0).T)[::-1]
    ranked = np.lexsort((order, -choice.weights[order, which], which))
    order, which = order[ranked], which[ranked]
    names = np.array(list(texts), dtype=object)
    chosen = pd.DataFrame({"text": names[which], "gene": symbols[order].astype(str)})
    return {
        "texts": pd.DataFrame({"name": list(texts), "text": list(texts.values())}),
        "chosen": chosen.assign(**{name: values[order, which] for name, values in columns.items()}),
        **info,
        "bftembed_version": version("bftembed"),
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }
