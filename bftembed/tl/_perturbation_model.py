"""Change of expression under perturbations that were never seen, by a vote of those that are like them."""

from __future__ import annotations

import logging
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from bftembed._near import check_number
from bftembed.entities import CONTROLS
from bftembed.errors import InputError
from bftembed.tl._perturb.fitted import Fitted
from bftembed.tl._perturb.likes import Likes
from bftembed.tl._perturb.screen import Reading, asked_conditions, check_dosed, control_names, read_screen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from anndata import AnnData

    from bftembed.entities import How
    from bftembed.tl._perturb.screen import Screen

log = logging.getLogger("bftembed")


class PerturbationModel(BaseEstimator):  # type: ignore[misc]
    """Predict the change of expression under perturbations from those that are like them.

    Effects of the parts of a combination add up. A gene or drug that was measured, alone or in combinations, has its
    own effect (ridge regression, empirical Bayes); one that was not gets the mean of the effects of those that were,
    weighted by ``exp((cosine - 1) / temperature)``, shrunk to their plain mean: formulas in `bftembed.likeness`. There
    is nothing else to train. Drugs at a dose are alike as far as drugs and doses are: the weight is multiplied by
    ``exp(-(difference of log10 doses / dose_width)^2 / 2)``.

    Parameters
    ----------
    similarity
        What tells which perturbations are alike: ``"tfidf"`` for the words of RefSeq summaries and GO terms of genes
        (mechanism, targets and use of drugs); or vectors, as the AnnData of :func:`bftembed.embed` (of genes, drugs or
        perturbations; a table of all genes is best), a DataFrame with a row per name, or the path of an .h5ad or .zarr
        of the former, or of a file of `bftembed.write_vectors`.
    how
        ``"knockdown"``, ``"knockout"``, ``"activation"`` (genes), or ``"drug"``.
    temperature, shrinkage
        How fast weights fall off, and how often the training mean counts all training perturbations together
        (``inf``: it alone). By default both are chosen by cross-validation over training perturbations.
    dose_width
        Difference of log10 doses over which weights fall by ``exp(-1/2)``.
    separator
        Between the parts of a combination; by default ``"+"`` for genes, while names of drugs are not split.
    min_cells
        Conditions with fewer cells are left out, with a warning.

    Attributes
    ----------
    temperature_, shrinkage_
        Those that are used.
    cv_results_
        DataFrame: ``temperature``, ``shrinkage``, ``mse`` of held-out conditions, and ``gain``: the share of the error
        of the training mean that is saved.
    parts_
        Names of the measured genes, or drugs at a dose.
    effects_
        DataFrame (parts, genes) of their effects.

    Raises
    ------
    InputError
        By `fit`, `predict` and `score`: see there.

    Examples
    --------
    Two families of genes that do opposite things, of which one member each was never perturbed:

    >>> import anndata, numpy as np, pandas as pd, bftembed as bft
    >>> rng = np.random.default_rng(0)
    >>> names = ["RPL3", "RPL5", "RPL8", "MED1", "MED12", "MED23"]
    >>> vectors = pd.DataFrame(rng.normal([[3, 0]] * 3 + [[0, 3]] * 3, 0.1), index=names)
    >>> labels = np.repeat(["ctrl", "RPL3", "RPL5", "MED1", "MED12"], 30)
    >>> lift = np.where(np.char.startswith(labels, "RPL"), 9, 3)
    >>> counts = rng.poisson(np.column_stack([lift, 12 - lift] + [np.full(150, 5)] * 20))
    >>> cells = anndata.AnnData(counts.astype("float32"), obs=pd.DataFrame({"perturbation": labels}).rename(str))
    >>> model = bft.tl.PerturbationModel(vectors).fit(cells)
    >>> predicted = model.predict(["RPL8", "MED23", "RPL3+MED1"])
    >>> predicted.shape, bool(predicted["RPL8", "0"].X.item() > predicted["MED23", "0"].X.item())
    ((3, 22), True)
    >>> predicted.obs["rests_on"]["RPL3+MED1"]
    'MED1: measured itself; RPL3: measured itself'
    """

    def __init__(
        self,
        similarity: Any = "tfidf",
        *,
        how: How = "knockdown",
        temperature: float | None = None,
        shrinkage: float | None = None,
        dose_width: float = 1.0,
        separator: str | None = None,
        min_cells: int = 10,
    ) -> None:
        self.similarity = similarity
        self.how = how
        self.temperature = temperature
        self.shrinkage = shrinkage
        self.dose_width = dose_width
        self.separator = separator
        self.min_cells = min_cells

    def fit(
        self,
        adata: AnnData,
        *,
        obs_key: str = "perturbation",
        control: str | Sequence[str] = CONTROLS,
        dose_key: str | None = None,
        layer: str | None = None,
        values: str = "auto",
    ) -> Self:
        """Measure the conditions of a screen, and choose temperature and shrinkage.

        Parameters
        ----------
        adata
            Cells by genes, counts or log-normalised values, in memory, lazy or backed: one pass over chunks of cells.
            Of one cell line and one kind of perturbation: all cells of a condition are pooled, and all controls.
        obs_key
            Column of ``obs`` with the condition: ``"KLF1"``, ``"KLF1+MAP2K6"``, ``"vorinostat"``, ``"control"``.
        control
            Names that stand for no perturbation, by default the usual ones.
        dose_key
            Column of ``obs`` with the dose: numbers, or numbers with a molar unit (``"10 uM"``).
        layer
            Use this layer instead of ``X``.
        values
            ``"counts"`` are scaled to 10,000 per cell and logged, ``"lognorm"`` is used as it is; ``"auto"`` takes
            whole numbers as counts.

        Returns
        -------
        The model.

        Raises
        ------
        InputError
            If a column or the control is missing, a parameter is out of its range, or fewer than two perturbations have
            enough cells and a vector.

        Warns
        -----
        BftembedWarning
            If conditions have too few cells, or perturbations no vector.
        """
        self._check_parameters()
        reading: dict[str, Any] = {"obs_key": obs_key, "control": control, "dose_key": dose_key}
        reading |= {"layer": layer, "values": values}
        screen = self._read(adata, molar=None, **reading)
        fitted = Fitted.of(
            screen,
            Likes(self.similarity, drugs=self.how == "drug"),
            temperature=self.temperature,
            shrinkage=self.shrinkage,
            dose_width=self.dose_width,
        )
        self._fitted, self._reading, self._molar = fitted, reading, screen.molar
        self._n_cells = int(screen.sizes.sum())
        self.temperature_, self.shrinkage_, self.cv_results_ = fitted.temperature, fitted.shrinkage, fitted.results
        self.parts_ = [str(part) for part in fitted.parts]
        self.effects_ = pd.DataFrame(
            fitted.effects.mean + fitted.effects.deviations, index=self.parts_, columns=screen.genes
        )
        log.info(
            "%d conditions of %d genes or drugs; temperature %g, shrinkage %g: on held-out ones %.0f %% of the error "
            "of the training mean is saved, as the best of %d settings (the best of as many by chance saves some too).",
            len(screen.parts),
            len(fitted.parts),
            fitted.temperature,
            fitted.shrinkage,
            100 * fitted.results["gain"].max(),
            len(fitted.results),
        )
        return self

    def predict(self, conditions: Iterable[str], *, dose: str | float | Iterable[str | float] | None = None) -> AnnData:
        """Predict the change of expression under conditions.

        Parameters
        ----------
        conditions
            n labels, written as those of the training data; seen or not, single or combined.
        dose
            One for all or one for each, if the model was fitted with doses: with a unit if those had one.

        Returns
        -------
        AnnData
            ``X``: float32 (n, genes), the predicted change of mean log-normalised expression (natural logarithm of 1 +
            counts per 10,000), condition minus control. ``layers["std"]``: its s.d., about the change that would be
            measured with as many cells as the training conditions have on average, against the same controls: the
            variance of held-out training perturbations about their prediction for an unseen part, the posterior
            variance for a measured one, added up over parts, and the sampling variance. Interactions of the parts of
            a combination are not in it. ``obs``: ``rests_on`` in words; ``mean_share``, how much of the prediction is
            the training mean, averaged over the parts; ``n_unseen`` parts.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InputError
            If a condition is a control, repeated, or has a part that was neither measured nor has a vector, or doses
            are missing, not expected, or have another unit than those of the training data.
        """
        import anndata

        check_is_fitted(self, "effects_")
        names, asked = asked_conditions(conditions, dose, self._labels(self._reading["control"], molar=self._molar))
        self._fitted.refuse_unknown(asked, names)
        predicted = self._fitted.predict(asked)
        result = anndata.AnnData(
            X=predicted.change.astype(np.float32),
            obs=predicted.basis.set_axis(pd.Index(names, dtype=str)),
            var=pd.DataFrame(index=self.effects_.columns.astype(str)),
            layers={"std": predicted.std.astype(np.float32)},
        )
        result.uns["bft"] = {"perturbation_model": self._provenance()}
        return result

    def score(self, adata: AnnData, **reading: Any) -> float:
        """Share of the squared error of the training mean that the predictions save, over all conditions of a screen.

        Parameters
        ----------
        adata
            Cells with conditions to predict and with controls of their own; it has all genes of the training data.
        reading
            ``obs_key``, ``control``, ``dose_key``, ``layer``, ``values`` where they differ from those of `fit`.

        Returns
        -------
        0 for the training mean, 1 for perfect predictions, below 0 for worse than the mean.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InputError
            If genes are missing or a name stands for several, or as `fit` and `predict` do.
        """
        check_is_fitted(self, "effects_")
        genes = self.effects_.columns
        if len(missing := genes.difference(adata.var_names)):
            msg = (
                f"{len(missing)} of the {len(genes)} genes of the model, e.g. {missing[0]}, are not in `var_names`: "
                "score on data with the genes of the training data."
            )
            raise InputError(msg)
        same = adata.var_names.equals(genes)
        if not (same or (adata.var_names.is_unique and genes.is_unique)):
            msg = "Genes are matched by name, and some share one: call `adata.var_names_make_unique()` before `fit`."
            raise InputError(msg)
        reading = self._reading | reading
        check_dosed(self._labels(reading["control"], molar=self._molar), reading["dose_key"] is not None, "dose_key")
        screen = self._read(adata, molar=self._molar, **reading)
        self._fitted.refuse_unknown(screen.parts)
        truth = screen.change if same else screen.change[:, screen.genes.get_indexer(genes)]
        sizes = np.array([len(each) for each in screen.parts])
        usual = sizes[:, None] * self._fitted.effects.mean
        missed = ((truth - self._fitted.predict(screen.parts).change) ** 2).sum()
        return float(1 - missed / ((truth - usual) ** 2).sum())

    def _check_parameters(self) -> None:
        for name in ("temperature", "dose_width", "shrinkage"):
            if (value := getattr(self, name)) is not None or name == "dose_width":
                check_number(name, value, least=0, above=name != "shrinkage")
        check_number("min_cells", self.min_cells, least=2, whole=True)

    def _labels(self, control: str | Sequence[str], *, molar: bool | None) -> Reading:
        return Reading(self.how, control_names(control), self.separator, molar)

    def _read(self, adata: AnnData, *, molar: bool | None, control: str | Sequence[str], **columns: Any) -> Screen:
        return read_screen(adata, self._labels(control, molar=molar), min_cells=self.min_cells, **columns)

    def _provenance(self) -> dict[str, Any]:
        return {
            "similarity": self.similarity if isinstance(self.similarity, str) else type(self.similarity).__name__,
            "how": self.how,
            "temperature": self.temperature_,
            "shrinkage": self.shrinkage_,
            "dose_width": float(self.dose_width),
            "n_parts": len(self.parts_),
            "n_cells": self._n_cells,
            "gain": float(self.cv_results_["gain"].max()),
            "bftembed_version": version("bftembed"),
        }
