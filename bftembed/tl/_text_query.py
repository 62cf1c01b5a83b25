"""What a question by text needs of an AnnData: vectors of genes and texts, and expression against a reference."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bftembed import pp
from bftembed._keys import check_embedded, held_sides
from bftembed._unicode import writable
from bftembed._warn import warn
from bftembed.encoders import encode_cached, restore_encoder
from bftembed.entities import canonical
from bftembed.errors import InputError
from bftembed.expression import check_columns, chosen_matrix, column_of, gene_names, parts_of
from bftembed.queries import BACKGROUND, Choice, Contrast, choose_genes, genes_named, relevance
from bftembed.tl._stream.contrast import batches_of
from bftembed.tl._stream.input import checked_vectors, choose
from bftembed.vectors import read_table

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from anndata import AnnData
    from numpy.typing import NDArray

    from bftembed.encoders import Encoder
    from bftembed.expression import AnnDataParts, Values


@dataclass(frozen=True)
class GeneVectors:
    """The genes of a matrix, in the order of its columns, with their vectors.

    Attributes
    ----------
    keys, symbols
        (n_vars,): what a reference calls them, and canonical symbols where they are known.
    vectors, table
        Vectors of these genes (n_vars, d), and of all genes (m, d).
    made_with
        Record of the encoder.
    """

    keys: NDArray[np.object_]
    symbols: NDArray[np.object_]
    vectors: NDArray[np.float32]
    table: NDArray[np.float32]
    made_with: Mapping[str, Any]


@dataclass(frozen=True)
class GeneOptions:
    """Which genes, and whose vectors: the arguments that questions by text share."""

    use_rep: str = "X_bft"
    table: Any = None
    layer: str | None = None
    use_raw: bool = False
    gene_symbols: str | None = None


def checked_texts(texts: Any, *, bare: bool = False) -> dict[str, str]:
    """Texts by name; texts without names are their own.

    Parameters
    ----------
    texts
        A text, several, or names and texts.
    bare
        Whether a text may be ``""``: its name stands for it.

    Raises
    ------
    InputError
        If there are none, one is empty, no text or cannot be in a file, or two say the same.
    """
    given = {texts: texts} if isinstance(texts, str) else texts
    if not isinstance(given, Mapping):
        given = _by_themselves(given)
    if not given:
        msg = "There is no text to ask for: give one, a list, or names and texts, {'monocyte': 'A phagocyte of ...'}."
        raise InputError(msg)
    seen: dict[str, str] = {}
    for name, text in given.items():
        if not isinstance(name, str) or not name.strip():
            msg = f"The name {name!r} of a text must be a word: it is the name of a result."
            raise InputError(msg)
        if not isinstance(text, str) or not (text.strip() or bare):
            what = "empty" if isinstance(text, str) or text is None else f"{text!r}, which is no text"
            msg = f"The text of `{name}` is {what}: say in a sentence what is meant, or leave it out."
            raise InputError(msg)
        if writable(name + text) != name + text:
            msg = f"The text {text!a} of {name!a} holds NUL or half a character, which no file can hold."
            raise InputError(msg)
        key = " ".join(text.casefold().split())
        if key and key in seen:
            msg = f"`{seen[key]}` and `{name}` have the same text ({text[:60]!r}): say what sets them apart."
            raise InputError(msg)
        seen[key] = name
    return dict(given)


def _by_themselves(texts: Any) -> dict[str, str]:
    if not isinstance(texts, Iterable):
        msg = f"Texts are a text, a list, or a mapping of names to texts, not a {type(texts).__name__}."
        raise InputError(msg)
    listed = list(texts)
    if others := [each for each in listed if not isinstance(each, str)]:
        msg = f"Among the texts is {others[0]!r}, which is no text."
        raise InputError(msg)
    return dict(zip(listed, listed, strict=True))


def columns_made(adata: AnnData, key: str, side: str, names: Sequence[str], *, place: str) -> list[str]:
    """Names of the columns of ``adata.obs`` or ``adata.var`` that are of `key`: `names`, and those of earlier calls.

    Raises
    ------
    InputError
        If one of `names` is there and no earlier call with this key made it.
    """
    there = set(map(str, getattr(adata, place).columns))
    made = there & set(map(str, held_sides(adata.uns, key).get(side, {}).get("columns", ())))
    if foreign := [name for name in names if name in there - made]:
        msg = f"`adata.{place}` has a column `{foreign[0]}` already: give another key_added, or delete the column."
        raise InputError(msg)
    return sorted(made | set(names))


def gene_vectors(parts: AnnDataParts, options: GeneOptions) -> GeneVectors:
    """Vectors of the genes of the matrix that the options choose.

    Raises
    ------
    InputError
        If the matrix or the vectors are missing, or none of the genes has one.
    """
    keys = gene_names(parts, use_raw=options.use_raw)
    symbols = _symbols(parts, keys, options)
    if options.table is None:
        own = choose(parts, use_rep=options.use_rep, layer=options.layer, use_raw=options.use_raw).vectors
        return GeneVectors(keys, symbols, own, own, _encoder_of(parts.uns, options.use_rep))
    names, vectors, made_with = _read_table(options.table, options.use_rep)
    rows = {name: row for row, name in reversed(list(enumerate(names)))}
    where = np.array([rows.get(symbol, rows.get(key, -1)) for symbol, key in zip(symbols, keys, strict=True)])
    own = np.where((where >= 0)[:, None], vectors[where], np.float32(np.nan)).astype(np.float32)
    if np.isnan(own).any(axis=1).all():
        shown = (", ".join(map(str, some[:3])) for some in (keys, names))
        msg = (
            "None of the genes ({}, ...) has a vector in `table` ({}, ...): name both alike, e.g. by bft.pp.map_genes, "
            "or say with gene_symbols= where the symbols are."
        ).format(*shown)
        raise InputError(msg)
    return GeneVectors(keys, symbols, own, vectors, made_with)


def chosen_by_texts(
    genes: GeneVectors,
    texts: Sequence[str],
    *,
    n_genes: int,
    encoder: str | Encoder | None,
    usable: NDArray[np.intp] | None = None,
) -> Choice:
    """What `texts` choose among the genes, or among the `usable` ones of them, to which the result is cut then.

    Raises
    ------
    InputError
        If the encoder of the vectors is not known.

    Warns
    -----
    BftembedWarning
        If a text is longer than the encoder takes.
    """
    asked, general = encoded_texts(texts, genes.made_with, encoder)
    near = relevance(genes.vectors, asked, general, table=genes.table)
    symbols = genes.symbols
    if usable is not None:
        near, symbols = near[usable], symbols[usable]
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(symbols):
        rows.setdefault(name, []).append(row)
    said = genes_named(texts)
    _warn_of_missing(
        [gene for found in said if 2 * sum(gene in rows for gene in found) < len(found) for gene in found], rows
    )
    named = [[row for gene in found for row in rows.get(gene, [])] for found in said]
    return choose_genes(near, n_genes=n_genes, named=named)


def _warn_of_missing(named: Sequence[str], there: Container[str]) -> None:
    """Of texts of which most named genes cannot be chosen: others, that are less to the point, stand for them."""
    if missing := list(dict.fromkeys(gene for gene in named if gene not in there)):
        msg = (
            f"Texts name {', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}, which are not among the genes "
            "that can be chosen (not in the data, without a vector, or the same in all cells): others stand for them. "
            "Give all genes of the data, e.g. with use_raw=True, and the vectors of all genes as table=."
        )
        warn(msg)


def encoded_texts(
    texts: Sequence[str], made_with: Mapping[str, Any], encoder: str | Encoder | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vectors of the texts and of `BACKGROUND`, by the encoder that made the genes' vectors."""
    if not (encoder or made_with.get("spec")):
        msg = "Pass the `encoder` that made the vectors of the genes: they do not tell it."
        raise InputError(msg)
    known = restore_encoder(made_with, encoder)
    vectors, n_split = encode_cached(list(texts), known, query=True)
    if n_split:
        msg = (
            f"{n_split} of {len(texts)} texts exceed the {known.max_seq_length} tokens that the encoder takes: "
            "their parts' vectors are averaged. Say it in a sentence or two, which choose genes better."
        )
        warn(msg)
    general, _ = encode_cached(list(BACKGROUND), known, query=True)
    return vectors, general


def contrast_of(
    adata: AnnData,
    genes: GeneVectors,
    options: GeneOptions,
    *,
    reference: Any = None,
    batch_key: str | None = None,
    values: Values = "auto",
) -> Contrast:
    """Expression of the genes that have a vector and vary in the reference, by default that of these cells.

    Raises
    ------
    InputError
        If the matrix, its values or the reference cannot be used, or no gene is left.
    """
    parts = parts_of(adata)
    matrix = chosen_matrix(parts, layer=options.layer, use_raw=options.use_raw)
    if reference is None:
        made = pp.reference(adata, batch_key=batch_key, layer=options.layer, use_raw=options.use_raw, values=values)
    else:
        made = pp.Reference.of(reference)
    codes = batches_of(parts, made, batch_key)
    with_vector = np.asarray(np.isfinite(genes.vectors).all(axis=1))
    contrast = Contrast.of(matrix, genes.keys, made, takes_part=with_vector, batches=codes, values=values)
    return contrast if reference is not None else replace(contrast, levels=None)  # nothing to check of these cells


def _symbols(parts: AnnDataParts, keys: NDArray[np.object_], options: GeneOptions) -> NDArray[np.object_]:
    var = parts.raw.var if options.use_raw and parts.raw is not None else parts.var
    if options.gene_symbols is not None:
        check_columns(var, "adata.raw.var" if options.use_raw else "adata.var", [options.gene_symbols])
        keys = column_of(var, options.gene_symbols).astype(str).to_numpy(dtype=object)
    elif "bft_gene" in parts.var.columns:
        return keys
    return np.array([symbol or key for symbol, key in zip(canonical(keys), keys, strict=True)], dtype=object)


def _read_table(table: Any, use_rep: str) -> tuple[list[str], NDArray[np.float32], Mapping[str, Any]]:
    """Names, vectors (m, d) and record of the encoder of a table of all genes."""
    if isinstance(table, str | os.PathLike):
        table = read_table(table, "table")
    if hasattr(table, "obsm"):
        key = use_rep if use_rep in table.obsm else "X_bft"
        check_embedded(table.obsm, key, "obsm", "bft.embed")
        names = table.obs.get("bft_gene", table.obs_names)
        vectors = checked_vectors(table.obsm[key], f"`table.obsm[{key!r}]`")
        return list(map(str, names)), vectors, _encoder_of(table.uns, key)
    if isinstance(table, pd.DataFrame):
        return list(map(str, table.index)), checked_vectors(table.select_dtypes("number"), "`table`"), {}
    msg = f"`table` is the AnnData of bft.embed, a DataFrame by gene, or the path of one, not a {type(table).__name__}."
    raise InputError(msg)


def _encoder_of(uns: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    sides = held_sides(uns, key).values()
    return next((dict(side["encoder"]) for side in sides if hasattr(side, "keys") and "encoder" in side), {})
