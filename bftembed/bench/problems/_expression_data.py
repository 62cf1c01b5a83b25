"""Perturb-seq data as changes of mean expression, one row per perturbation, and metrics of predicted changes."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bftembed.datasets import one_per_gene
from bftembed.entities import canonical
from bftembed.errors import InputError
from bftembed.expression import check_columns, chosen_matrix, group_moments, parts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from numpy.typing import NDArray


logger = logging.getLogger("bftembed")
N_TOP = 20
MAIN = "pearson delta"
#: Metrics, the main one first, with the value of a perfect prediction.
BEST = {MAIN: 1.0, "pearson delta of top 20": 1.0, "mse": 0.0, "direction of top 20": 1.0, "discrimination": 1.0}


@dataclass(frozen=True, eq=False)
class Responses:
    """Changes of mean log-normalised expression.

    Attributes
    ----------
    parts
        The one or two perturbed genes of each of n perturbations, canonical and sorted.
    change
        (n, g) float64: mean of the cells of a perturbation minus mean of the control cells.
    top
        (n, 20): columns that differ most between the cells of a perturbation and the control cells.
    control
        (g,) float64: mean of the control cells.
    columns
        Column of a gene that is measured, by canonical symbol.
    noise
        (n, g) float64: sampling variance of the mean of the cells of a perturbation; by default zeros, not known.
    """

    parts: list[tuple[str, ...]]
    change: NDArray[np.float64]
    top: NDArray[np.intp]
    control: NDArray[np.float64]
    columns: dict[str, int]
    noise: NDArray[np.float64] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.noise is None:
            object.__setattr__(self, "noise", np.zeros_like(self.change))

    @cached_property
    def genes(self) -> list[str]:
        """Perturbed genes, sorted."""
        return sorted({gene for genes in self.parts for gene in genes})

    @cached_property
    def has(self) -> NDArray[np.bool_]:
        """Which perturbation is one of which gene, (n, n_genes)."""
        return np.array([[gene in genes for gene in self.genes] for genes in self.parts])

    @property
    def names(self) -> list[str]:
        """``A`` or ``A+B`` of each perturbation."""
        return ["+".join(genes) for genes in self.parts]


def read_responses(
    adata: AnnData,
    condition: str,
    *,
    control: str | Sequence[str] | None,
    separator: str,
    layer: str | None,
    values: str,
    min_cells: int,
) -> tuple[Responses, dict[str, int], list[str]]:
    """Responses of an AnnData, what was left out of it, and sentences on how it was read.

    Raises
    ------
    InputError
        If a column or layer is missing, there are no (or too few) control cells, fewer than 20 genes, or the values are
        neither counts nor log-normalised.
    """
    if min_cells < 2:
        msg = f"`min_cells` is at least 2, got {min_cells}."
        raise InputError(msg)
    if adata.n_vars < N_TOP:
        msg = f"A response needs at least {N_TOP} genes; the data have {adata.n_vars}."
        raise InputError(msg)
    matrix = chosen_matrix(replace(parts_of(adata), raw=None), layer=layer, use_raw=False)
    parts, group, removed, notes = _perturbations(adata, condition, control, separator)
    sizes, means, variances, kind, n_empty = group_moments(matrix, group, len(parts) + 1, values)
    if kind == "counts" and values == "auto":
        notes.append("The values are whole numbers: taken as counts, scaled to 10,000 per cell and logged.")
        logger.info(notes[-1])
    removed["cells without counts"] = n_empty
    if sizes[0] < min_cells:
        msg = f"Only {sizes[0]} cells are controls; {min_cells} are needed."
        raise InputError(msg)
    enough = sizes[1:] >= min_cells
    change = means[1:] - means[0]
    varies = np.ptp(change, axis=1) > 0
    removed[f"perturbations with fewer than {min_cells} cells"] = int((~enough).sum())
    removed["perturbations with the same change in all genes"] = int((enough & ~varies).sum())
    kept = np.flatnonzero(enough & varies)
    symbols, stands = one_per_gene(adata.var_names)
    columns = {str(symbols[column]): int(column) for column in np.flatnonzero(stands)}
    responses = Responses(
        [parts[i] for i in kept],
        change[kept],
        _top(means, variances, sizes)[kept],
        means[0],
        columns,
        (variances[1:] / np.maximum(sizes[1:, None], 1))[kept],
    )
    return responses, {reason: n for reason, n in removed.items() if n}, notes


def _perturbations(
    adata: AnnData, condition: str, control: str | Sequence[str] | None, separator: str
) -> tuple[list[tuple[str, ...]], NDArray[np.intp], dict[str, int], list[str]]:
    """Genes of each perturbation, and which one a cell has: 0 for a control, from 1 on, -1 for none of use."""
    from bftembed.entities import CONTROLS, conditions_of

    check_columns(adata.obs, "adata.obs", [condition], remedy=" Pass condition= with the one to use.")
    controls = CONTROLS if control is None else (control,) if isinstance(control, str) else tuple(control)
    of_cells = adata.obs[condition].astype(object)
    of_cells = of_cells.where(of_cells.notna(), "").astype(str).str.strip()
    labels = [label for label in dict.fromkeys(of_cells) if label]
    conditions = conditions_of(labels, control=controls, separator=separator)
    found = [condition for condition in conditions if condition.parts]
    codes = dict.fromkeys(set(labels) - {each.label for each in found}, 0)
    if not codes:
        some = ", ".join(sorted(labels)[:5])
        msg = (
            f"No cell is a control: none of {', '.join(controls)} is among the conditions ({some} ...). Pass control=."
        )
        raise InputError(msg)
    names = sorted({part for each in found for part in each.parts})
    symbols = dict(zip(names, canonical(names), strict=True))
    unknown = double = many = 0
    genes_of: dict[str, tuple[str, ...]] = {}
    for each in found:
        genes = [symbols[part] for part in each.parts]
        unknown += None in genes
        double += None not in genes and len(set(genes)) < len(genes)
        many += None not in genes and len(set(genes)) == len(genes) > 2
        if None not in genes and len(set(genes)) == len(genes) <= 2:
            genes_of[each.label] = tuple(sorted(map(str, genes)))
    parts = sorted(set(genes_of.values()))
    number = {genes: i for i, genes in enumerate(parts, start=1)}
    codes |= {label: number[genes] for label, genes in genes_of.items()}
    removed = {
        "cells without a condition": int((of_cells == "").sum()),
        "perturbations of a gene without a canonical name": unknown,
        "perturbations of a gene with itself": double,
        "perturbations of more than two genes": many,
    }
    spelled = len(genes_of) - len(parts)
    notes = [f"{spelled} conditions are another spelling of one that is there: their cells are pooled."] * bool(spelled)
    return parts, of_cells.map(codes).fillna(-1).to_numpy(dtype=np.intp), removed, notes


def _top(means: NDArray[np.float64], variances: NDArray[np.float64], sizes: NDArray[np.intp]) -> NDArray[np.intp]:
    """Columns (n_groups - 1, 20) with the largest |t| of Welch's test against the first group; ties by column."""
    from scipy.stats import ttest_ind_from_stats

    spread = np.sqrt(variances)
    with np.errstate(invalid="ignore", divide="ignore"):
        t = ttest_ind_from_stats(
            means[1:], spread[1:], sizes[1:, None], means[0], spread[0], sizes[0], equal_var=False
        ).statistic
    return np.argsort(-np.nan_to_num(np.abs(t), nan=-1), axis=1, kind="stable")[:, :N_TOP]


def measures(
    responses: Responses, tested: NDArray[np.intp], guess: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Every metric of every prediction.

    Parameters
    ----------
    tested
        (m,) rows of `responses` that were predicted.
    guess
        (m, g) predicted changes; a row of NaN is no prediction.

    Returns
    -------
    By metric (m,) values, NaN without a prediction. A correlation with a true change that is equal in all of the
    genes is NaN as well.
    """
    found = {metric: np.full(len(tested), np.nan) for metric in BEST}
    made = np.flatnonzero(~np.isnan(guess).any(axis=1))
    guess, truth, top = guess[made], responses.change[tested[made]], responses.top[tested[made]]
    top_guess, top_truth = (np.take_along_axis(each, top, axis=1) for each in (guess, truth))
    values = (
        _pearson(guess, truth),
        _pearson(top_guess, top_truth),
        ((guess - truth) ** 2).mean(axis=1),
        (np.sign(top_guess) == np.sign(top_truth)).mean(axis=1),
        [_discrimination(responses, tested, int(i), row) for i, row in zip(made, guess, strict=True)],
    )
    for metric, of_made in zip(BEST, values, strict=True):
        found[metric][made] = of_made
    return found


def _pearson(guess: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.stats import pearsonr

    found = np.where(np.ptp(truth, axis=1) > 0, 0.0, np.nan)
    both = (np.ptp(guess, axis=1) > 0) & (np.ptp(truth, axis=1) > 0)
    if both.any():
        found[both] = pearsonr(guess[both], truth[both], axis=1).statistic
    return found


def _discrimination(responses: Responses, tested: NDArray[np.intp], i: int, guess: NDArray[np.float64]) -> float:
    """Share of the other perturbations that are farther from the prediction than the true one; ties count half."""
    genes = responses.parts[tested[i]]
    others = np.setdiff1d(
        np.arange(len(guess)), [responses.columns[gene] for gene in genes if gene in responses.columns]
    )
    distance = np.abs(responses.change[np.ix_(tested, others)] - guess[others]).sum(axis=1)
    nearer, as_near = (distance < distance[i]).sum(), (distance == distance[i]).sum() - 1
    return float(1 - (nearer + as_near / 2) / (len(tested) - 1))


class Setting(NamedTuple):
    """Perturbations that were predicted, and each method's metrics of them: (m,) values by method and metric."""

    rows: NDArray[np.intp]
    measured: dict[str, dict[str, NDArray[np.float64]]]


def part_of(setting: Setting, mask: NDArray[np.bool_]) -> Setting:
    """Some of the perturbations of a setting."""
    measured = {
        method: {metric: values[mask] for metric, values in found.items()} for method, found in setting.measured.items()
    }
    return Setting(setting.rows[mask], measured)


def ratio(weights: NDArray[np.float64], above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ratio of the sums of each replicate, (n_draws,); what is NaN takes no part."""
    total = weights @ np.nan_to_num(below)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total != 0, weights @ np.nan_to_num(above) / total, np.nan)
