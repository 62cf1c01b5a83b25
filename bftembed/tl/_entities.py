"""The way that genes, drugs, perturbations and cells share: entity, profile text, vector."""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from bftembed._keys import with_provenance
from bftembed._near import did_you_mean
from bftembed._warn import warn
from bftembed.encoders import encode_cached, get_encoder
from bftembed.engines import engine_class, get_engine
from bftembed.errors import BftembedError, InputError
from bftembed.profiles import Bundle, ProfileStore, read_texts, write_profiles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    from anndata import AnnData
    from numpy.typing import NDArray

    from bftembed.encoders import Encoder
    from bftembed.engines import Engine, Sampling
    from bftembed.profiles import Entity
    from bftembed.profiles.given import Texts

log = logging.getLogger("bftembed")


class TextOptions(TypedDict, total=False):
    """The fields of `TextSource` as keyword arguments."""

    engine: str | Engine
    encoder: str | Encoder
    template: str | Path | None
    sampling: Sampling | None
    store: ProfileStore | str | Path | None
    profiles: Texts | None
    recipe: str | None
    progress: bool | None


@dataclass(frozen=True, slots=True)
class TextSource:
    """Where texts come from and who encodes them; the arguments that every embedding function takes.

    Parameters
    ----------
    engine
        Language model that writes the texts, see `bftembed.engines.get_engine`.
    encoder
        Model that encodes the texts, see `bftembed.encoders.get_encoder`.
    template
        Name or file of the prompt template; by default the one of the kind.
    sampling
        How tokens are drawn.
    store
        Profile store or its path; by default the one in the user cache.
    profiles
        Texts to use instead of an engine: a mapping from names to texts, a Series, a DataFrame with names and ``text``,
        the path of a CSV file, of a Parquet export or of a store; see `bftembed.profiles.read_texts`.
    recipe
        Beginning of the digest of the recipe to take, where `profiles` has texts of several.
    progress
        Show bars; by default only on a terminal.
    """

    engine: str | Engine = "default"
    encoder: str | Encoder = "default"
    template: str | Path | None = None
    sampling: Sampling | None = None
    store: ProfileStore | str | Path | None = None
    profiles: Texts | None = None
    recipe: str | None = None
    progress: bool | None = None

    @property
    def annotates(self) -> bool:
        """Whether the texts are nothing but facts."""
        return not (engine_class(self.engine) if isinstance(self.engine, str) else self.engine).generates

    def check(self) -> None:
        """Refuse an engine or an encoder that there is not, before anything is written into an AnnData."""
        get_encoder(self.encoder)
        _ = self.annotates

    @classmethod
    def of(cls, caller: str, options: TextOptions) -> TextSource:
        """The source that the keyword arguments of `caller` describe; an unknown one is told as Python would."""
        known = cls.__dataclass_fields__
        if unknown := [name for name in options if name not in known]:
            msg = f"{caller}() got an unexpected keyword argument '{unknown[0]}'.{did_you_mean(unknown[0], known)}"
            raise TypeError(msg)
        return cls(**options)

    def __post_init__(self) -> None:
        if self.profiles is not None and self.engine != "default":
            msg = "Pass either `engine` (texts are written) or `profiles` (texts are there), not both."
            raise InputError(msg)
        if self.recipe is not None and self.profiles is None:
            msg = "`recipe` chooses among given texts: pass `profiles` too, e.g. the path of a store."
            raise InputError(msg)


@dataclass(frozen=True, slots=True)
class EntityEmbeddings:
    """Vectors and texts of entities, in their order.

    ``vectors`` is float32 (n, d) with NaN rows where there is no usable text (None in ``texts``); ``keys`` are the
    texts' keys in the store (``""`` for texts that were given); ``info`` is the provenance for ``uns``.
    """

    vectors: NDArray[np.float32]
    texts: list[str | None]
    keys: list[str]
    info: dict[str, Any] = field(default_factory=dict)

    def spread(self, n: int, rows: Sequence[int] | NDArray[np.intp]) -> EntityEmbeddings:
        """The same for `n` rows, of which `rows` are the entities: elsewhere NaN, no text and no key."""
        vectors = np.full((n, self.vectors.shape[1]), np.nan, dtype=np.float32)
        vectors[rows] = self.vectors
        texts: list[str | None] = [None] * n
        keys = [""] * n
        for row, text, key in zip(rows, self.texts, self.keys, strict=True):
            texts[row], keys[row] = text, key
        return EntityEmbeddings(vectors, texts, keys, self.info)

    def summary(self, target: str) -> str:
        """One line for the log: how many names, with facts, with a text, and where the vectors went."""
        counts, n_texts = self.info["counts"], self.info["n_embedded"]
        source = f"{counts['stored']:,} stored" if "stored" in counts else "given"
        return (
            f"{self.info['n_entities']:,} names ({self.info['kind']}), {self.info['n_with_facts']:,} with facts, "
            f"{n_texts:,} texts ({source}), {self.vectors.shape[1]} dimensions -> {target}"
        )

    def annotate(self, frame: pd.DataFrame, key_added: str, *, texts: bool = True) -> None:
        """Put the texts (``""`` where there is none) and their keys in the store into columns of ``var`` or ``obs``."""
        frame[f"{key_added}_text_key"] = np.array(self.keys, dtype=object)
        if texts:
            frame[f"{key_added}_text"] = np.array([text or "" for text in self.texts], dtype=object)
        elif f"{key_added}_text" in frame:
            del frame[f"{key_added}_text"]


def embed_entities(
    entities: Sequence[Entity], source: TextSource, *, names: Sequence[str] | None = None, **info: Any
) -> EntityEmbeddings:
    """Write (or look up) and encode the texts of entities of one kind.

    Parameters
    ----------
    entities
        At least one.
    source
        Where their texts come from and who encodes them.
    names
        Other names of the entities, under which given texts are looked up too, and which messages use.
    info
        Further provenance.

    Raises
    ------
    InputError
        If there are no entities.
    BftembedError
        If not one usable text came out; the message has the reasons.

    Warns
    -----
    BftembedWarning
        If some names have no text among those that are given, or some of a few given texts are of no such name.
    """
    if not entities:
        msg = "There is nothing to embed: the list of names is empty."
        raise InputError(msg)
    get_encoder(source.encoder)  # a wrong name should not come up after hours of generation
    other = names or [entity.id for entity in entities]
    if source.profiles is None:
        texts, keys, details = _written(entities, other, source)
    else:
        by_id = read_texts(source.profiles, kind=entities[0].kind, recipe=source.recipe)
        texts = [by_id.get(entity.id) or by_id.get(name) for entity, name in zip(entities, other, strict=True)]
        # Other spellings of one entity share its text.
        shared = {entity.id: text for entity, text in zip(entities, texts, strict=True) if text}
        texts = [text or shared.get(entity.id) for entity, text in zip(entities, texts, strict=True)]
        keys = [""] * len(texts)
        details = {"counts": {"given": len(by_id), "missing": sum(text is None for text in texts)}}
        details |= source.profiles.origin if isinstance(source.profiles, Bundle) else {}
        _tell_of_missing(entities, other, texts, by_id)
    vectors, described = encode_texts(texts, source)
    provenance = {
        "kind": entities[0].kind,
        "n_entities": len(entities),
        "n_with_facts": sum(bool(entity.facts) for entity in entities),
        "n_embedded": int(sum(text is not None for text in texts)),
        "encoder": described,
        **details,
        **info,
        "bftembed_version": version("bftembed"),
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }
    return EntityEmbeddings(vectors, texts, keys, provenance)


def _tell_of_missing(
    entities: Sequence[Entity], names: Sequence[str], texts: Sequence[str | None], given: Mapping[str, str]
) -> None:
    """Warn of names without a text, and of texts of no such name; `InputError` where no name has one.

    Texts of other names are told where no name has a text, or where there are no more texts than names: a bundle of all
    genes is used for a few of them.
    """
    without = list(dict.fromkeys(name for name, text in zip(names, texts, strict=True) if not text))
    known = {*names, *(entity.id for entity in entities)}
    spare = [name for name in given if name not in known]
    n = len(set(names))
    told = [f"{len(without)} of {n} names have no text in `profiles`, and no vector: {_few(without)}"] * bool(without)
    if spare and (len(given) <= n or not any(texts)):
        are = f"{len(spare)} given texts are" if len(spare) > 1 else "1 given text is"
        told.append(f"{are} of none of these names: {_few(spare)}")
    if told and not any(texts):
        told[0] = f"None of {n} names (e.g. `{names[0]}`) has a text in `profiles`"
        raise InputError("; ".join(told) + ".")
    if told:
        warn("; ".join(told) + ".")


def _few(names: Sequence[str]) -> str:
    return ", ".join(name[:40] for name in names[:5]) + (", ..." if len(names) > 5 else "")


def encode_texts(texts: Sequence[str | None], source: TextSource) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Vectors (n, d) of texts, NaN rows for None, and the description of the encoder."""
    encoder = get_encoder(source.encoder)
    found, n_split = encode_cached([t for t in texts if t is not None], encoder, progress=source.progress)
    vectors = np.full((len(texts), found.shape[1]), np.nan, dtype=np.float32)
    vectors[[text is not None for text in texts]] = found
    if n_split:
        log.info("%d texts were longer than the encoder takes: split and mean-pooled.", n_split)
    return vectors, {**encoder.record(), "dim": int(found.shape[1]), "n_split": int(n_split)}


def open_store(store: ProfileStore | str | Path | None) -> ProfileStore:
    """The store itself, or the one at a path."""
    return store if isinstance(store, ProfileStore) else ProfileStore(store)


def _written(
    entities: Sequence[Entity], names: Sequence[str], source: TextSource
) -> tuple[list[str | None], list[str], dict[str, Any]]:
    """Texts, their keys and provenance; messages call the entities by `names`."""
    engine = get_engine(source.engine)
    store = open_store(source.store)
    try:
        written = write_profiles(
            entities,
            engine,
            store=store,
            template=source.template,
            sampling=source.sampling,
            progress=source.progress,
        )
    finally:
        if store is not source.store:
            store.close()
    failed = [profile for profile in written.profiles if profile.status != "ok"]
    if len(failed) == len(entities):
        reasons = sorted({profile.error or f"{profile.status} text" for profile in failed})
        msg = f"Not one of {len(entities)} profiles can be used. Reasons: {'; '.join(reasons)[:600]}."
        raise BftembedError(msg)
    if failed:
        bad = [name for name, p in zip(names, written.profiles, strict=True) if p.status != "ok"]
        why = "have no annotation" if source.annotates else "got no usable profile"
        log.warning("%d of %d names %s, and no vector: %s", len(failed), len(entities), why, _few(bad))
    details = {
        "engine": {**engine.describe(), **engine.provenance()},
        "template": written.recipe.template,
        "template_digest": written.recipe.template_digest,
        "sampling": dict(written.recipe.sampling),
        "recipe": written.recipe.digest,
        "store": str(store.path.resolve()),  # found again after a change of directory
        "counts": written.counts,
    }
    return written.texts, [profile.key for profile in written.profiles], details


def to_anndata(
    names: Sequence[str], result: EntityEmbeddings, columns: Mapping[str, Any], *, key_added: str
) -> AnnData:
    """One row per name, the vectors in ``X`` and in ``obsm``."""
    import pandas as pd
    from anndata import AnnData

    obs = pd.DataFrame(dict(columns), index=pd.Index(names, dtype=str))
    result.annotate(obs, key_added)
    var = pd.DataFrame(index=[f"d{i}" for i in range(result.vectors.shape[1])])
    adata = AnnData(X=np.array(result.vectors), obs=obs, var=var, obsm={key_added: result.vectors})
    adata.uns["bft"] = with_provenance({}, key_added, "entities", result.info)
    return adata
