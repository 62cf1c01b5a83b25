"""Embeddings as inputs of the benchmark: one grammar of short names, on the command line and in Python."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from bftembed.bench.sources.base import Source
from bftembed.errors import InputError


@dataclass(frozen=True)
class _Form:
    """One form of the grammar: where its source lives, whether an argument follows the colon, and what it is."""

    module: str
    factory: str
    argument: str
    about: str


FORMS: dict[str, _Form] = {
    "profiles": _Form("texts", "Profiles", "STORE", "texts of a profile store or Parquet export, encoded"),
    "text": _Form("texts", "RefSeq", "refseq", "RefSeq summaries, encoded (the recipe of GenePT)"),
    "tfidf": _Form("texts", "TfIdf", "", "300 principal directions of the words of RefSeq summaries"),
    "random": _Form("tables", "Random", "", "normal vectors drawn by name: the control"),
    "hpa": _Form("tables", "Expression", "", "principal components of expression in the tissues of HPA"),
    "h5ad": _Form("tables", "InAnnData", "FILE#varm/KEY", "an array of an AnnData file, varm/KEY or obsm/KEY"),
    "file": _Form("tables", "InFile", "PATH", "csv, tsv, parquet, npz, word2vec text, or GenePT's pickle"),
    "pca": _Form("cells", "PCA", "", "50 principal components of highly variable genes (cells only)"),
    "hvg": _Form("cells", "HighlyVariable", "", "values of highly variable genes (cells only)"),
    "harmony": _Form("cells", "Harmony", "", "principal components after Harmony of the batches (cells only)"),
    "scvi": _Form("cells", "ScVI", "", "latent space of an scVI model of the counts (cells only)"),
    "geneformer": _Form("tables", "Geneformer", "DIR", "a Geneformer checkpoint with its token dictionary"),
    "scgpt": _Form("tables", "ScGPT", "DIR", "an scGPT checkpoint: best_model.pt and vocab.json"),
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

    module = importlib.import_module(f"bftembed.bench.sources.{form.module}")
    kind_of_source: type[Source] = getattr(module, form.factory)
    options = {"encoder": encoder} if kind_of_source.takes_encoder else {}
    return kind_of_source(argument, label=label, spec=rest, **options)


def grammar(kind: str) -> str:
    """How a kind is written."""
    return f"{kind}:{FORMS[kind].argument}" if FORMS[kind].argument else kind
