"""Drugs: their names in other tables, their labels, and the distances between their effects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bftembed.bench.base import Evaluation, Problem
from bftembed.bench.problems.genes import GeneLabels
from bftembed.bench.scoring.metrics import drawn, plain, spearman
from bftembed.bench.scoring.scores import Score, item_weights
from bftembed.entities import compounds, drug_names
from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bftembed.bench.sources.base import Source

_LEAST = 20


def drug_vectors(source: Source, names: Sequence[str]) -> NDArray[np.float32]:
    """Vectors (n, d) by the first of each drug's names that the source knows, a NaN row where it knows none."""
    others = [drug_names(name) for name in names]
    asked = list(dict.fromkeys(other for of_drug in others for other in of_drug))
    vectors = source.drugs(asked)
    rows = dict(zip(asked, range(len(asked)), strict=True))
    known = np.asarray(np.isfinite(vectors).all(axis=1))
    first = [next((rows[other] for other in of_drug if known[rows[other]]), rows[of_drug[0]]) for of_drug in others]
    return vectors[first]


def drug_labels(names: Sequence[str], labels: Sequence[str], *, least: int) -> tuple[pd.Series[str], dict[str, int]]:
    """One label per compound.

    Parameters
    ----------
    names, labels
        (n,) each, as the data have them.
    least
        Classes with fewer compounds are left out.

    Returns
    -------
    labels
        By the first of the compound's names, sorted.
    removed
        Names that repeat a compound, compounds with two labels, and those of small classes.

    Examples
    --------
    >>> from bftembed.bench import drug_labels
    >>> labels, removed = drug_labels(["aspirin", "imatinib", "dasatinib"], ["COX", "ABL", "ABL"], least=2)
    >>> labels.to_dict(), removed
    ({'dasatinib': 'ABL', 'imatinib': 'ABL'}, {'compounds of classes with fewer than 2': 1})
    """
    frame = pd.DataFrame({"name": [" ".join(name.split()) for name in names], "label": list(labels)})
    of_compound = frame.groupby(compounds(frame["name"].tolist()))
    certain = frame[of_compound["label"].transform("nunique") == 1]
    unique = certain[~certain.index.isin(frame.index[of_compound.cumcount() > 0])]
    result = unique.set_index("name")["label"].sort_index()
    enough = result.groupby(result).transform("size") >= least
    removed = {
        "salts and synonyms of another compound": len(certain) - len(unique),
        "names of compounds with two labels": len(frame) - len(certain),
        f"compounds of classes with fewer than {least}": int((~enough).sum()),
    }
    return result[enough], {reason: n for reason, n in removed.items() if n}


class DrugLabels(GeneLabels):
    """Drugs with labels, scored as `GeneLabels` are; each by the first of its names that an embedding knows.

    Examples
    --------
    >>> from bftembed.bench import DrugLabels
    >>> labels = {f"drug {i}": "kinase inhibitor" if i % 2 else "hormone" for i in range(20)}
    >>> len(DrugLabels(labels).entities)
    20
    """

    def embed(self, source: Source) -> NDArray[np.float32]:
        """Vectors of the drugs."""
        return drug_vectors(source, self.entities)


class DrugDistances(Problem):
    """Whether drugs that are far apart in an embedding are far apart in what they do to cells.

    Two drugs are far apart if one of them is strong, whatever they do. So the main score compares the cosine distances
    of the embedding with what the strengths leave of the measured ones: the rest of a linear regression of their ranks
    on the ranks of the larger and the smaller strength of each pair. Nothing is fitted to the embedding.

    Parameters
    ----------
    distances
        Symmetric, names as rows and columns.
    strengths
        Distance to control by name.
    classes
        A known label by name: the baseline says that drugs of one class are near.
    removed
        What was removed before, for the report.

    Raises
    ------
    InputError
        If the distances are not symmetric, or the names differ.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from bftembed.bench import DrugDistances
    >>> drugs = ["aspirin", "imatinib", "dasatinib", "insulin"]
    >>> points = np.array([[0.0], [3.0], [3.5], [1.0]])
    >>> distances = pd.DataFrame(np.abs(points - points.T), index=drugs, columns=drugs)
    >>> classes = pd.Series(["COX", "ABL", "ABL", "hormone"], index=drugs)
    >>> problem = DrugDistances(distances, distances["aspirin"], classes)
    >>> problem.entities
    ['aspirin', 'dasatinib', 'imatinib', 'insulin']
    """

    def __init__(
        self,
        distances: pd.DataFrame,
        strengths: pd.Series[float],
        classes: pd.Series[str],
        *,
        removed: Mapping[str, int] | None = None,
    ) -> None:
        self.removed = dict(removed or {})
        distances = distances.sort_index(axis=0).sort_index(axis=1)
        self.entities: list[str] = [str(name) for name in distances.index]
        if self.entities != list(distances.columns) or any(
            sorted(each.index) != self.entities for each in (strengths, classes)
        ):
            msg = "Distances, strengths and classes must have the same names, each once."
            raise InputError(msg)
        self.distances = distances.to_numpy(dtype=np.float64)
        if not np.array_equal(self.distances, self.distances.T):
            msg = "The distances are not symmetric, or some are missing."
            raise InputError(msg)
        self.strengths = strengths[self.entities].to_numpy(dtype=np.float64)
        self.classes = classes[self.entities].to_numpy()

    def embed(self, source: Source) -> NDArray[np.float32]:
        """Vectors of the drugs, each by the first of its names that the source knows."""
        return drug_vectors(source, self.entities)

    def evaluate(self, vectors: NDArray[np.float32], *, n_jobs: int = 1) -> Evaluation:
        """Score vectors (n_drugs, d); drugs whose row is NaN take no part.

        Raises
        ------
        InputError
            If fewer than 20 drugs have a vector, or one is zero, which has no direction.
        """
        del n_jobs  # nothing is fitted
        from scipy.spatial.distance import pdist

        known = np.flatnonzero(np.isfinite(vectors).all(axis=1))
        if len(known) < _LEAST or not vectors[known].any(axis=1).all():
            zero = len(known) - int(vectors[known].any(axis=1).sum())
            msg = f"{len(known)} of {len(self.entities)} drugs have a vector, {zero} of them zero; {_LEAST} are needed."
            raise InputError(msg)
        items = [self.entities[i] for i in known]
        a, b = np.triu_indices(len(known), 1)
        measured = self.distances[np.ix_(known, known)][a, b]
        strengths, classes = self.strengths[known], self.classes[known]
        stronger, weaker = (choose(strengths[a], strengths[b]) for choose in (np.maximum, np.minimum))
        truths = {"spearman beyond strength": rest_of_ranks(measured, stronger, weaker), "spearman": measured}
        # Rounded, so that equal vectors are equally far apart.
        guess = np.round(pdist(vectors[known].astype(np.float64), "cosine"), 6)
        # Pairs of one drug depend on each other, so drugs are drawn (pigeonhole bootstrap, Owen 2007).
        of_drugs = item_weights(items)
        weights = of_drugs[:, a] * of_drugs[:, b]

        def scored(method: str, guess: NDArray[np.float64]) -> list[Score]:
            scores = []
            for metric, truth in truths.items():
                value = np.array([[plain(spearman, truth, guess)]])
                scores.append(Score(method, metric, value, drawn(spearman, truth, guess, weights)))
            return scores

        return Evaluation(
            scores=scored("cosine distance", guess),
            baselines=[
                *scored("larger distance to control", stronger),
                *scored("another class", (classes[a] != classes[b]).astype(np.float64)),
            ],
            items=items,
            counts={"drugs": len(known), "pairs": len(a), "pairs of one class": int((classes[a] == classes[b]).sum())},
        )


def rest_of_ranks(values: NDArray[np.float64], *explained_by: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a linear regression of the ranks of values (n,) on the ranks of others (n,) leaves, (n,)."""
    from scipy.stats import rankdata
    from sklearn.linear_model import LinearRegression

    x, y = np.column_stack([rankdata(each) for each in explained_by]), rankdata(values)
    rest: NDArray[np.float64] = y - LinearRegression().fit(x, y).predict(x)
    return rest
