"""The conditions behind the perturbations of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bftembed.errors import InputError
from bftembed.get._provenance import provenance

if TYPE_CHECKING:
    from anndata import AnnData


def conditions(adata: AnnData, use_rep: str = "X_bft") -> AnnData:
    """The conditions of an AnnData of cells, a row for each.

    Parameters
    ----------
    adata
        After :func:`bftembed.tl.embed_perturbations`.
    use_rep
        Key of the embedding.

    Returns
    -------
    AnnData
        A copy, laid out as the result of :func:`bftembed.embed`: ``X`` and ``obsm[use_rep]`` float32, shape
        (n_conditions, d); ``obs``: ``perturbation``, ``parts``, ``how``, ``dose``, ``cell_line``, texts and their keys.

    Raises
    ------
    InputError
        If `use_rep` is no embedding of perturbations.

    Examples
    --------
    >>> import anndata, pandas as pd, bftembed as bft
    >>> cells = anndata.AnnData(obs=pd.DataFrame({"perturbation": ["KLF1", "control", "KLF1"]}, index=list("abc")))
    >>> bft.tl.embed_perturbations(cells, facts="none", profiles={"KLF1": "Erythroid genes fall."})
    >>> bft.get.conditions(cells).obs_names.tolist()
    ['KLF1']
    """
    import pandas as pd
    from anndata import AnnData

    sides = provenance(adata, use_rep)
    kept = adata.uns.get(f"{use_rep}_conditions")
    if "perturbations" not in sides or kept is None:
        msg = f"`{use_rep}` is no embedding of perturbations: call bft.tl.embed_perturbations first."
        raise InputError(msg)
    vectors = np.array(kept["X"], dtype=np.float32)
    var = pd.DataFrame(index=[f"d{i}" for i in range(vectors.shape[1])])
    made = AnnData(X=vectors, obs=kept["obs"].copy(), var=var, obsm={use_rep: vectors.copy()})
    made.uns["bft"] = {use_rep: {"entities": sides["perturbations"]}}
    return made
