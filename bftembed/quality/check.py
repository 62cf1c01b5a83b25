"""Profile texts of genes held against the gene tables."""

from __future__ import annotations

import hashlib
import logging
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bftembed import _progress
from bftembed.datasets import one_per_gene
from bftembed.encoders import get_encoder
from bftembed.errors import InputError
from bftembed.profiles import read_profiles
from bftembed.quality.form import copied, is_refusal, repetition
from bftembed.quality.known import known_genes
from bftembed.quality.measures import Estimate, estimates, measure_values, paired
from bftembed.quality.ranks import vector_ranks, word_ranks
from bftembed.quality.result import ProfileChecks
from bftembed.quality.statements import STATEMENTS, statements
from bftembed.quality.symbols import unknown_symbols
from bftembed.quality.words import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bftembed.encoders import Encoder
    from bftembed.quality.known import Known

log = logging.getLogger("bftembed")
#: Most genes of a row of controls.
_CONTROLS = 2000
_NO_DIFFERENCES = pd.DataFrame(columns=["measure", *Estimate._fields, "first", "second"])
_LOOP = 0.5  # repetition from which on a text is said to loop


def check_profiles(
    profiles: Any,
    *,
    encoder: str | Encoder = "none",
    recipe: str | None = None,
    controls: bool = True,
    progress: bool | None = None,
) -> ProfileChecks:
    """Hold profile texts of genes against the gene tables, without a judge: how accurate are they.

    Of every text: the rank of the gene's own annotation among those of all genes, with and without
    the gene's names in the text; whether the chromosome, band, full name and family that it states are right;
    symbols that no table knows; refusals, repetition, length. See docs/profile_quality.md for the rules.

    Parameters
    ----------
    profiles
        Texts in any form that `bftembed.profiles.read_texts` takes (a store or its path, a table, a mapping from genes
        to texts); or several: a list of paths, or a mapping from labels to such forms (a path as `pathlib.Path`).
    encoder
        For ranks by cosine beside those by TF-IDF; ``"none"`` for TF-IDF alone. The annotations of all genes are
        encoded once.
    recipe
        Beginning of the recipe's digest, where a store has texts of several.
    controls
        Also check the facts themselves (ceiling), the bare symbol, and the texts of other genes (floor; a seeded
        permutation without fixed points); of at most 2,000 genes, chosen by hash.
    progress
        Show a bar; by default a bar on a terminal or in a notebook, else a line in the log every 30 s.

    Returns
    -------
    ProfileChecks
        Tables by gene, by measure, and of paired differences.

    Raises
    ------
    InputError
        Without gene tables, or if a store has no text of a known gene.
    StoreError
        If a store is missing or damaged.

    Examples
    --------
    >>> import bftembed as bft
    >>> texts = {"CTSL": "A protease on chromosome 1p36."}
    >>> checked = bft.quality.check_profiles(texts, controls=False)
    >>> checked.genes["flags"].tolist()
    ['wrong chromosome; wrong band']
    """
    known = known_genes()
    chosen = None if encoder == "none" else get_encoder(encoder)
    given = {label: _of_genes(label, each, recipe, known) for label, each in _labelled(profiles).items()}
    rows = {label: frame for label, (frame, _) in given.items()}
    if controls:
        rows |= _controls(rows, known)
    with _progress.progress(sum(map(len, rows.values())), "checking", "text", show=progress) as bar:
        checked = {}
        for label, frame in rows.items():
            checked[label] = check_texts(frame, encoder=chosen)
            bar.update(len(frame))
    values = {label: measure_values(frame).set_axis(frame["gene"]) for label, frame in checked.items()}
    summary = [estimates(table).assign(profiles=label) for label, table in values.items()]
    differences = [
        paired(values[first], values[second]).assign(first=first, second=second)
        for first, second in combinations(given, 2)
    ]
    return ProfileChecks(
        genes=pd.concat([checked[label].assign(profiles=label) for label in given], ignore_index=True),
        summary=pd.concat(summary, ignore_index=True),
        differences=pd.concat(differences or [_NO_DIFFERENCES], ignore_index=True),
        notes=[note for _, notes in given.values() for note in notes] + _without_common(values, list(given)),
    )


def check_texts(texts: pd.DataFrame, *, encoder: Encoder | None = None) -> pd.DataFrame:
    """Check the texts of a table, one by one.

    Parameters
    ----------
    texts
        ``gene`` (canonical symbol), ``text`` and, if it is known, ``prompt``.
    encoder
        For ranks by cosine too.

    Returns
    -------
    pandas.DataFrame
        One row per text: ``gene``; ``n_ranked``, how many annotations there are; ``tfidf_rank``,
        ``tfidf_rank_masked`` (1 is best, NaN for a gene without summary and GO term), with an encoder also
        ``encoder_rank`` and ``encoder_rank_masked``; what `statements` gives; ``unknown_symbols``, ``refusal``,
        ``repetition``, ``copied`` (NaN without prompt), ``n_words``; ``flags``, what is wrong, in words.

    Examples
    --------
    >>> import pandas as pd
    >>> from bftembed.quality import check_texts
    >>> checks = check_texts(pd.DataFrame({"gene": ["CTSL"], "text": ["A protease on chromosome 1p36."]}))
    >>> checks["flags"].tolist()
    ['wrong chromosome; wrong band']
    """
    known = known_genes()
    genes, said = texts["gene"].tolist(), texts["text"].tolist()
    prompts = texts["prompt"].tolist() if "prompt" in texts else [None] * len(said)
    prompts = [prompt if isinstance(prompt, str) else None for prompt in prompts]
    masked = [known.masked(text, gene) for text, gene in zip(said, genes, strict=True)]
    found: dict[str, Any] = {"gene": genes, "n_ranked": len(known.annotations)}
    for suffix, each in (("", said), ("_masked", masked)):
        found[f"tfidf_rank{suffix}"] = word_ranks(each, genes, known)
        if encoder is not None:
            found[f"encoder_rank{suffix}"] = vector_ranks(each, genes, known, encoder)
    told = [statements(*each[:2], known, prompt=each[2]) for each in zip(said, genes, prompts, strict=True)]
    frame = pd.DataFrame(found).join(pd.DataFrame(told))
    frame["unknown_symbols"] = [" ".join(symbols) for symbols in unknown_symbols(said, known)]
    frame["refusal"] = list(map(is_refusal, said))
    frame["repetition"] = list(map(repetition, said))
    frame["copied"] = [np.nan if p is None else copied(text, p) for text, p in zip(said, prompts, strict=True)]
    frame["n_words"] = [len(words(text)) for text in said]
    return frame.assign(flags=[_flags(row) for row in frame.to_dict("records")])


def _flags(row: Mapping[Any, Any]) -> str:
    flags = [f"wrong {name.replace('_', ' ')}" for name in STATEMENTS if row[name] == "wrong"]
    flags += [f"unknown symbols {row['unknown_symbols']}"] * bool(row["unknown_symbols"])
    return "; ".join(flags + ["refusal"] * row["refusal"] + ["loop"] * (row["repetition"] > _LOOP))


def _labelled(profiles: Any) -> dict[str, Any]:
    """Texts by label; the label of a file is its name, with as much of its path as tells it apart."""
    if hasattr(profiles, "items") and not isinstance(profiles, pd.Series | pd.DataFrame):
        texts = all(isinstance(text, str) or text is None for text in profiles.values())
        return {"profiles": profiles} if texts else dict(profiles)
    if not isinstance(profiles, list | tuple):
        name = Path(profiles).name if isinstance(profiles, str | Path) else "profiles"
        return {name: profiles}
    paths = [Path(each) for each in profiles]
    names = [path.name for path in paths]
    labels = [name if names.count(name) == 1 else str(path) for name, path in zip(names, paths, strict=True)]
    return dict(zip(labels, paths, strict=True))


def _of_genes(label: str, profiles: Any, recipe: str | None, known: Known) -> tuple[pd.DataFrame, list[str]]:
    """Texts by canonical symbol, and what was left out."""
    frame = read_profiles(profiles, kind="gene", recipe=recipe)
    symbols, stands = one_per_gene(frame["entity"].tolist())
    stands &= np.array([symbol in known.facts for symbol in symbols], dtype=bool)
    if not stands.any():
        msg = (
            f"`{label}` holds no usable text of a gene that the tables know ({len(frame):,} texts of genes; "
            "`bftembed profiles stats` shows what a store has)."
        )
        raise InputError(msg)
    unknown = int((~stands).sum())
    left_out = [f"{unknown:,} names that stand for no known human gene, or for one that another name stands for"] * (
        unknown > 0
    )
    unusable = frame.attrs["unusable"]
    left_out += [f"{unusable:,} names without a usable text (empty, failed or degenerate)"] * (unusable > 0)
    notes = [f"{label}: left out {text}" for text in left_out]
    columns = [name for name in ("text", "prompt") if name in frame]
    kept = frame.loc[stands, columns].assign(gene=symbols[stands].astype(str))
    return kept.sort_values("gene").reset_index(drop=True), notes


def _controls(given: Mapping[str, pd.DataFrame], known: Known) -> dict[str, pd.DataFrame]:
    """Facts, bare symbols, and texts of other genes."""
    genes = _few(sorted({gene for frame in given.values() for gene in frame["gene"] if gene in known.annotations}))
    found = {}
    if genes:
        facts = [known.annotations[gene] for gene in genes]
        found["(the facts)"] = pd.DataFrame({"gene": genes, "text": facts})
        found["(bare symbol)"] = pd.DataFrame({"gene": genes, "text": genes})
    for label, frame in given.items():
        if len(frame) > 1:
            name = "(another gene's)" if len(given) == 1 else f"(another gene's) {label}"
            found[name] = deranged(frame.set_index("gene").loc[_few(frame["gene"].tolist())].reset_index())
    return found


def deranged(frame: pd.DataFrame) -> pd.DataFrame:
    """Every text under another gene: the next one in a seeded random order.

    Parameters
    ----------
    frame
        ``gene`` and ``text``, two rows or more.

    Examples
    --------
    >>> import pandas as pd
    >>> deranged(pd.DataFrame({"gene": ["A", "B"], "text": ["a", "b"]}))["text"].tolist()
    ['b', 'a']
    """
    order = np.random.default_rng(0).permutation(len(frame))
    texts = frame["text"].to_numpy(dtype=object)
    moved = np.empty(len(frame), dtype=object)
    moved[order] = texts[np.roll(order, 1)]
    return pd.DataFrame({"gene": frame["gene"], "text": moved})


def _few(genes: Sequence[str]) -> list[str]:
    chosen = sorted(genes, key=lambda gene: hashlib.sha256(gene.encode()).hexdigest())[:_CONTROLS]
    return sorted(chosen)


def _without_common(values: Mapping[str, pd.DataFrame], given: Sequence[str]) -> list[str]:
    return [
        f"{first} and {second} have no gene in common: they are not compared."
        for first, second in combinations(given, 2)
        if values[first].index.intersection(values[second].index).empty
    ]
