"""Labels of one set of cells for another, in the space of gene vectors."""

from __future__ import annotations

import datetime as dt
import logging
import warnings
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pandas as pd

from bftembed._keys import check_embedded, check_place, with_provenance
from bftembed._near import check_choice, check_number
from bftembed.errors import InputError
from bftembed.expression import check_columns, checked_anndata, made_actual
from bftembed.tl._annotate import UNASSIGNED
from bftembed.tl._shared_genes import SharedGenes, Usual
from bftembed.tl._text_query import columns_made
from bftembed.vectors import has_direction

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

log = logging.getLogger("bftembed")
_TEXTS = "texts"
_FOLDS = 5


def transfer_labels(  # noqa: PLR0913
    ref: AnnData,
    query: AnnData,
    label_key: str,
    *,
    use_rep: str = "X_bft",
    n_neighbors: int = 15,
    threshold: float = 0.0,
    reference: Usual = "own",
    batch_key: str | None = None,
    truth_key: str | None = None,
    layer: str | None = None,
    n_controls: int = 5,
    seed: int = 0,
    key_added: str = "bft_label",
) -> None:
    """Give the cells of `query` the labels of the cells of `ref` that are nearest in the space of gene vectors.

    Cells of both are made of the genes that both have (`embed_cells`: contrasts with whitened vectors), and a vote of
    the nearest cells of `ref` by cosine decides (`sklearn.neighbors.KNeighborsClassifier`). No model is trained.

    How much of that is due to the texts? The same is done with random vectors of the genes, which know nothing but
    which gene is which: their scores stand beside. Where texts do no better, expression alone decided.

    Parameters
    ----------
    ref
        Cells with labels, and vectors of genes in ``varm[use_rep]`` (:func:`bftembed.tl.embed_genes`).
    query
        Cells to be labelled; genes are found by ``var["bft_gene"]``, else by canonical symbol.
    label_key
        Column of ``ref.obs``; cells without a label, or with an empty one, are left out.
    use_rep
        Key of the gene vectors.
    n_neighbors
        How many cells vote.
    threshold
        A cell is "unassigned" where a smaller share of its neighbours than this has its label.
    reference
        What the cells of `query` are compared with: what is usual in `query` (``"own"``), which takes out what differs
        between the data sets, or in `ref` (``"ref"``), where `query` holds few types or few cells.
    batch_key
        Column of ``ref.obs``: these batches are compared each with its own reference, and are held out one by one for
        the score of the reference.
    truth_key
        Column of ``query.obs`` with known labels, of the same names: scored beside. A label that `ref` lacks has recall
        0.
    layer
        Layer to use in place of X, of both. Counts are scaled to 10,000 per cell, by all genes, and logged.
    n_controls
        How many times random vectors are drawn.
    seed
        Of the random vectors and of folds.
    key_added
        Name of the results.

    Returns
    -------
    None
        Sets the following fields of `query`:

        ``.obs[key_added]`` : categorical
            The label, or ``"unassigned"``, also for cells that express none of the genes.
        ``.obs[f"{key_added}_confidence"]`` : float64
            Share of the neighbours that have it; NaN for cells that express none of the genes.
        ``.uns["bft"][key_added]["labels"]`` : dict
            ``scores``: a row for the texts and one for each draw of random vectors: ``ref`` (mean recall of the labels
            of held-out cells of `ref`, by five random folds or by batch), ``query`` (the same against `truth_key`),
            ``agreement`` (share of the cells of `query` that get the label that they get by the texts); ``n_genes``,
            parameters, version, date.

    Raises
    ------
    InputError
        If one is no AnnData, genes look like those of a mouse, there are no such vectors, labels or batches, fewer than
        two labels, no genes in common, or fewer cells with a label than neighbours.

    Warns
    -----
    BftembedWarning
        If less than half of the genes with a vector are in `query`.

    Examples
    --------
    >>> import anndata, numpy as np
    >>> import bftembed as bft
    >>> x = np.random.default_rng(0).poisson(1.0, (40, 4)).astype(np.float32)
    >>> x[:20, :2] += 5
    >>> x[20:, 2:] += 5
    >>> ref, query = anndata.AnnData(x[::2]), anndata.AnnData(x[1::2])
    >>> ref.var_names = query.var_names = ["CD3E", "CD3D", "ALB", "APOA1"]
    >>> ref.obs["type"] = ["T cell"] * 10 + ["hepatocyte"] * 10
    >>> ref.varm["X_bft"] = np.eye(4, dtype=np.float32)
    >>> bft.tl.transfer_labels(ref, query, "type", n_neighbors=3)
    >>> query.obs["bft_label"].iloc[[0, -1]].tolist()
    ['T cell', 'hepatocyte']
    """
    checked_anndata(ref, "ref")
    checked_anndata(query, "query")
    check_place(query, key_added)
    check_choice("reference", reference, get_args(Usual))
    check_number("n_neighbors", n_neighbors, least=1, whole=True)
    check_number("n_controls", n_controls, least=1, whole=True)
    check_number("threshold", threshold, least=0)
    check_number("seed", seed, least=0, whole=True)
    if threshold > 1:
        msg = f"`threshold` is a share of the neighbours, from 0 to 1, got {threshold!r}."
        raise InputError(msg)
    check_embedded(ref.varm, use_rep, "varm", "bft.tl.embed_genes", of="ref")
    check_columns(ref.obs, "ref.obs", [label_key, *([batch_key] if batch_key else [])])
    check_columns(query.obs, "query.obs", [truth_key] if truth_key else [])
    columns = columns_made(query, key_added, "labels", [key_added, f"{key_added}_confidence"], place="obs")
    every = _texts(ref.obs[label_key])
    known = every.notna().to_numpy()
    labels = every[known].to_numpy(dtype=str)
    _check_labels(labels, label_key, n_neighbors)
    truth = None if truth_key is None else _texts(query.obs[truth_key]).to_numpy()
    _check_truth(truth, labels, f"`query.obs[{truth_key!r}]` and `ref.obs[{label_key!r}]`")
    batches = None if batch_key is None else ref.obs[batch_key].astype(str).to_numpy(dtype=str)[known]
    space = SharedGenes(ref, query, rows=known, use_rep=use_rep, layer=layer, usual=reference, batch_key=batch_key)
    rng = np.random.default_rng(seed)
    votes, held = {}, {}
    for which in (_TEXTS, *(f"random {i + 1}" for i in range(n_controls))):
        cells, asked = space.cells(None if which == _TEXTS else rng)
        votes[which] = _voted(cells, labels, asked, n_neighbors)
        held[which] = _held_out(cells, labels, batches, n_neighbors, seed)
    called = votes[_TEXTS]
    scored = pd.DataFrame([_scores(which, held[which], made, called, truth) for which, made in votes.items()])
    result = _assigned(called, np.unique(labels), threshold)
    info = {
        "scores": scored,
        "label_key": label_key,
        "use_rep": use_rep,
        "n_genes": space.n_genes,
        "n_cells_ref": len(labels),
        "n_neighbors": n_neighbors,
        "threshold": threshold,
        "reference": reference,
        "batch_key": batch_key or "",
        "truth_key": truth_key or "",
        "columns": columns,
        "bftembed_version": version("bftembed"),
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }
    with made_actual():
        query.obs[key_added] = result.array
        query.obs[f"{key_added}_confidence"] = called["confidence"].to_numpy()
        query.uns["bft"] = with_provenance(query.uns.get("bft", {}), key_added, "labels", info)
    _tell(result, scored, key_added)


def _texts(column: pd.Series[Any]) -> pd.Series[Any]:
    """Labels as texts; None where there is none, or an empty one."""
    texts = column.astype(object).astype(str).reset_index(drop=True)
    return texts.where(column.notna().to_numpy() & (texts.str.strip() != ""), None)


def _check_labels(labels: NDArray[np.str_], label_key: str, n_neighbors: int) -> None:
    if len(found := np.unique(labels)) < 2:
        msg = f"`ref.obs[{label_key!r}]` has {len(found)} labels in {len(labels)} cells: at least two are needed."
        raise InputError(msg)
    if 2 * len(found) > len(labels):
        msg = f"`ref.obs[{label_key!r}]` has {len(found)} labels in {len(labels)} cells: name a column of types."
        raise InputError(msg)
    if len(labels) <= n_neighbors:
        msg = f"{len(labels)} cells of `ref` have a label, which is too few for n_neighbors={n_neighbors}."
        raise InputError(msg)
    if UNASSIGNED in found:
        msg = f"{UNASSIGNED!r} is what cells without a label are called: rename that label of `ref`."
        raise InputError(msg)


def _check_truth(truth: NDArray[np.object_] | None, labels: NDArray[np.str_], where: str) -> None:
    if truth is None or (asked := {label for label in truth if label is not None}) & set(labels):
        return
    shown = (", ".join(sorted(each)[:3]) or "nothing" for each in (asked, set(labels.tolist())))
    msg = f"{where} have no label in common ({'; '.join(shown)}): name them alike."
    raise InputError(msg)


def _voted(cells: Floats, labels: NDArray[np.str_], asked: Floats, n: int) -> pd.DataFrame:
    """``label`` and ``confidence`` of each cell that is asked for; missing where it has no vector."""
    from sklearn.neighbors import KNeighborsClassifier

    usable, answerable = has_direction(cells), has_direction(asked)
    made = pd.DataFrame({"label": np.array([None] * len(asked), dtype=object), "confidence": np.nan})
    if answerable.any() and usable.any():
        voting = KNeighborsClassifier(min(n, int(usable.sum())), metric="cosine", algorithm="brute")
        with warnings.catch_warnings():  # few cells of a label are told by the scores
            warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
            shares = voting.fit(cells[usable], labels[usable]).predict_proba(asked[answerable])
        made.loc[answerable, "label"] = voting.classes_[shares.argmax(axis=1)].astype(object)
        made.loc[answerable, "confidence"] = shares.max(axis=1)
    return made


def _held_out(cells: Floats, labels: NDArray[np.str_], batches: NDArray[np.str_] | None, n: int, seed: int) -> float:
    """Mean recall of the labels of cells that took no part in the vote."""
    from sklearn.model_selection import KFold, LeaveOneGroupOut

    by_batch = batches is not None and len(np.unique(batches)) > 1
    n_folds = min(_FOLDS, len(labels))
    folds: Any = LeaveOneGroupOut() if by_batch else KFold(n_folds, shuffle=True, random_state=seed % 2**32)
    found = np.array([None] * len(labels), dtype=object)
    for train, test in folds.split(cells, labels, batches if by_batch else None):
        found[test] = _voted(cells[train], labels[train], cells[test], n)["label"]
    return _recall(labels.astype(object), pd.Series(found))


def _scores(
    which: str, held: float, made: pd.DataFrame, called: pd.DataFrame, truth: NDArray[np.object_] | None
) -> dict[str, Any]:
    agree = made["label"].fillna("") == called["label"].fillna("")
    return {"vectors": which, "ref": held, "query": _recall(truth, made["label"]), "agreement": float(agree.mean())}


def _recall(truth: NDArray[np.object_] | None, called: pd.Series[Any]) -> float:
    """Mean over labels of the share of cells that get theirs; NaN without known labels."""
    if truth is None:
        return float("nan")
    from sklearn.metrics import recall_score

    known = pd.Series(truth).notna().to_numpy()
    names, given = truth[known].astype(str), called.fillna("").to_numpy(dtype=str)[known]
    return float(recall_score(names, given, labels=np.unique(names), average="macro"))


def _assigned(called: pd.DataFrame, names: NDArray[np.str_], threshold: float) -> pd.Series[Any]:
    sure = called["label"].notna() & ~(called["confidence"] < threshold)
    values = called["label"].where(sure, UNASSIGNED)
    return pd.Series(pd.Categorical(values, categories=[*names.tolist(), UNASSIGNED]))


def _tell(result: pd.Series[Any], scored: pd.DataFrame, key_added: str) -> None:
    told = []
    for where in ("ref", "query"):
        texts, *random = scored[where]
        if np.isfinite(texts):
            held = "held-out cells of ref" if where == "ref" else "cells of query"
            told.append(f"{held}: recall {texts:.3f}, by random vectors {np.mean(random):.3f}")
    unassigned = int((result == UNASSIGNED).sum())
    log.info("%d cells, %d unassigned -> obs[%r]; %s", len(result), unassigned, key_added, "; ".join(told))
