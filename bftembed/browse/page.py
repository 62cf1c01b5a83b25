"""Write the page: all of it in one file, which asks nothing of the network."""

from __future__ import annotations

import html
import logging
import re
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed._files import replacing
from bftembed._keys import NO_ANSWER
from bftembed.browse.about import columns_told, facts_of, flags_of, notes_of, origin, provenance_lines, symbols
from bftembed.browse.columns import Column, colour_columns
from bftembed.browse.near import neighbours, unit
from bftembed.browse.packing import cosines, packed
from bftembed.browse.rows import read_parts, rows_of
from bftembed.browse.words import word_index
from bftembed.encoders import encode_cached, restore_encoder
from bftembed.errors import DataError, InputError
from bftembed.expression import checked_anndata
from bftembed.vectors import layout_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from anndata import AnnData
    from numpy.typing import NDArray

    from bftembed.browse.rows import Rows
    from bftembed.encoders import Encoder
    from bftembed.entities import Facts
    from bftembed.profiles import ProfileStore
    from bftembed.quality import ProfileChecks

log = logging.getLogger("bftembed")
_SUFFIXES = (".html", ".htm")


def write_page(  # noqa: PLR0913 -- one call with all that a page can have
    adata: AnnData | str | Path,
    path: str | Path,
    *,
    use_rep: str = "X_bft",
    among: str | None = None,
    layout: str | None = None,
    queries: Sequence[str] = (),
    color: str | Sequence[str] | None = None,
    checks: ProfileChecks | pd.DataFrame | str | Path | None = None,
    store: ProfileStore | str | Path | None = None,
    facts: Facts = "auto",
    encoder: str | Encoder | None = None,
    title: str | None = None,
    max_rows: int = 50_000,
    seed: int = 0,
) -> Path:
    """Write one HTML page to look at an embedding: a map, a search by names and words, texts and what is near.

    The page needs no network and no server: all that it shows is in the file, which can be sent to others. Nobody
    who reads it can see the paths of this machine, but all texts, columns and queries.

    Parameters
    ----------
    adata
        After a function of `tl` that embeds, the result of :func:`bftembed.embed`, or the path of either (.h5ad,
        .zarr), of which the matrices are not read.
    path
        The page: .html.
    use_rep
        Key of the embedding.
    among
        ``"genes"``, ``"cells"`` or ``"perturbations"`` (conditions); by default perturbations, else genes, else cells,
        what there is.
    layout
        Of the map: a key of ``obsm`` (``varm`` for genes), ``"umap"`` or ``"pca"``. By default ``f"{use_rep}_umap"`` or
        ``X_umap`` where there is one, of cells only if ``uns["neighbors"]`` is of this embedding, else a UMAP where
        scanpy is installed, else principal components. The page says which it is.
    queries
        Free texts, encoded as queries by the encoder of the embedding: each can colour the map by cosine.
    color
        Columns of ``obs`` (``var`` for genes) to colour by, the first to begin with; by default all that can: numbers,
        and labels of which there are at most 100. Other columns are told of each row.
    checks
        What :func:`bftembed.quality.check_profiles` found in the texts, or the file of `bftembed profiles check
        --genes-output`: each gene shows what is wrong in its text.
    store
        Where the texts are, if they are neither in `adata` nor in the store that made them, see
        :func:`bftembed.get.profiles`.
    facts
        ``"auto"``: each gene also shows what the gene tables on this machine know of it; ``"none"``: not.
    encoder
        For `queries` where the embedding was made with an encoder object.
    title
        Of the page; by default the file's name.
    max_rows
        Of more rows, a random sample of this many is shown, and the page says so.
    seed
        Of the sample and of the UMAP.

    Returns
    -------
    The page's path.

    Raises
    ------
    InputError
        If there is no such embedding, layout or column, texts are asked of cells that are made of genes, or `path` is
        no .html in a directory that exists.
    DataError
        If the page cannot be written.

    Examples
    --------
    >>> import tempfile, bftembed as bft
    >>> texts = {"CD3E": "T cell receptor.", "CD3D": "The T cell receptor.", "ALB": "Blood plasma."}
    >>> genes = bft.embed(list(texts), facts="none", profiles=texts)
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     page = bft.browse.write_page(genes, f"{directory}/genes.html", facts="none", queries=["immune cells"])
    ...     page.name, page.stat().st_size < 100_000
    ('genes.html', True)
    """
    target = _checked_target(path)
    if max_rows < 1:
        msg = f"max_rows={max_rows} must be at least 1."
        raise InputError(msg)
    name = ""
    if isinstance(adata, str | Path):
        name = Path(adata).stem
        adata = read_parts(adata, [use_rep, f"{use_rep}_umap", "X_umap", *([layout] if layout else [])])
    checked_anndata(adata)
    rows = rows_of(adata, use_rep=use_rep, among=among, store=store).sampled(max_rows, seed)
    if not rows.known.any():
        msg = f"Not one of {len(rows.frame):,} {rows.noun} has a vector in `{use_rep}`: there is nothing to show."
        raise InputError(msg)
    asked = [color] if isinstance(color, str) else color
    flags = flags_of(rows, checks)
    where, remedy = _looked_in(adata, rows, adata.uns["bft"][use_rep], asked or ())
    columns = [*colour_columns(rows.frame, rows.uns, asked, where=where, remedy=remedy), *_made(rows, flags)]
    scores = _scores(rows, [queries] if isinstance(queries, str) else list(queries), encoder)
    held = rows.held if layout else _layouts(rows, use_rep)
    placed, words = layout_of(rows.vectors, rows.known, held, layout=layout, use_rep=use_rep, seed=seed)
    told = {
        "title": title or name or rows.noun.capitalize(),
        "layout": words,
        "checked": flags is not None,
        "begin": _first(columns, asked, len(scores)),
    }
    if rows.without:
        log.warning("The page has no texts. %s", rows.without)
    _write(target, told["title"], _map(rows, told, placed, columns, scores), _texts(rows, facts, flags, columns))
    log.info("%s: %s %s, map: %s", target, f"{len(rows.frame):,}", rows.noun, words)
    return target


def _checked_target(path: str | Path) -> Path:
    target = Path(path).expanduser()
    if target.suffix not in _SUFFIXES:
        msg = f"`{target}` is to be a page: give it a name that ends in .html."
        raise InputError(msg)
    if not target.parent.is_dir():
        msg = f"There is no directory {str(target.parent)!r} for the page {str(target)!r}; make it first."
        raise InputError(msg)
    return target


def _looked_in(adata: AnnData, rows: Rows, sides: Mapping[str, Any], asked: Sequence[str]) -> tuple[str, str]:
    """Where columns are looked for, and what has one that is not there."""
    where = "the conditions" if rows.noun == "perturbations" else "adata.obs"
    if rows.noun == "genes" and "genes" in sides:
        where = "adata.var"
    other, frame = ("cells", adata.obs) if where == "adata.var" else ("genes", adata.var)
    has = other in sides and any(name in frame for name in asked if name not in rows.frame)
    return where, f" among={other!r} (`--among {other}`) has this column." if has else ""


def _layouts(rows: Rows, use_rep: str) -> dict[str, Any]:
    """Layouts that a page may begin with: ``X_umap`` of cells is mostly one of their expression."""
    neighbors = rows.uns.get("neighbors", {})
    made_of = neighbors.get("params", {}).get("use_rep") if hasattr(neighbors, "get") else None
    foreign = rows.noun == "cells" and made_of != use_rep
    return {key: held for key, held in rows.held.items() if not (foreign and key == "X_umap")}


def _write(target: Path, title: Any, drawn: str, texts: str) -> None:
    pieces = {"TITLE": html.escape(str(title)), "MAP": drawn, "TEXTS": texts}
    template = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
    text = re.sub("%%(TITLE|MAP|TEXTS)%%", lambda found: pieces[found[1]], template)
    try:
        with replacing(target) as made:
            made.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        msg = f"`{target}` cannot be written: {error}. Free space, or choose another path."
        raise DataError(msg) from error


def _first(columns: Sequence[Column], asked: Sequence[str] | None, n_queries: int) -> int:
    """What colours the map at first: the column asked for, else a query, else labels; -1 for nothing."""
    if asked:
        return 0
    if n_queries:
        return len(columns)
    return next((i for i, column in enumerate(columns) if column.labels), -1)


def _map(
    rows: Rows,
    told: dict[str, Any],
    placed: NDArray[np.float32],
    columns: Sequence[Column],
    scores: dict[str, NDArray[np.float32]],
) -> str:
    """What the map and the search by names need."""
    near, similar = neighbours(rows.vectors, rows.known)
    n = len(rows.frame)
    numbers = np.uint16 if n < 1 << 16 else np.uint32
    arrays: dict[str, NDArray[Any]] = {
        "x": placed[:, 0],
        "y": placed[:, 1],
        "near": np.where(near < 0, np.iinfo(numbers).max, near).astype(numbers).ravel(),
        "similar": cosines(similar).ravel(),
    }
    arrays |= {f"column{i}": column.data for i, column in enumerate(columns)}
    arrays |= {f"query{i}": cosines(score) for i, score in enumerate(scores.values())}
    names = rows.names
    others = symbols(rows) if rows.noun == "genes" else names
    drawn = [{"name": each.name, "labels": each.labels, "colors": each.colors} for each in columns]
    told = {
        **told,
        "noun": rows.noun,
        "total": rows.n_total,
        "without": rows.without,
        "unknown": int((~rows.known).sum()),
        "origin": origin(rows.info, rows.genes),
        "provenance": provenance_lines({**rows.info, **({"genes": rows.genes} if rows.genes else {})}),
        "version": version("bftembed"),
        "names": names,
        "others": [other if other != name else "" for name, other in zip(names, others, strict=True)],
        "columns": drawn,
        "queries": list(scores),
        "k": near.shape[1],
    }
    return packed(told, arrays)


def _texts(rows: Rows, facts: Facts, flags: list[list[str]] | None, columns: Sequence[Column]) -> str:
    """What is told of each row, and the words of the texts."""
    known, used = facts_of(rows, facts)
    beside = columns_told(rows, [column.name for column in columns])
    marked = flags if flags is not None else [[] for _ in known]
    lines = zip(rows.text, known, beside, marked, notes_of(rows), strict=True)
    words, index = word_index(rows.text)
    return packed({"facts": used, "rows": list(lines), "words": words}, index)


def _made(rows: Rows, flags: list[list[str]] | None) -> list[Column]:
    """Columns that this page adds: the result of the check, and how long the texts are."""
    made = []
    if flags is not None:
        codes = [2 if each == ["?"] else int(bool(each)) for each in flags]
        labels = ["nothing found", "flagged", "not checked"]
        made.append(Column("profile check", np.array(codes, dtype=np.uint8), labels, ["#3a9d6e", "#d9543a", "#9aa3ad"]))
    if rows.texts is not None:
        lengths = [len(text.split()) or np.nan for text in rows.text]
        made.append(Column("words in the text", np.array(lengths, dtype=np.float32)))
    return made


def _scores(rows: Rows, queries: Sequence[str], encoder: str | Encoder | None) -> dict[str, NDArray[np.float32]]:
    """The cosine of every row to each query, NaN where a row has no vector."""
    if not queries:
        return {}
    if not all(isinstance(query, str) and query.strip() for query in queries):
        msg = f"`queries` are free texts, got {list(queries)!r}."
        raise InputError(msg)
    if rows.weighted:
        msg = f"{NO_ANSWER} Its columns of obs colour the map: leave `queries` out."
        raise InputError(msg)
    texts = list(dict.fromkeys(queries))
    made, _ = encode_cached(texts, restore_encoder(dict(rows.info["encoder"]), encoder), query=True)
    found = np.full((len(texts), len(rows.frame)), np.nan, dtype=np.float32)
    found[:, rows.known] = unit(np.asarray(made, dtype=np.float32)) @ unit(rows.vectors[rows.known]).T
    return dict(zip(texts, found, strict=True))
