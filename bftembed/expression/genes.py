"""Which genes of an AnnData are meant."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.errors import InputError
from bftembed.expression.parts import check_columns, column_of

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

    from bftembed.expression.parts import AnnDataParts


def chosen_genes(adata: AnnData, mask_var: Any) -> NDArray[np.intp]:
    """Positions of the genes that are to be embedded: in the mask, and with a canonical name in ``var["bft_gene"]``.

    Parameters
    ----------
    adata
        With ``var["bft_gene"]``, from :func:`bftembed.pp.map_genes`.
    mask_var
        Boolean column of ``var``, or n_vars booleans; None takes all genes.

    Returns
    -------
    numpy.ndarray, intp
        Positions in ``var``, ascending, at least one.

    Raises
    ------
    InputError
        If the mask is no mask of the genes, or leaves none with a canonical name.
    """
    mask = mask_of_genes(adata, mask_var)
    chosen = np.flatnonzero(mask & column_of(adata.var, "bft_gene").notna().to_numpy())
    if not len(chosen):
        msg = f"None of the {int(mask.sum())} chosen genes has a canonical name in `adata.var['bft_gene']`."
        raise InputError(msg)
    return chosen


def gene_names(parts: AnnDataParts, *, use_raw: bool = False) -> NDArray[np.object_]:
    """One name for each column: that in ``var["bft_gene"]``, where there is one, else that in ``var_names``.

    Parameters
    ----------
    parts
        Of an AnnData.
    use_raw
        Of ``.raw``, whose genes have the canonical names of the same genes in ``var``.

    Returns
    -------
    numpy.ndarray, object (n_vars,)
        Different names; ``""`` for a column that a canonical name of another one left none for.

    Raises
    ------
    InputError
        If names occur more than once.
    """
    own = [str(name) for name in (parts.raw if use_raw and parts.raw is not None else parts).var_names()]
    canonical: dict[str, str] = {}
    for table in (parts, parts.raw if use_raw else None):
        if table is not None and "bft_gene" in table.var.columns:
            column = column_of(table.var, "bft_gene")
            known = zip(map(str, table.var_names()), column, column.notna(), strict=True)
            canonical.update({name: str(gene) for name, gene, there in known if there and gene != ""})
    taken = {canonical[name] for name in own if name in canonical}
    names = [canonical.get(name) or ("" if name in taken else name) for name in own]
    if repeated := sorted({name for name, n in Counter(names).items() if n > 1 and name}):
        msg = (
            f"{len(repeated)} genes have the same name as another one ({', '.join(map(repr, repeated[:3]))}): call "
            "adata.var_names_make_unique(), or bft.pp.map_genes(adata), first."
        )
        raise InputError(msg)
    return np.array(names, dtype=object)


def mask_of_genes(adata: AnnData, mask_var: Any) -> NDArray[np.bool_]:
    """Which genes are in a mask, (n_vars,); `mask_var` as `chosen_genes` takes it, which raises the same."""
    import pandas as pd

    if mask_var is None:
        return np.ones(adata.n_vars, dtype=bool)
    if isinstance(mask_var, str):
        check_columns(adata.var, "adata.var", [mask_var])
        mask, name = np.asarray(adata.var[mask_var]), f"adata.var[{mask_var!r}]"
    else:
        mask, name = np.asarray(mask_var), "mask_var"
    if mask.dtype == object:
        if n_missing := int(pd.isna(mask).sum()):
            msg = (
                f"`{name}` holds {n_missing} missing values beside True and False. Say what they mean, e.g. that these "
                f"genes are left out: `{name} = {name}.fillna(False).astype(bool)`."
            )
            raise InputError(msg)
        mask = mask.astype(bool) if all(isinstance(value, bool | np.bool_) for value in mask) else mask
    if mask.dtype != bool or mask.shape != (adata.n_vars,):
        msg = f"`{name}` must be {adata.n_vars} booleans, got shape {mask.shape} of {mask.dtype}."
        raise InputError(msg)
    return mask
