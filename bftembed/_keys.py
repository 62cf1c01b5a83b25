"""Names under which results and their provenance are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from bftembed._near import check_choice, did_you_mean
from bftembed._unicode import writable
from bftembed.errors import InputError

_IN_OBSM = {"cells", "perturbations", "entities", "reference"}


def checked_key(key: str) -> str:
    """A key that AnnData files can hold.

    Raises
    ------
    InputError
        If it is empty, or has what files cannot hold: a slash (a path for HDF5 and zarr), NUL or half a character.
    """
    if not isinstance(key, str) or key.strip() in {"", ".", ".."} or "/" in key or writable(key) != key:
        msg = f"key_added={key!r} cannot be a key: give a name without `/`, e.g. 'X_bft'."
        raise InputError(msg)
    return key


def check_place(adata: Any, key: str) -> None:
    """Refuse an AnnData that results cannot be put into under `key`, before any work is done for them.

    Raises
    ------
    InputError
        If the key cannot be one, ``adata`` is a view of a backed AnnData, or something else is in ``adata.uns["bft"]``.
    """
    checked_key(key)
    if getattr(adata, "is_view", False) and adata.isbacked:
        msg = "`adata` is a view of a backed AnnData; call adata.to_memory(), or give the whole object."
        raise InputError(msg)
    held_sides(adata.uns, key)


def held_sides(uns: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """What ``uns["bft"][key]`` holds, of each side; empty if it is not there.

    Raises
    ------
    InputError
        If something else is in its place.
    """
    held: Any = uns
    for name, where in (("bft", "adata.uns['bft']"), (key, f"adata.uns['bft'][{key!r}]")):
        held = held.get(name, {})
        if not hasattr(held, "keys"):
            msg = f"`{where}` is a {type(held).__name__}, not what this package keeps there: `del {where}` first."
            raise InputError(msg)
    found: Mapping[str, Any] = held
    return found


def check_embedded(held: Mapping[str, Any], use_rep: str, place: str, maker: str, *, of: str = "adata") -> None:
    """Refuse a key that is not in ``adata.obsm`` or ``adata.varm``, or is sparse there; `of` is what messages call it.

    Raises
    ------
    InputError
        With the keys that are there, and the function that makes one.
    """
    if use_rep not in held:
        there = f"it has {', '.join(held)}.{did_you_mean(use_rep, held)}" if len(held) else "it is empty."
        msg = f"`{of}.{place}` has no `{use_rep}`: {there} {made_by(maker)}"
        raise InputError(msg)
    if hasattr(held[use_rep], "indptr"):
        msg = f"`{of}.{place}[{use_rep!r}]` is sparse: make it an array, `.toarray()`, of the same key."
        raise InputError(msg)


def made_by(maker: str = "bft.tl.embed_genes") -> str:
    """How an embedding that is not there is made."""
    return f"`{maker}`{' (or `bftembed embed`)' if maker.startswith('bft.') else ''} makes one."


def side_of(adata: Any, use_rep: str, among: str | None = None) -> Literal["genes", "cells"]:
    """``"genes"`` or ``"cells"``: which are asked for, by default genes where they have vectors.

    Raises
    ------
    InputError
        If these, or both, have none under this key.
    """
    if among is not None:
        check_choice("among", among, ("genes", "cells"))
        place = "varm" if among == "genes" else "obsm"
        check_embedded(getattr(adata, place), use_rep, place, f"bft.tl.embed_{among}")
        return "genes" if among == "genes" else "cells"
    if use_rep in adata.varm or use_rep in adata.obsm:
        return side_of(adata, use_rep, "genes" if use_rep in adata.varm else "cells")
    there = list(dict.fromkeys([*adata.varm, *adata.obsm]))
    known = f"they have {', '.join(there)}.{did_you_mean(use_rep, there)}" if there else "they are empty."
    msg = f"`adata.varm` and `adata.obsm` have no `{use_rep}`: {known} {made_by()}"
    raise InputError(msg)


#: What is said of free texts where `made_of_genes`.
NO_ANSWER = (
    "Vectors of cells that are made of those of genes do not answer free texts: `bft.tl.score_text` scores cells by "
    "them."
)


def made_of_genes(sides: Mapping[str, Any]) -> bool:
    """Whether the cells of an embedding are weighted sums of the vectors of genes, and do not answer texts."""
    return "cells" in sides and "encoder" not in sides["cells"]


def with_provenance(bft: Mapping[str, Any], key: str, side: str, info: dict[str, Any], **beside: Any) -> dict[str, Any]:
    """``uns["bft"]`` with one side of `key` (genes, cells, perturbations, entities) renewed and all else kept.

    The vectors of cells, perturbations and entities are in ``obsm``: a new one takes the place of the others, and of
    the reference of cells. `beside` is kept next to it as it is.
    """
    gone = _IN_OBSM if side in _IN_OBSM else {side}
    kept = {name: known for name, known in held_sides({"bft": bft}, key).items() if name not in gone}
    return {**bft, key: {**kept, side: _storable(info), **beside}}


def _storable(value: Any) -> Any:
    """As files can hold it: what engines and encoders of others say of themselves may be of any kind."""
    if isinstance(value, Mapping):
        return {str(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = [_storable(item) for item in value]
        kinds = {type(item) for item in items}
        return items if kinds <= {bool} or kinds <= {int, float} else [str(item) for item in items]
    is_plain = value is None or isinstance(value, str | int | float)
    return value if is_plain or hasattr(value, "dtype") or hasattr(value, "columns") else str(value)
