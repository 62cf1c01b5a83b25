"""Embeddings as inputs of the benchmark: one grammar of short names, on the command line and in Python."""

from __future__ import annotations

import difflib
from abc import ABC
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from numpy.typing import NDArray


class NotApplicableError(InputError):
    """An embedding has nothing for this kind of entity, e.g. principal components of cells for genes."""


class Source(ABC):
    """Somebody who has vectors for names.

    A source overrides what it can do of `genes`, `drugs` and `cells`. It starts nothing before it is asked, and asks
    for no more than it is asked for: of a text source only the texts of these names are encoded.
    """

    #: Name in results and reports, unique within a run.
    label: str
    #: The short name it was made from.
    spec: str
    #: Which genes (n_vars,) the last vectors of cells are means of; None if they are no means of genes' vectors.
    genes_used: NDArray[np.bool_] | None = None

    def describe(self) -> dict[str, Any]:
        """Everything that fixes the vectors, as JSON: a result whose description differs is computed again."""
        return {"spec": self.spec}

    def genes(self, names: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (n, d) of genes by canonical symbol, NaN rows for those it does not know."""
        raise NotApplicableError(self._cannot("genes"))

    def drugs(self, names: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (n, d) of drugs by name, NaN rows for those it does not know."""
        raise NotApplicableError(self._cannot("drugs"))

    def cells(self, adata: AnnData) -> NDArray[np.float32]:
        """Vectors (n_obs, d) of cells, NaN rows for those it does not know.

        ``adata`` has log-normalised values in ``X``, canonical symbols as ``var_names``, and where the data have them
        batches in ``obs["batch"]`` and counts in ``layers["counts"]``. By default the mean of the genes' vectors,
        weighted by their values.
        """
        from bftembed.bench._cell_sources import mean_of_genes

        vectors = self.genes([str(name) for name in adata.var_names])
        self.genes_used = np.asarray(~np.isnan(vectors).any(axis=1))
        return mean_of_genes(adata, vectors)

    def _cannot(self, what: str) -> str:
        return f"`{self.label}` has no embedding of {what}."


@dataclass(frozen=True)
class _Form:
    """One form of the grammar: where its source lives, whether an argument follows the colon, and what it is."""

    module: str
    factory: str
    argument: str
    about: str


FORMS: dict[str, _Form] = {
    "profiles": _Form("_text_sources", "Profiles", "STORE", "texts of a profile store or Parquet export, encoded"),
    "text": _Form("_text_sources", "RefSeq", "refseq", "RefSeq summaries, encoded (the recipe of GenePT)"),
    "tfidf": _Form("_text_sources", "TfIdf", "", "300 principal directions of the words of RefSeq summaries"),
    "random": _Form("_table_sources", "Random", "", "normal vectors drawn by name: the control"),
    "hpa": _Form("_table_sources", "Expression", "", "principal components of expression in the tissues of HPA"),
    "h5ad": _Form("_table_sources", "InAnnData", "FILE#varm/KEY", "an array of an AnnData file, varm/KEY or obsm/KEY"),
    "file": _Form("_table_sources", "InFile", "PATH", "csv, tsv, parquet, npz, word2vec text, or GenePT's pickle"),
    "pca": _Form("_cell_sources", "PCA", "", "50 principal components of highly variable genes (cells only)"),
    "hvg": _Form("_cell_sources", "HighlyVariable", "", "values of highly variable genes (cells only)"),
    "harmony": _Form("_cell_sources", "Harmony", "", "principal components after Harmony of the batches (cells only)"),
    "scvi": _Form("_cell_sources", "ScVI", "", "latent space of an scVI model of the counts (cells only)"),
    "geneformer": _Form("_table_sources", "Geneformer", "DIR", "a Geneformer checkpoint with its token dictionary"),
    "scgpt": _Form("_table_sources", "ScGPT", "DIR", "an scGPT checkpoint: best_model.pt and vocab.json"),
}


def get_source(spec: str | Source, *, encoder: Any = "default") -> Source:
    """Make a source of embeddings from its short name.

    Parameters
    ----------
    spec
        ``KIND``, ``KIND:ARGUMENT`` or ``LABEL=KIND:ARGUMENT``, with the kinds of `FORMS`; or a source, which is given
        back as it is. The label names it in results; by default it is the short name.
    encoder
        For texts: see `bftembed.encoders.get_encoder`.

    Raises
    ------
    InputError
        If the short name is none, or its argument is missing.

    Examples
    --------
    >>> from bftembed.bench import get_source
    >>> get_source("control=random").label
    'control'
    """
    if isinstance(spec, Source):
        return spec
    label, equals, rest = spec.partition("=")
    if not equals or ":" in label or "/" in label:
        label, rest = spec, spec
    kind, _, argument = rest.partition(":")
    if kind not in FORMS:
        near = difflib.get_close_matches(kind, FORMS, n=1)
        hint = f"did you mean `{near[0]}`?" if near else "the kinds are:"
        listed = "\n".join(f"  {grammar(name):22} {form.about}" for name, form in FORMS.items())
        msg = f"`{spec}` is no embedding; {hint}\n{listed}"
        raise InputError(msg)
    form = FORMS[kind]
    if bool(argument) != bool(form.argument):
        msg = f"`{spec}` is incomplete: write `{grammar(kind)}`." if form.argument else f"`{kind}` takes no argument."
        raise InputError(msg)
    import importlib

    module = importlib.import_module(f"bftembed.bench.{form.module}")
    source: Source = getattr(module, form.factory)(argument, encoder=encoder)
    source.label, source.spec = label, rest
    return source


def grammar(kind: str) -> str:
    """How a kind is written."""
    return f"{kind}:{FORMS[kind].argument}" if FORMS[kind].argument else kind


def checked(vectors: NDArray[np.float32], n: int, label: str) -> NDArray[np.float32]:
    """Vectors (n, d) as a source gave them, or `InputError` if they are no such array or hold half a vector."""
    if vectors.ndim != 2 or len(vectors) != n:
        msg = f"`{label}` gave an array of shape {vectors.shape} for {n} names."
        raise InputError(msg)
    missing = np.isnan(vectors)
    partly = missing.any(axis=1) & ~missing.all(axis=1)
    if partly.any() or np.isinf(vectors).any():
        msg = (
            f"`{label}`: {int(partly.sum())} vectors are NaN in part and {int(np.isinf(vectors).any(axis=1).sum())} "
            "hold infinite values. Make the whole row NaN for a name without a vector."
        )
        raise InputError(msg)
    return vectors
