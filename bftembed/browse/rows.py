"""What a page shows: genes, cells or perturbations of an AnnData, with their vectors and texts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bftembed import get
from bftembed._keys import check_embedded
from bftembed._near import check_choice
from bftembed.errors import InputError
from bftembed.expression import opened
from bftembed.vectors import has_direction

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from anndata import AnnData
    from numpy.typing import NDArray

    from bftembed.profiles import ProfileStore

#: Of an embedding, as its provenance names them: what is shown where several are there comes first.
_SIDES = ("perturbations", "entities", "genes", "cells")
#: Endings of columns with texts and their keys.
_TEXT_COLUMNS = ("_text", "_text_key", "_profile")


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a map.

    Attributes
    ----------
    noun
        What they are, in the plural.
    frame
        (n, ...) their columns of `obs` or `var`, without the texts; its index has their names.
    vectors
        float32 (n, d), NaN rows where there is none.
    held
        ``obsm`` or ``varm``: layouts that exist.
    uns
        Of the AnnData: colours of labels.
    info
        Provenance.
    texts
        Indexed as `frame`, ``text`` (``""`` where there is none), ``status``, ``issues``; None where they are nowhere,
        and `without` says why.
    n_total
        How many there are, of which `frame` may have a part.
    weighted
        Whether the vectors are sums of vectors of genes, and not of texts.
    genes
        Provenance of these genes, where it is known.
    """

    noun: str
    frame: pd.DataFrame
    vectors: NDArray[np.float32]
    held: Mapping[str, Any]
    uns: Mapping[str, Any]
    info: Mapping[str, Any]
    texts: pd.DataFrame | None
    without: str
    n_total: int
    weighted: bool = False
    genes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """A name for each; several may have the same."""
        return [str(name) for name in self.frame.index]

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """Which have a vector, other than one of zeros."""
        return has_direction(self.vectors)

    @property
    def text(self) -> list[str]:
        """The text of each, ``""`` where there is none."""
        if self.texts is None:
            return [""] * len(self.frame)
        return [text if isinstance(text, str) else "" for text in self.texts["text"]]

    def sampled(self, n: int, seed: int) -> Rows:
        """At most `n` of them, in their order, drawn at random."""
        if len(self.frame) <= n:
            return self
        chosen = np.sort(np.random.default_rng(seed).choice(len(self.frame), n, replace=False))
        held = {key: value[chosen] for key, value in self.held.items() if isinstance(value, np.ndarray)}
        texts = None if self.texts is None else self.texts.iloc[chosen]
        return replace(self, frame=self.frame.iloc[chosen], vectors=self.vectors[chosen], held=held, texts=texts)


def read_parts(path: str | Path, keys: list[str]) -> AnnData:
    """The AnnData of a file without its matrices: ``obs``, ``var``, ``uns`` and, of ``obsm`` and ``varm``, `keys`.

    Raises
    ------
    InputError
        If there is no such file or it holds no AnnData.
    """
    from anndata import AnnData
    from anndata.io import read_elem

    with opened(path) as parts:
        group = parts.group
        read = {name: read_elem(group[name]) for name in ("obs", "var", "uns") if name in group}
        for place in ("obsm", "varm"):
            there = group.get(place, {})
            read[place] = {key: read_elem(there[key]) for key in keys if key in there}
    return AnnData(**read)


def rows_of(
    adata: AnnData, *, use_rep: str, among: str | None = None, store: ProfileStore | str | Path | None = None
) -> Rows:
    """The rows of an embedding: of perturbations the conditions, else genes where there are any, else cells.

    Raises
    ------
    InputError
        If there is no such embedding, or nothing of the kind that is asked for.
    """
    sides = get.provenance(adata, use_rep)
    order = {_noun(side, sides[side]): side for side in _SIDES if side in sides}
    noun = among or next(iter(order), "")
    check_choice("among", noun, list(order))
    side, info = order[noun], sides[order[noun]]
    if side == "perturbations":
        adata = get.conditions(adata, use_rep)
    place, frame = ("varm", adata.var) if side == "genes" else ("obsm", adata.obs)
    held = getattr(adata, place)
    check_embedded(held, use_rep, place, "bft.embed" if side == "entities" else f"bft.tl.embed_{side}")
    texts, without = _texts(adata, frame, use_rep, info, store)
    drop = [name for name in frame.columns if str(name).endswith(_TEXT_COLUMNS)]
    return Rows(
        noun=noun,
        frame=frame.drop(columns=drop),
        vectors=np.asarray(held[use_rep], dtype=np.float32),
        held=held,
        uns=adata.uns,
        info=info,
        texts=texts,
        without=without,
        n_total=len(frame),
        weighted="encoder" not in info,
        genes=sides.get("genes", {}) if side == "cells" and "encoder" not in info else {},
    )


def _noun(side: str, info: Mapping[str, Any]) -> str:
    return f"{info.get('kind', 'name')}s".replace("_", " ") if side == "entities" else side


def _texts(
    adata: AnnData, frame: pd.DataFrame, use_rep: str, info: Mapping[str, Any], store: ProfileStore | str | Path | None
) -> tuple[pd.DataFrame | None, str]:
    """The texts, or why there are none."""
    from anndata import AnnData

    if "encoder" not in info:
        return None, "These vectors are weighted sums of the vectors of genes: there is no text behind them."
    alone = AnnData(obs=frame.set_axis(pd.RangeIndex(len(frame)).astype(str)))
    alone.uns["bft"] = {**adata.uns["bft"], use_rep: {"entities": info}}
    try:
        return get.profiles(alone, use_rep, store=store).set_axis(frame.index), ""
    except InputError as error:
        return None, str(error)
