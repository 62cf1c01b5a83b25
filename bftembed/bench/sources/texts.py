"""Embeddings that are made of texts."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed import data, datasets
from bftembed.bench.sources.base import Source
from bftembed.bench.sources.tables import rows_by_gene
from bftembed.encoders import encode_cached, get_encoder
from bftembed.errors import InputError
from bftembed.profiles import Entity, read_texts
from bftembed.profiles.template import load_template

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bftembed.encoders import Encoder

_DIMENSIONS = 300


class _Texts(Source):
    """Texts by name, encoded when they are asked for; each text once, since the vectors are kept in the cache."""

    takes_encoder = True

    def __init__(
        self, argument: str, *, label: str | None = None, spec: str | None = None, encoder: str | Encoder = "default"
    ) -> None:
        super().__init__(argument, label=label, spec=spec)
        self.encoder = get_encoder(encoder)

    def _texts(self, kind: str) -> Mapping[str, str]:
        raise NotImplementedError

    def _encoded(self, names: Sequence[str], kind: str) -> NDArray[np.float32]:
        by_name = self._texts(kind)
        texts = [by_name.get(name) for name in names]
        vectors, _ = encode_cached([text for text in texts if text], self.encoder)
        found = np.full((len(names), max(vectors.shape[1], 1)), np.nan, dtype=np.float32)
        if len(vectors):
            found[[bool(text) for text in texts]] = vectors
        return found

    def genes(self, names: Sequence[str]) -> NDArray[np.float32]:
        return self._encoded(names, "gene")

    def all_genes(self) -> NDArray[np.float32] | None:
        return None if self.fast else self.genes(list(self._texts("gene")))

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return encode_cached(list(texts), self.encoder, query=True)[0]

    def drugs(self, names: Sequence[str]) -> NDArray[np.float32]:
        return self._encoded([name.casefold() for name in names], "drug")


class RefSeq(_Texts):
    """Facts of genes, and what the repurposing table says of drugs, rendered by the annotation template.

    ``text:refseq`` has RefSeq summaries alone: GO terms are left out on purpose, since some tasks ask for them.
    ``text:annotation`` has names, locus, summary and GO terms, as the annotation engine.
    """

    def __init__(
        self, argument: str, *, label: str | None = None, spec: str | None = None, encoder: str | Encoder = "default"
    ) -> None:
        super().__init__(argument, label=label, spec=spec, encoder=encoder)
        if argument not in {"refseq", "annotation"}:
            msg = f"`text:{argument}` is not known; there are `text:refseq` and `text:annotation`."
            raise InputError(msg)

    def describe(self) -> dict[str, Any]:
        genes = (
            _refseq_digest() if self.argument == "refseq" else datasets.required(datasets.gene_facts(), "genes").digest
        )
        texts = {"gene": genes, "drug": data.get_manifest("broad_repurposing").files[0].sha256}
        return {"spec": self.spec, "encoder": self.encoder.describe(), "texts": texts}

    def _texts(self, kind: str) -> Mapping[str, str]:
        template = load_template("annotation")
        if kind == "gene" and self.argument == "annotation":
            known_genes = datasets.required(datasets.gene_facts(), "genes")
            return {name: template.render(Entity("gene", name, known_genes.of(name))).user for name in known_genes}
        if kind == "gene":
            return {
                name: template.render(Entity("gene", name, {"summary": text})).user
                for name, text in _summaries().items()
            }
        known = datasets.required(datasets.drug_facts(), "broad_repurposing")
        return {name: template.render(Entity("drug", name, facts)).user for name, facts in known.items()}


class Profiles(_Texts):
    """Texts of a profile store (SQLite) or of its Parquet export."""

    answers = True

    def describe(self) -> dict[str, Any]:
        return {"spec": self.spec, "encoder": self.encoder.describe(), "texts": self._digests}

    @cached_property
    def _digests(self) -> dict[str, str]:
        return {kind: _digest(self._texts(kind)) for kind in ("gene", "drug")}

    def gene_texts(self) -> Mapping[str, str]:
        """Texts of genes by canonical symbol."""
        return self._texts("gene")

    def _texts(self, kind: str) -> Mapping[str, str]:
        return self._by_kind[kind]

    @cached_property
    def _by_kind(self) -> dict[str, dict[str, str]]:
        genes, drugs = (read_texts(Path(self.argument), kind=kind) for kind in ("gene", "drug"))
        if not genes and not drugs:
            msg = f"`{self.argument}` holds no usable profile of a gene or a drug."
            raise InputError(msg)
        texts = list(genes.values())
        rows = rows_by_gene(list(genes), self.label)
        return {
            "gene": {symbol: texts[row] for symbol, row in rows.items()},
            "drug": {name.casefold(): text for name, text in drugs.items()},
        }


class TfIdf(Source):
    """Words of RefSeq summaries: TF-IDF, then truncated SVD (latent semantic analysis), fitted on all summaries."""

    def describe(self) -> dict[str, Any]:
        return {"spec": self.spec, "dimensions": _DIMENSIONS, "texts": _refseq_digest()}

    def genes(self, names: Sequence[str]) -> NDArray[np.float32]:
        rows, vectors, _ = self._fitted
        found = np.full((len(names), vectors.shape[1]), np.nan, dtype=np.float32)
        for i, name in enumerate(names):
            if (row := rows.get(name)) is not None:
                found[i] = vectors[row]
        return found

    def all_genes(self) -> NDArray[np.float32]:
        return self._fitted[1]

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        _, _, model = self._fitted
        return np.asarray(model.transform(texts), dtype=np.float32)

    @cached_property
    def _fitted(self) -> tuple[dict[str, int], NDArray[np.float32], Any]:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import make_pipeline

        texts = _summaries()
        words = TfidfVectorizer(stop_words="english", sublinear_tf=True, min_df=2)
        model = make_pipeline(words, TruncatedSVD(_DIMENSIONS, random_state=0))
        vectors = model.fit_transform(texts.values())
        return {name: row for row, name in enumerate(texts)}, vectors.astype(np.float32), model


def _summaries() -> dict[str, str]:
    """RefSeq summary by canonical symbol.

    Raises
    ------
    InputError
        If the gene tables have not been fetched.
    """
    facts = datasets.gene_facts()
    known = {} if facts is None else dict(zip(facts.frame["symbol"], facts.frame["summary"], strict=True))
    summaries = {name: text for name, text in known.items() if text}
    if not summaries:
        msg = "RefSeq summaries have not been fetched: run `bftembed data fetch genes`."
        raise InputError(msg)
    return summaries


def _refseq_digest() -> str:
    sources = ("hgnc_genes", "ncbi_gene_info", "annotables_grch38", "refseq_gene_summary")
    return _digest({source: data.get_manifest(source).files[0].sha256 for source in sources})


def _digest(values: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(dict(values), sort_keys=True).encode()).hexdigest()
