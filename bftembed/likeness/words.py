"""TF-IDF of what the tables on this machine say of genes and drugs."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed import datasets
from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scipy.sparse import csr_matrix

#: Facts that say in words what a gene does.
GENE_TEXTS = ("summary", "biological_process", "cellular_component", "molecular_function")


def gene_words(names: Sequence[str], *, columns: Sequence[str] = ("full_name", *GENE_TEXTS)) -> csr_matrix:
    """TF-IDF (sublinear, without English stop words and words of a single gene) of full name, RefSeq summary and GO.

    Words are weighed by all genes that have a summary or a GO term.

    Parameters
    ----------
    names
        n canonical symbols.
    columns
        Facts that make up a gene's document, of `bftembed.genes.FACTS`.

    Returns
    -------
    (n, n_words) float32 rows of unit length; an empty row for a gene without summary and GO term.

    Raises
    ------
    InputError
        If the gene tables have not been fetched.

    Examples
    --------
    >>> words = gene_words(["RPL3", "RPL5", "GATA1"])
    >>> float((words[0] @ words[1].T).toarray()[0, 0]) > float((words[0] @ words[2].T).toarray()[0, 0])
    True
    """
    facts = datasets.required(datasets.gene_facts(), "genes")
    rows, words = _of_genes(facts.digest, tuple(columns))
    return _taken(rows, words, names)


def drug_words(names: Sequence[str]) -> csr_matrix:
    """TF-IDF of mechanism, targets and use of drugs.

    Parameters
    ----------
    names
        n names, in any case.

    Returns
    -------
    (n, n_words) float32 rows as of `gene_words`.

    Raises
    ------
    InputError
        If the table of drugs has not been fetched.

    Examples
    --------
    >>> drug_words(["vorinostat", "no such drug"]).getnnz(axis=1)[1]
    np.int32(0)
    """
    known = datasets.required(datasets.drug_facts(), "broad_repurposing")
    rows, words = _fitted({name: " ".join(facts.values()) for name, facts in known.items() if facts})
    return _taken(rows, words, [name.casefold() for name in names])


@lru_cache(maxsize=4)
def _of_genes(digest: str, columns: tuple[str, ...]) -> tuple[dict[str, int], csr_matrix]:
    facts = datasets.gene_facts()
    if facts is None or facts.digest != digest:
        msg = "The gene tables changed while they were read; try again."
        raise InputError(msg)
    frame = facts.frame
    described = (frame[list(GENE_TEXTS)].to_numpy(dtype=object) != "").any(axis=1)
    names, known = frame["symbol"].to_numpy()[described], frame[list(columns)].to_numpy(dtype=object)[described]
    return _fitted({str(name): " ".join(row).replace("|", " ") for name, row in zip(names, known, strict=True)})


def text_words(texts: Sequence[str]) -> csr_matrix:
    """TF-IDF of texts of your own (sublinear, without English stop words and words of a single text).

    Parameters
    ----------
    texts
        n texts, by which words are weighed; they may be empty.

    Returns
    -------
    (n, n_words) float32 rows of unit length; an empty row for a text that shares no word with another.

    Examples
    --------
    >>> words = text_words(["binds DNA", "binds RNA", "a channel"])
    >>> (words @ words.T).toarray().tolist()
    [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(stop_words="english", sublinear_tf=True, min_df=2, dtype=np.float32)
    found = words.build_analyzer()
    texts_with = Counter(word for text in texts for word in set(found(text)))
    if max(texts_with.values(), default=0) < 2:  # scikit-learn refuses what leaves no word
        return csr_matrix(np.zeros((len(texts), 1), dtype=np.float32))
    return csr_matrix(words.fit_transform(texts))


def _fitted(documents: Mapping[str, str]) -> tuple[dict[str, int], csr_matrix]:
    return {name: row for row, name in enumerate(documents)}, text_words(list(documents.values()))


def _taken(rows: Mapping[str, int], words: Any, names: Sequence[str]) -> csr_matrix:
    from scipy.sparse import csr_matrix, diags_array

    at = np.array([rows.get(name, -1) for name in names], dtype=np.intp)
    return csr_matrix(diags_array((at >= 0).astype(np.float32)) @ words[np.maximum(at, 0)])
