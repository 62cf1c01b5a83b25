"""Embeddings as inputs of the benchmark: one grammar of short names, on the command line and in Python."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bftembed._near import did_you_mean
from bftembed._plugins import load_plugin, plugin_names
from bftembed.bench.sources.base import Source
from bftembed.errors import InputError, PluginError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class _Form:
    """One form of the grammar: where its source lives, whether an argument follows the colon, and what it is."""

    module: str
    factory: str
    argument: str
    about: str


FORMS: dict[str, _Form] = {
    "profiles": _Form("texts", "Profiles", "STORE", "texts of a profile store or Parquet export, encoded"),
    "text": _Form("texts", "RefSeq", "refseq|annotation", "RefSeq summaries (the recipe of GenePT), or all facts"),
    "tfidf": _Form("texts", "TfIdf", "", "300 principal directions of the words of RefSeq summaries"),
    "model": _Form("model", "Model", "ENGINE", "a language model that answers: default, vllm:DIR, ..."),
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
    "mean": _Form("recipes", "Mean", "EMBEDDING", "cells as weighted means of another embedding's genes"),
    "batchwise": _Form("recipes", "Batchwise", "EMBEDDING", "cells by contrast with their batch, of its genes"),
}


def get_source(
    spec: str | Source, *, encoder: Any = "default", engine_options: Mapping[str, Any] | None = None
) -> Source:
    """Make a source of embeddings from its short name.

    Parameters
    ----------
    spec
        ``KIND``, ``KIND:ARGUMENT`` or ``LABEL=KIND:ARGUMENT``, with the kinds of `FORMS` and those that installed
        packages register under the entry-point group ``bftembed.sources``; or a source, which is given back as it is.
        The label names it in results; by default it is the short name.
    encoder
        For texts: see `bftembed.encoders.get_encoder`.
    engine_options
        For language models (``model:ENGINE``): options of the engine, e.g. ``{"dtype": "bfloat16"}``.

    Raises
    ------
    InputError
        If the short name is none, or its argument is missing.
    PluginError
        If what a package registered cannot be loaded or is no `Source`.

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
    form = _form(kind)
    if form is None:
        others = plugin_names("sources")
        listed = [f"  {_written(name, form):22} {form.about}" for name, form in FORMS.items()]
        listed += [f"  {name:22} of an installed package" for name in others]
        msg = "\n".join([f"`{spec}` is no embedding.{did_you_mean(kind, [*FORMS, *others])} The kinds are:", *listed])
        raise InputError(msg)
    if bool(argument) != bool(form.argument):
        msg = (
            f"`{spec}` is incomplete: write `{_written(kind, form)}`."
            if form.argument
            else f"`{kind}` takes no argument."
        )
        raise InputError(msg)
    source = _class_of(kind)
    options = {"encoder": encoder} if source.takes_encoder else {}
    if source.takes_engine_options:
        options["engine_options"] = engine_options
    return source(argument, label=label, spec=rest, **options)


def kinds() -> dict[str, str]:
    """Every kind as it is written, and what it is; with those of installed packages.

    Raises
    ------
    PluginError
        If what a package registered cannot be loaded or is no `Source`.
    """
    forms = {name: _form(name) for name in [*FORMS, *plugin_names("sources")]}
    return {_written(name, form): form.about for name, form in forms.items() if form is not None}


def _form(kind: str) -> _Form | None:
    if kind in FORMS or kind not in plugin_names("sources"):
        return FORMS.get(kind)
    source = _class_of(kind)
    return _Form("", "", source.argument_name, (inspect.getdoc(source) or "of an installed package").splitlines()[0])


def _class_of(kind: str) -> type[Source]:
    if kind in FORMS:
        module = importlib.import_module(f"bftembed.bench.sources.{FORMS[kind].module}")
        source: type[Source] = getattr(module, FORMS[kind].factory)
        return source
    source = load_plugin("sources", kind)
    if not (isinstance(source, type) and issubclass(source, Source)):
        msg = f"What is registered as `{kind}` in `bftembed.sources` is no subclass of `bftembed.bench.Source`."
        raise PluginError(msg)
    return source


def _written(kind: str, form: _Form) -> str:
    return f"{kind}:{form.argument}" if form.argument else kind
