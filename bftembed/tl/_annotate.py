"""Types of cells from texts about them, without any labelled cell."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bftembed._keys import check_place, with_provenance
from bftembed._near import check_number, did_you_mean
from bftembed.entities import entities_of, read_cell_types
from bftembed.errors import InputError
from bftembed.expression import checked_anndata, made_actual, parts_of
from bftembed.queries import coherent, group_means, text_scores
from bftembed.tl._entities import TextSource, embed_entities
from bftembed.tl._score_text import described
from bftembed.tl._text_query import GeneOptions, checked_texts, chosen_by_texts, columns_made, contrast_of, gene_vectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from numpy.typing import NDArray

    from bftembed.encoders import Encoder
    from bftembed.engines import Engine
    from bftembed.expression import Values

log = logging.getLogger("bftembed")

UNASSIGNED = "unassigned"


def annotate(  # noqa: PLR0913
    adata: AnnData,
    types: Sequence[str] | Mapping[str, str] | str | os.PathLike[str],
    *,
    use_rep: str = "X_bft",
    table: Any = None,
    reference: Any = None,
    batch_key: str | None = None,
    n_genes: int = 20,
    threshold: float = 0.0,
    neighbors_key: str | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    values: Values = "auto",
    gene_symbols: str | None = None,
    engine: str | Engine | None = None,
    encoder: str | Encoder | None = None,
    key_added: str = "bft_type",
) -> None:
    """Say of what type each cell is, by texts about the types alone.

    Each text chooses genes as in :func:`bftembed.tl.score_text`; of the 400 genes that are most relevant to it, those
    count that are expressed together in these cells (`bftembed.queries.coherent`: no label is used). A cell is of the
    type with the largest weighted mean of z-scores, unless that is no more than random genes give.

    The cells have to differ: the z-scores are relative to the reference, so in cells of one type alone each type finds
    some that have a little more of its genes. Look at the genes that decided before you trust a name.

    Parameters
    ----------
    adata
        In memory, backed or lazy. The matrix is read in chunks (four times, or three with a `reference`).
    types
        Names of types; names with descriptions (a sentence on what such a cell has and does: much better than a bare
        name); or the path of a file: an ontology (``.obo``), or lines of ``NAME`` or ``NAME<tab>DEFINITION``.
    use_rep, table, reference, batch_key, n_genes, layer, use_raw, values, gene_symbols, encoder
        As in :func:`bftembed.tl.score_text`.
    threshold
        A cell is "unassigned" where the genes of its type score below this, in s.d. of random genes in the same cell.
    neighbors_key
        Average the scores over a neighbour graph: key in ``.uns`` where ``sc.pp.neighbors`` kept it (``"neighbors"``
        by default there), or of a matrix in ``.obsp``. A type of few cells may be lost among its neighbours.
    engine
        Language model that writes a description of types that have none, as in `bft.embed` with ``kind="cell"``; by
        default the bare name is the text.
    key_added
        Name of the results.

    Returns
    -------
    Nothing. Sets the following fields:

    ``.obs[key_added]`` : categorical
        The type, or ``"unassigned"``, also for cells that express none of the genes.
    ``.obs[f"{key_added}_score"]`` : float64
        Score of that type's genes, in s.d. of random genes of the same detection in the same cell.
    ``.obs[f"{key_added}_margin"]`` : float64
        By how much the type's weighted mean of z-scores exceeds that of the next type.
    ``.obsm[f"{key_added}_scores"]`` : float32 (n_obs, n_types)
        Weighted means of z-scores, in the order of ``texts``.
    ``.uns["bft"][key_added]["types"]`` : dict
        ``texts``; ``chosen``, the genes that decided: ``text``, ``gene``, ``weight``, ``relevance`` and ``mean_z``, the
        mean z-score in the cells that got the type, the largest weight first; ``calls``, how many cells got each type;
        parameters, version, date.

    Raises
    ------
    InputError
        If there are fewer than two types, texts are empty or equal, a column of that name is not from `annotate`, or
        vectors, values, reference or graph cannot be used.

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
    >>> types = {"T cell": "T cell receptor complex", "hepatocyte": "makes the proteins of blood plasma"}
    >>> bft.tl.annotate(adata, types, n_genes=2)
    >>> adata.obs["bft_type"].tolist()
    ['T cell', 'hepatocyte', 'T cell']
    """
    checked_anndata(adata)
    check_place(adata, key_added)
    check_number("n_genes", n_genes, least=1, whole=True)
    check_number("threshold", threshold, least=-np.inf)
    made = [key_added, f"{key_added}_score", f"{key_added}_margin"]
    columns = columns_made(adata, key_added, "types", made, place="obs")
    asked = _described_types(types, engine)
    graph = None if neighbors_key is None else _graph(adata, neighbors_key)
    options = GeneOptions(use_rep, table, layer, use_raw, gene_symbols)
    genes = gene_vectors(parts_of(adata), options)
    contrast = contrast_of(adata, genes, options, reference=reference, batch_key=batch_key, values=values)
    texts = list(asked.values())
    choice = chosen_by_texts(genes, texts, n_genes=n_genes, encoder=encoder, usable=contrast.columns)
    choice = coherent(contrast, choice, n_genes=n_genes)
    scores = text_scores(contrast, choice.weights)
    means, calibrated = scores if graph is None else (_smoothed(each, graph) for each in scores)
    symbols = genes.symbols[contrast.columns]
    called = _called(means, calibrated, list(asked), threshold)
    info = described(
        asked,
        choice,
        symbols,
        of_genes={"mean_z": group_means(contrast, called["type"].cat.codes.to_numpy().astype(np.intp), len(asked)).T},
        calls=called["type"].value_counts(sort=False).rename_axis("type").rename("n_cells").reset_index(),
        n_genes=n_genes,
        threshold=threshold,
        neighbors_key=neighbors_key or "",
        columns=columns,
        encoder=dict(genes.made_with),
    )
    with made_actual():
        adata.obs[key_added] = called["type"].array
        adata.obs[f"{key_added}_score"] = called["score"].to_numpy()
        adata.obs[f"{key_added}_margin"] = called["margin"].to_numpy()
        adata.obsm[f"{key_added}_scores"] = means.astype(np.float32)
        adata.uns["bft"] = with_provenance(adata.uns.get("bft", {}), key_added, "types", info)
    n_unassigned = int((called["type"] == UNASSIGNED).sum())
    log.info("%d cells, %d unassigned -> obs[%r]", len(called), n_unassigned, key_added)


def _described_types(types: Any, engine: str | Engine | None) -> dict[str, str]:
    """Text by type."""
    if isinstance(types, str | os.PathLike):
        given = read_cell_types(types)
    elif isinstance(types, Mapping):
        given = dict(types)
    else:
        given = dict.fromkeys(checked_texts(types), "")
    given = checked_texts(given, bare=not isinstance(types, Mapping))
    bare = [name for name, text in given.items() if not text.strip()]
    written = dict.fromkeys(bare, "")
    if bare and engine is not None:
        entities, _ = entities_of(bare, kind="cell")
        texts = embed_entities(entities, TextSource(engine=engine, encoder="none")).texts
        written = {name: text or "" for name, text in zip(bare, texts, strict=True)}
    described_as = checked_texts(given | written, bare=True)
    asked = checked_texts({name: f"{name}: {text}" if text else name for name, text in described_as.items()})
    if len(asked) < 2:
        msg = f"There is one type only ({next(iter(asked))!r}): give at least two, or ask bft.tl.score_text."
        raise InputError(msg)
    if UNASSIGNED in asked:
        msg = f"{UNASSIGNED!r} is what cells without a type are called: give that type another name."
        raise InputError(msg)
    return asked


def _graph(adata: AnnData, key: str) -> Any:
    """Connectivities (n_obs, n_obs) of a neighbour graph."""
    graphs = {name: entry["connectivities_key"] for name, entry in adata.uns.items() if _is_graph(entry)}
    found = graphs.get(key, key)
    if found not in adata.obsp:
        known = [*graphs, *adata.obsp]
        msg = (
            f"There is no neighbour graph {key!r}: call sc.pp.neighbors(adata) first, and give its key in .uns, or "
            f"that of a matrix in .obsp ({', '.join(known) or 'there is none'}).{did_you_mean(str(key), known)}"
        )
        raise InputError(msg)
    return adata.obsp[found]


def _is_graph(entry: Any) -> bool:
    return isinstance(entry, Mapping) and "connectivities_key" in entry


def _smoothed(scores: NDArray[np.float64], graph: Any) -> NDArray[np.float64]:
    """Mean of a cell and its neighbours by the weight of their edges, of those that have scores."""
    known = np.isfinite(scores)
    total = graph @ np.where(known, scores, 0.0) + np.where(known, scores, 0.0)
    weight = graph @ known.astype(float) + known
    return np.asarray(np.divide(total, weight, out=np.full_like(scores, np.nan), where=weight > 0))


def _called(
    means: NDArray[np.float64], calibrated: NDArray[np.float64], names: list[str], threshold: float
) -> pd.DataFrame:
    """``type``, ``score`` and ``margin`` of each cell."""
    known = np.asarray(np.isfinite(means).all(axis=1))
    filled = np.where(known[:, None], means, 0.0)
    best = filled.argmax(axis=1)
    first, second = np.sort(filled, axis=1)[:, :-3:-1].T
    score = np.where(known, calibrated[np.arange(len(best)), best], np.nan)
    codes = np.where(known & ~(score < threshold), best, len(names))
    return pd.DataFrame(
        {
            "type": pd.Categorical.from_codes(codes, categories=pd.Index([*names, UNASSIGNED])),
            "score": score,
            "margin": np.where(known, first - second, np.nan),
        }
    )
