"""Integration of cells over batches, by the metrics of scIB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from anndata import AnnData

from bftembed.bench.base import Evaluation
from bftembed.bench.problems import _scib
from bftembed.bench.problems.cell_data import unlabelled
from bftembed.bench.problems.cells import SAME_GENES, CellProblem, check_names, genes_note, with_known
from bftembed.bench.scoring.scores import Score
from bftembed.bench.sources.base import CellVectors, cell_vectors
from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Luecken et al. 2022.
_BIO_SHARE = 0.6
#: Standard deviations, as in `bftembed.tl.embed_cells`.
CLIP = 10
COLLAPSED = "All cells are at one point: every metric of scIB counts 0."


class NamedCells(CellProblem):
    """Cells by name; `adata` as `load_cells` gives it, of which an embedding sees what is no label."""

    #: Columns without which cells are left out, where there is such a column, and what each tells.
    _needed: ClassVar[dict[str, str]] = {"cell_type": "type"}

    def __init__(self, adata: AnnData) -> None:
        check_names(adata)
        needed = {column: what for column, what in self._needed.items() if column in adata.obs}
        adata, self.removed = with_known(adata, needed, adata.uns.get("removed", {}))
        self.adata = adata[np.sort(adata.obs_names)].copy()
        self.entities: list[str] = [str(name) for name in self.adata.obs_names]
        self.cells = unlabelled(self.adata)

    def _known(self, vectors: NDArray[np.float32]) -> tuple[NDArray[np.intp], list[str]]:
        rows = np.flatnonzero(~np.isnan(vectors).any(axis=1))
        if len(rows) < _scib.K_LISI:
            msg = f"Only {len(rows)} of {len(self.entities)} cells have a vector; {_scib.K_LISI} are needed."
            raise InputError(msg)
        return rows, [self.entities[i] for i in rows]

    def _types(self, rows: NDArray[np.intp]) -> NDArray[Any] | None:
        labels = self._text("cell_type", rows)
        if labels is not None and len(np.unique(labels)) < 2:
            msg = f"The {len(rows)} cells with a vector are of one type; there are no types to keep apart."
            raise InputError(msg)
        return labels

    def _text(self, column: str, rows: NDArray[np.intp]) -> NDArray[Any] | None:
        return self.adata.obs[column].astype(str).to_numpy()[rows] if column in self.adata.obs else None


class BatchIntegration(NamedCells):
    """Cells of several batches: labels are to stay apart and batches to mix, by the metrics of scIB.

    The main score is 0.6 of the mean of the metrics of labels and 0.4 of that of batches; without labels the latter
    alone. The neighbours are searched anew for each embedding, and all metrics of neighbours use the same ones.

    Beside it stand the principal components of the expression, those of expression that is scaled in each batch by
    itself (all the integration that a reference per batch does), the first dealt to other cells (what knowing nothing
    of the cells gives), random vectors of the genes (of all, and of those that the embedding has), and one point for
    all cells.

    Parameters
    ----------
    adata
        Log-normalised cells with ``obs["batch"]`` and perhaps ``obs["cell_type"]``. Cells without a batch are left
        out, and those without a type where others have one.

    Examples
    --------
    >>> import anndata, numpy as np
    >>> from bftembed.bench import BatchIntegration
    >>> cells = anndata.AnnData(np.random.default_rng(0).random((60, 5)).astype(np.float32))
    >>> cells.obs["batch"] = ["first", "second"] * 30
    >>> problem = BatchIntegration(cells)
    >>> len(problem.entities)
    60
    """

    _needed: ClassVar[dict[str, str]] = {"cell_type": "type", "batch": "batch"}

    def evaluate(self, vectors: CellVectors | NDArray[np.float32], *, n_jobs: int = 1) -> Evaluation:
        """Score vectors (n_cells, d); cells whose row is NaN take no part.

        Raises
        ------
        InputError
            If fewer than 90 cells have a vector, or these are of one batch or of one type.
        """
        del n_jobs
        from threadpoolctl import threadpool_limits

        of_cells = cell_vectors(vectors)
        rows, items = self._known(of_cells.matrix)
        labels, batch = self._types(rows), self._text("batch", rows)
        if batch is None or len(np.unique(batch)) < 2:
            msg = f"The {len(rows)} cells with a vector are of one batch; there is nothing to integrate."
            raise InputError(msg)
        x = _scib.centred(of_cells.matrix[rows])
        with threadpool_limits(1):
            before = _scib.principal_components(self.cells[rows], batch)
            scores = as_scores("scIB", self._panel(x, before, labels, batch))
            baselines = [
                *self.baselines_once(items, lambda: self._baselines(rows, before, labels, batch)),
                *self._same_genes(
                    items,
                    of_cells,
                    lambda same: as_scores(SAME_GENES, self._panel(_scib.centred(same[rows]), before, labels, batch)),
                ),
            ]
        return Evaluation(
            scores=scores,
            baselines=baselines,
            items=items,
            counts=sizes(len(items), labels, batch),
            notes=[
                *self._notes(x, [score.metric for score in scores], labels, batch),
                *genes_note(of_cells.genes_used),
            ],
        )

    def _panel(self, x: Floats, before: AnnData, labels: NDArray[Any] | None, batch: NDArray[Any]) -> dict[str, float]:
        neighbours = _scib.nearest(x)
        mixed = _scib.batch_scores(x, batch, labels, neighbours, before)
        of_batches = float(np.mean(list(mixed.values())))
        if labels is None:
            return {"batch": of_batches, **mixed}
        apart = _scib.bio_scores(x, labels, batch, neighbours)
        of_labels = float(np.mean(list(apart.values())))
        total = _BIO_SHARE * of_labels + (1 - _BIO_SHARE) * of_batches
        return {"total": total, "bio": of_labels, "batch": of_batches, **apart, **mixed}

    def _baselines(
        self, rows: NDArray[np.intp], before: AnnData, labels: NDArray[Any] | None, batch: NDArray[Any]
    ) -> list[Score]:
        components = before.obsm["X_pca"]
        others = {
            "PCA, not integrated": components,
            "PCA, scaled batch by batch": _scib.principal_components(self._scaled_in(batch, rows), batch).obsm["X_pca"],
            "PCA, cells shuffled": np.random.default_rng(0).permutation(components),
            "random genes": self.random()[rows],
            "one point": np.zeros((len(rows), 1)),
        }
        scores = []
        for name, vectors in others.items():
            scores += as_scores(name, self._panel(_scib.centred(vectors), before, labels, batch))
        return scores

    def _scaled_in(self, batch: NDArray[Any], rows: NDArray[np.intp]) -> AnnData:
        """Cells whose genes have mean 0 and s.d. 1 in each batch, clipped as by contrast: what that alone gives."""
        values = self.cells.X[rows].toarray().astype(float)
        for name in np.unique(batch):
            values[batch == name] = np.clip(standardised(values[batch == name]), -CLIP, CLIP)
        return AnnData(values, obs=pd.DataFrame(index=self.cells.obs_names[rows]))

    def _notes(self, x: Floats, metrics: Sequence[str], labels: NDArray[Any] | None, batch: NDArray[Any]) -> list[str]:
        single = [metric for metric in metrics if metric not in {"total", "bio", "batch"}]
        notes = [f"Metrics: {', '.join(single)}, of {_scib.package_versions()}."]
        if labels is None:
            notes.append("No labels: only batches are scored, and whatever mixes all cells scores well.")
        else:
            if "isolated labels" not in single:
                notes.append("Every label is in every batch: there are no isolated labels to score.")
            if lacking := [metric for metric in ("BRAS", "kBET") if metric not in single]:
                notes.append(f"No label has enough cells and batches to score {' and '.join(lacking)}.")
            few = sorted(set(labels) - set(_scib.kbet_neighbours(labels, batch)))
            if few and "kBET" in single:
                notes.append(f"Too few cells or batches for kBET: {', '.join(few)}.")
        return [*notes, COLLAPSED] if not x.any() else notes


def standardised(values: NDArray[Any]) -> Floats:
    """Columns of mean 0 and s.d. 1; 0 throughout where a column does not vary."""
    from sklearn.preprocessing import scale

    return np.asarray(scale(np.asarray(values, dtype=float)))


def as_scores(method: str, values: Mapping[str, float]) -> list[Score]:
    """A score of one value each."""
    return [Score(method, metric, np.array([[value]])) for metric, value in values.items()]


def sizes(n: int, labels: NDArray[Any] | None, batch: NDArray[Any] | None) -> dict[str, int]:
    """Numbers of cells, of each label and of each batch, for the report."""
    counts = {"cells": n}
    for kind, values in (("label", labels), ("batch", batch)):
        if values is not None:
            names, numbers = np.unique(values, return_counts=True)
            counts |= {f"{kind} {name}": int(size) for name, size in zip(names, numbers, strict=True)}
    return counts
