"""What was measured under other perturbations: outcomes to show a model, and their vote without one.

All comes from training rows, and from those of the cell line that is asked about if it has any. With the likeness ``K``
of perturbations, the vote is ``(sum_q K(P, q)^a y_qG + 0.001 p) / (sum_q K(P, q)^a + 0.001)`` over the training
perturbations ``q`` measured for the gene ``G``, with their answers ``y`` (0 or 1) and the share ``p`` of yes in all of
train: the control that Wu et al. (2025) call retrieval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from bftembed.bench.scoring.scores import seed_of
from bftembed.likeness import text_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    #: How alike (n, m) n names are to m others: 0 not at all, 1 the same.
    Alike = Callable[[Sequence[str], Sequence[str]], NDArray[np.float64]]

BUDGET = 10
_CLOSE_GENES = 20
_LITTLE = 1e-3
_PRIOR = 2.0
_DECIMALS = 6  # beyond are the last bits of float32, which would order what is alike


class Outcome(NamedTuple):
    """What was seen of a gene under a perturbation in a cell line."""

    pert: str
    gene: str
    cell: str
    label: bool


def alike_by_words(documents: Mapping[str, str]) -> Alike:
    """Likeness by the words of documents (cosine of TF-IDF), by which the words are weighed.

    Parameters
    ----------
    documents
        By name; a name without one is like nothing.

    Examples
    --------
    >>> alike = alike_by_words({"A": "ribosome of the cytosol", "B": "ribosome", "C": "a channel"})
    >>> alike(["A"], ["B", "C", "D"]).tolist()
    [[1.0, 0.0, 0.0]]
    """
    words = text_words(list(documents.values()))
    at = {name: row for row, name in enumerate(documents)}

    def alike(names: Sequence[str], others: Sequence[str]) -> NDArray[np.float64]:
        found = np.zeros((len(names), len(others)))
        rows, columns = ([i for i, name in enumerate(each) if name in at] for each in (names, others))
        of_names, of_others = words[[at[names[i]] for i in rows]], words[[at[others[i]] for i in columns]]
        found[np.ix_(rows, columns)] = (of_names @ of_others.T).toarray()
        return found.round(_DECIMALS)

    return alike


class Evidence:
    """Training outcomes, and which of them are near a question.

    Parameters
    ----------
    train
        Rows of train, as `checked_pairs` gives them.
    alike, genes_alike
        Likeness of perturbations and of genes.
    """

    def __init__(self, train: pd.DataFrame, *, alike: Alike, genes_alike: Alike) -> None:
        self.alike, self.genes_alike = alike, genes_alike
        self.rows = train.reset_index(drop=True)
        self.outcomes = [Outcome(*row) for row in zip(*(self.rows[c] for c in Outcome._fields), strict=True)]
        self.label = self.rows["label"].to_numpy(dtype=float)
        self.perts = sorted(set(self.rows["pert"]))
        self._pert = np.searchsorted(self.perts, self.rows["pert"]) if len(self.rows) else np.zeros(0, dtype=np.intp)
        self._gene, self._name, self._cell = (self.rows[c].to_numpy(dtype=object) for c in ("gene", "pert", "cell"))
        self._of_cell: dict[str, NDArray[np.intp]] = {}
        self._of_gene: dict[str, dict[str, NDArray[np.intp]]] = {}
        self._near: dict[str, NDArray[np.float64]] = {}
        self._close: dict[tuple[str, str], list[tuple[str, float]]] = {}
        self.permuted = self._permuted()

    def _permuted(self) -> list[Outcome]:
        """The outcomes with answers permuted within each read-out."""
        label = self.rows["label"].to_numpy().copy()
        for readout, rows in self.rows.groupby("readout").indices.items():
            label[rows] = np.random.default_rng(seed_of("permuted", str(readout))).permutation(label[rows])
        return [outcome._replace(label=bool(y)) for outcome, y in zip(self.outcomes, label, strict=True)]

    def pool(self, cell: str) -> NDArray[np.intp]:
        """Rows of train that answer for a cell line: its own, or all if it has none."""
        if cell not in self._of_cell:
            own = np.flatnonzero((self.rows["cell"] == cell).to_numpy())
            self._of_cell[cell] = own if len(own) else np.arange(len(self.rows))
        return self._of_cell[cell]

    def of_gene(self, gene: str, cell: str) -> NDArray[np.intp]:
        """Rows of train in which the gene was measured."""
        if cell not in self._of_gene:
            rows = self.pool(cell)
            groups = pd.Series(self._gene[rows]).groupby(self._gene[rows]).indices
            self._of_gene[cell] = {str(name): rows[at] for name, at in groups.items()}
        return self._of_gene[cell].get(gene, np.zeros(0, dtype=np.intp))

    def know(self, perts: Sequence[str]) -> None:
        """Compute at once how alike these are to the perturbations of train."""
        new = [pert for pert in dict.fromkeys(perts) if pert not in self._near]
        self._near |= dict(zip(new, self.alike(new, self.perts), strict=True)) if new else {}

    def near(self, pert: str, gene: str, cell: str) -> list[int]:
        """Rows to show, at most 10: the gene under the likest perturbations, then the likest genes under such.

        None is of the perturbation itself in that cell line.
        """
        self.know([pert])
        likeness = self._near[pert][self._pert]
        own = self._others(self.of_gene(gene, cell), pert, cell)
        shown = [int(i) for i in own[np.argsort(-likeness[own], kind="stable")][:BUDGET]]
        if len(shown) == BUDGET:
            return shown
        rows, weights = [], []
        for other, closeness in self._closest(gene, cell):
            theirs = self.of_gene(other, cell)
            rows.append(theirs)
            weights.append(likeness[theirs] * closeness)
        if not rows:
            return shown
        every, weight = np.concatenate(rows), np.concatenate(weights)
        ordered = self._others(every[np.argsort(-weight.round(_DECIMALS), kind="stable")], pert, cell)
        more = ordered[likeness[ordered] > 0].tolist()
        return [*shown, *more[: BUDGET - len(shown)]]

    def _others(self, rows: NDArray[np.intp], pert: str, cell: str) -> NDArray[np.intp]:
        """Rows but those of a perturbation in a cell line: where the line is held out, it may train in others."""
        kept: NDArray[np.intp] = rows[(self._name[rows] != pert) | (self._cell[rows] != cell)]
        return kept

    def _closest(self, gene: str, cell: str) -> list[tuple[str, float]]:
        """Measured genes that are most like one, at most 20, and how much."""
        if (gene, cell) not in self._close:
            self.of_gene(gene, cell)
            others = [name for name in self._of_gene[cell] if name != gene]
            found = self.genes_alike([gene], others)[0]
            order = np.argsort(-found, kind="stable")[:_CLOSE_GENES]
            self._close[gene, cell] = [(others[i], float(found[i])) for i in order if found[i] > 0]
        return self._close[gene, cell]

    def random(self, pert: str, gene: str, cell: str) -> list[int]:
        """Rows as the published code of VCWorld shows them: 10 at random, by a seed of the question's own."""
        rows = self.pool(cell)
        rows = self._others(rows, pert, cell)
        rng = np.random.default_rng(seed_of("random", pert, gene, cell))
        return [int(i) for i in rng.choice(rows, min(BUDGET, len(rows)), replace=False)]

    def rate(self, asked: pd.DataFrame) -> NDArray[np.float64]:
        """Share of yes of each asked row's gene in train, (n,), with two more answers at the share of all of train."""
        overall, found = self._overall, np.empty(len(asked))
        for rows, theirs in self._by_gene(asked):
            label = self.label[theirs]
            found[rows] = (label.sum() + _PRIOR * overall) / (len(label) + _PRIOR)
        return found

    def _by_gene(self, asked: pd.DataFrame) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Asked rows of each gene in a cell line, and the rows of train that answer for it."""
        genes, cells = asked["gene"].to_numpy(), asked["cell"].to_numpy()
        for rows in asked.groupby(["gene", "cell"]).indices.values():
            yield np.asarray(rows), self.of_gene(genes[rows[0]], cells[rows[0]])

    @property
    def _overall(self) -> float:
        return float(self.label.mean()) if len(self.label) else 0.5

    def vote(self, asked: pd.DataFrame, *, power: int = 1, alike: Alike | None = None) -> NDArray[np.float64]:
        """Answer rows (n,) by the vote of the training perturbations, see the formula of the module.

        Parameters
        ----------
        asked
            Rows; their answers are not looked at.
        power
            ``a`` of the formula.
        alike
            Another likeness of perturbations.
        """
        names = list(dict.fromkeys(asked["pert"]))
        near = (alike or self.alike)(names, self.perts) ** power
        at = asked["pert"].map({name: row for row, name in enumerate(names)}).to_numpy()
        found = np.empty(len(asked))
        for rows, theirs in self._by_gene(asked):
            weights = near[np.ix_(at[rows], self._pert[theirs])]
            above = weights @ self.label[theirs] + _LITTLE * self._overall
            found[rows] = above / (weights.sum(axis=1) + _LITTLE)
        return found.round(_DECIMALS)

    def nearest(self, asked: pd.DataFrame, *, k: int = 10) -> NDArray[np.float64]:
        """Answer rows (n,) by the mean of the `k` likest training perturbations measured for the gene.

        The gene's rate where it was not measured.
        """
        found = self.rate(asked)
        self.know(asked["pert"].tolist())
        perts = asked["pert"].to_numpy()
        for rows, theirs in self._by_gene(asked):
            if len(theirs):
                likeness = np.stack([self._near[perts[row]][self._pert[theirs]] for row in rows])
                order = np.argsort(-likeness, axis=1, kind="stable")[:, :k]
                found[rows] = self.label[theirs][order].mean(axis=1)
        return found
