"""Names of a data set to one label per canonical gene, with a count of all that is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zlib import crc32

import pandas as pd

from bftembed.entities import canonical

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


__all__ = ["canonical", "few_genes", "few_names", "gene_labels"]


def few_names(names: Iterable[str], n: int) -> list[str]:
    """At most `n` of the names, for fast runs: chosen by a hash, so that tasks share genes, and so their texts.

    Examples
    --------
    >>> from bftembed.bench import few_names
    >>> few_names(["TP53", "ALB", "CD3E"], 2) == few_names(["CD3E", "TP53", "ALB"], 2)
    True
    """
    return sorted(names, key=lambda name: (crc32(name.encode()), name))[:n]


def few_genes(frame: pd.DataFrame, columns: Sequence[str], n: int) -> pd.DataFrame:
    """Rows among few genes, for fast runs: in `columns` the `n` genes that have most rows of their rarer label.

    Examples
    --------
    >>> import pandas as pd
    >>> from bftembed.bench import few_genes
    >>> frame = pd.DataFrame({"gene": ["A", "A", "B", "B", "B"], "label": [0, 1, 1, 1, 1]})
    >>> few_genes(frame, ["gene"], 1)["gene"].tolist()
    ['A', 'A']
    """
    rows = pd.concat([frame[[column, "label"]].set_axis(["gene", "label"], axis=1) for column in columns])
    rarer = pd.crosstab(rows["gene"], rows["label"]).min(axis=1)
    kept = rarer.nlargest(n).index
    return frame[frame[list(columns)].isin(kept).all(axis=1)].reset_index(drop=True)


def gene_labels(names: Sequence[Any], labels: Sequence[Any]) -> tuple[pd.Series[Any], dict[str, int]]:
    """One label per gene.

    Parameters
    ----------
    names, labels
        (n,) each, as the data have them.

    Returns
    -------
    labels
        By canonical symbol, sorted.
    removed
        Rows without a canonical name or label, rows that repeat one, and genes with two labels, which are left out.

    Examples
    --------
    >>> from bftembed.bench import gene_labels
    >>> labels, removed = gene_labels(["TP53", "P53", "GATA1", "no such gene"], [1, 1, 0, 1])
    >>> labels.to_dict(), removed
    ({'GATA1': 0, 'TP53': 1}, {'rows without a canonical name or a label': 1, 'repeated rows': 1})
    """
    frame = pd.DataFrame({"gene": canonical(names), "label": list(labels)})
    known = frame.dropna()
    distinct = known.drop_duplicates()
    double = distinct["gene"].duplicated(keep=False)
    result = distinct[~double].set_index("gene")["label"].sort_index()
    removed = {
        "rows without a canonical name or a label": len(frame) - len(known),
        "repeated rows": len(known) - len(distinct),
        "genes with two labels": int(distinct.loc[double, "gene"].nunique()),
    }
    return result, {reason: n for reason, n in removed.items() if n}
