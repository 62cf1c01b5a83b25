"""Pairs of genes as data: cleaned, with matched negatives, as features, and what their nodes alone tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bftembed.entities import canonical

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

FEATURES: dict[str, Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]] = {
    "sum": lambda a, b: a + b,
    "product": lambda a, b: a * b,
    "absolute difference": lambda a, b: np.abs(a - b),
}
"""Symmetric in the two genes: an ordered concatenation would learn which side a gene tends to stand on."""
_BLOCK = 8192


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of genes: rows `a` and `b` into `genes`, and a bool label; (n,) each."""

    genes: list[str]
    a: NDArray[np.intp]
    b: NDArray[np.intp]
    label: NDArray[np.bool_]

    def take(self, rows: NDArray[np.intp]) -> Pairs:
        """Some of the pairs."""
        return Pairs(self.genes, self.a[rows], self.b[rows], self.label[rows])


def clean_pairs(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Pairs by canonical symbols, each once whatever the order of its genes.

    Parameters
    ----------
    frame
        ``gene_a``, ``gene_b``, ``label`` (0 or 1) and any other columns.

    Returns
    -------
    pairs
        With ``gene_a`` before ``gene_b`` in the alphabet.
    removed
        Pairs without a canonical name, of a gene with itself, with both labels, and repeated ones.

    Examples
    --------
    >>> import pandas as pd
    >>> from bftembed.bench import clean_pairs
    >>> rows = [("TP53", "MDM2", 1), ("MDM2", "P53", 1), ("TP53", "TP53", 0)]
    >>> pairs, removed = clean_pairs(pd.DataFrame(rows, columns=["gene_a", "gene_b", "label"]))
    >>> pairs.to_numpy().tolist(), removed
    ([['MDM2', 'TP53', 1]], {'pairs of a gene with itself': 1, 'repeated pairs': 1})
    """
    names = pd.unique(pd.concat([frame["gene_a"], frame["gene_b"]]))
    symbols = dict(zip(names, canonical(names), strict=True))
    a, b = frame["gene_a"].map(symbols), frame["gene_b"].map(symbols)
    known = a.notna() & b.notna()
    other = known & (a != b)
    first, second = a[other], b[other]
    ordered = first <= second
    pairs = frame[other].assign(gene_a=first.where(ordered, second), gene_b=second.where(ordered, first))
    labels = pairs.groupby(["gene_a", "gene_b"])["label"].transform("nunique")
    certain = pairs[labels == 1]
    unique = certain.drop_duplicates(["gene_a", "gene_b"])
    removed = {
        "pairs without a canonical name": int((~known).sum()),
        "pairs of a gene with itself": int((known & ~other).sum()),
        "pairs with both labels": len(pairs) - len(certain),
        "repeated pairs": len(certain) - len(unique),
    }
    return unique.reset_index(drop=True), {reason: n for reason, n in removed.items() if n}


def without_leaks(pairs: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Drop training and validation pairs of genes that the test has under another name.

    A split can be disjoint by the names it uses and not by genes, once old names became canonical ones.

    Examples
    --------
    >>> import pandas as pd
    >>> from bftembed.bench import without_leaks
    >>> rows = [("A", "B", "train"), ("C", "D", "train"), ("B", "E", "test")]
    >>> kept, _ = without_leaks(pd.DataFrame(rows, columns=["gene_a", "gene_b", "split"]))
    >>> kept["gene_a"].tolist()
    ['C', 'B']
    """
    genes = {part: set(rows["gene_a"]) | set(rows["gene_b"]) for part, rows in pairs.groupby("split")}
    leaks = pd.Series(False, index=pairs.index)
    for part, others in (("train", ("valid", "test")), ("valid", ("test",))):
        held = set().union(*(genes.get(other, set()) for other in others))
        leaks |= (pairs["split"] == part) & (pairs["gene_a"].isin(held) | pairs["gene_b"].isin(held))
    removed = {"training pairs of a gene that is tested under another name": int(leaks.sum())}
    return pairs[~leaks].reset_index(drop=True), {reason: n for reason, n in removed.items() if n}


def degree_matched(positives: pd.DataFrame, *, seed: int = 0, rounds: int = 100) -> pd.DataFrame:
    """Add as many negatives, in which every gene occurs (almost) as often, and on the same side, as in the positives.

    The second genes are shuffled among the first ones; pairs that are positives, repeated, or of one gene are shuffled
    again, and those that are left after `rounds` are given up.

    Parameters
    ----------
    positives
        ``gene_a`` and ``gene_b``, each pair once.

    Returns
    -------
    ``gene_a``, ``gene_b``, ``label``.

    Examples
    --------
    >>> import pandas as pd
    >>> from bftembed.bench import degree_matched
    >>> pairs = degree_matched(pd.DataFrame({"gene_a": ["A", "B", "C"], "gene_b": ["X", "Y", "Z"]}))
    >>> sorted(pairs.loc[pairs["label"] == 0, "gene_b"])
    ['X', 'Y', 'Z']
    """
    rng = np.random.default_rng(seed)
    a, b = (positives[column].to_numpy(dtype=object) for column in ("gene_a", "gene_b"))
    taken = {frozenset(pair) for pair in zip(a, b, strict=True)}
    negatives: list[tuple[str, str]] = []
    for _ in range(rounds):
        b = rng.permutation(b)
        again = []
        for i, pair in enumerate(zip(a, b, strict=True)):
            if pair[0] == pair[1] or frozenset(pair) in taken:
                again.append(i)
            else:
                taken.add(frozenset(pair))
                negatives.append(pair)
        a, b = a[again], b[again]
        if not again:
            break
    made = pd.DataFrame(negatives, columns=["gene_a", "gene_b"])
    return pd.concat([positives[["gene_a", "gene_b"]].assign(label=1), made.assign(label=0)], ignore_index=True)


def pair_features(vectors: NDArray[np.float32], pairs: Pairs, feature: str) -> NDArray[np.float32]:
    """Symmetric features (n_pairs, d) float32, made in blocks so that nothing else of that size is held."""
    out = np.empty((len(pairs.a), vectors.shape[1]), dtype=np.float32)
    for begin in range(0, len(out), _BLOCK):
        rows = slice(begin, begin + _BLOCK)
        out[rows] = FEATURES[feature](vectors[pairs.a[rows]], vectors[pairs.b[rows]])
    return out


def node_prior(train: Pairs, test: Pairs) -> NDArray[np.float64]:
    """Score pairs by their genes' share of positives in training; a gene not seen there counts as the overall share.

    The shares are log odds with one pseudo-count each way, and a pair's score is their sum.
    """
    n = len(train.genes)
    both = np.concatenate([train.a, train.b])
    seen = np.bincount(both, minlength=n)
    positive = np.bincount(both, weights=np.tile(train.label, 2), minlength=n)
    share = (positive + 1) / (seen + 2)
    share[seen == 0] = (train.label.sum() + 1) / (len(train.label) + 2)
    odds = np.log(share / (1 - share))
    return np.asarray(odds[test.a] + odds[test.b])
