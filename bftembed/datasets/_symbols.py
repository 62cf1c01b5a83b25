"""Which gene a name means, and which of several names stands for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bftembed.datasets._genes import gene_table
from bftembed.genes import map_names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from anndata import AnnData
    from numpy.typing import NDArray


def one_per_gene(
    names: Iterable[Any], totals: NDArray[Any] | None = None
) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """Canonical symbols of names, and which name stands for a gene that several of them mean.

    A weak match never displaces a strong one, see `bftembed.genes.MappingResult.representatives`.

    Parameters
    ----------
    names
        n gene names or Ensembl ids.
    totals
        (n,) decides among matches of one rule, e.g. the counts of each column; by default the first.

    Returns
    -------
    symbols
        (n,) canonical symbols, None where a name is unknown or ambiguous.
    stands
        (n,) bool: exactly one name of each gene.

    Examples
    --------
    >>> from bftembed.datasets import one_per_gene
    >>> symbols, stands = one_per_gene(["TP53", "BRCA1", "TP53"], totals=[1, 2, 3])
    >>> stands.tolist()
    [False, True, True]
    """
    result = map_names(list(names), gene_table())
    chosen = result.representatives(totals)
    return result.symbols, chosen == np.arange(len(chosen))


def by_symbol(adata: AnnData) -> AnnData:
    """Columns by canonical symbol, those without one by their own name.

    Of two of one name the one that means the gene by the better rule is kept, among equal ones the larger. Without gene
    tables (`bftembed data fetch genes`) names stay as they are.

    Parameters
    ----------
    adata
        With a sparse or dense ``X`` (n_obs, n_vars).

    Returns
    -------
    AnnData
        A copy with ``X`` CSR float32, unique names, the former ones in ``var["source_name"]``, and in
        ``uns["removed"]`` how many columns were left out.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> from bftembed.datasets import by_symbol
    >>> var = pd.DataFrame(index=["TP53", "my_gene", "P53"])
    >>> cells = by_symbol(anndata.AnnData(np.array([[1, 3, 5]], dtype=np.float32), var=var))
    >>> cells.var_names[:2].tolist()
    ['TP53', 'my_gene']
    """
    from scipy.sparse import csr_matrix

    own = adata.var_names.to_numpy().astype(object)
    totals = np.asarray(adata.X.sum(axis=0)).ravel()
    symbols, stands = one_per_gene(own, totals)
    names = pd.Index(np.where([symbol is None for symbol in symbols], own, symbols).astype(str))
    best = np.lexsort((np.arange(len(names)), -totals, ~stands))
    kept = np.sort(best[~names[best].duplicated()])
    result = adata[:, kept].copy()
    result.var = result.var.assign(source_name=own[kept].astype(str)).set_index(names[kept])
    result.X = csr_matrix(result.X).astype(np.float32)
    n_double = len(names) - len(kept)
    result.uns = {"removed": {"columns of a gene that another column means better": n_double} if n_double else {}}
    return result
