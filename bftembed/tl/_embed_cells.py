"""From gene vectors to cell vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from bftembed._keys import checked_key
from bftembed._near import check_choice, check_number
from bftembed.errors import InputError
from bftembed.tl._stream import DEPARTURES

if TYPE_CHECKING:
    import os

    import pandas as pd
    from anndata import AnnData

    from bftembed.expression import Values
    from bftembed.pp import Reference

Weights = Literal["contrast", "zscore", "log1p", "raw", "log", "binary"]
Empty = Literal["raise", "nan"]
DEFAULT_WEIGHTS: Weights = "contrast"
_WHITEN = 1.0  # of departures, where `whiten` is "auto"


def embed_cells(  # noqa: PLR0913
    adata: AnnData | str | os.PathLike[str],
    *,
    use_rep: str = "X_bft",
    weights: Weights = DEFAULT_WEIGHTS,
    values: Values = "auto",
    layer: str | None = None,
    use_raw: bool = False,
    reference: Reference | pd.DataFrame | str | os.PathLike[str] | None = None,
    batch_key: str | None = None,
    whiten: float | Literal["auto"] | None = "auto",
    table: Any = None,
    n_components: int | None = None,
    center: bool = False,
    normalize: bool = False,
    empty: Empty = "raise",
    chunk_size: int | None = None,
    key_added: str = "X_bft",
    output: str | os.PathLike[str] | None = None,
    keep_x: bool = True,
    progress: bool | None = None,
) -> None:
    """Embed cells by the vectors of the genes that they express.

    By default, the vector of cell *c* is ``sum_g (x_cg - mean_g) v_g / n`` over the *n* highly variable genes *g* of a
    reference: ``x`` is log-normalised expression, ``mean`` that of the reference, ``v`` are the whitened gene vectors.
    It says how a cell departs from what is usual. With ``weights="zscore"`` the departure is in s.d. of the reference.
    With the other weights the vector is the mean ``sum_g w_cg v_g / sum_g w_cg`` over the genes that have one, most of
    which is the same in all cells: what they all express, and what the vectors have in common.

    Either depends on the cell, the gene vectors and the reference alone: not on the other cells, their order or
    `chunk_size`. The matrix is read in chunks of rows, once (once more for a contrast without a given `reference`), and
    is never made dense. For a text about each cell see :func:`bftembed.tl.embed_cell_profiles`.

    Where the matrix is a Dask array and a `dask.distributed` client is active, the workers of its cluster embed each
    block where it is made: gene vectors are sent to them once, and vectors of cells come back. If `output` is a .zarr,
    in a directory that all machines share, and all blocks but the last have one length, the workers write these too.
    Without a client, or with ``dask.config.set(scheduler="threads")``, blocks are embedded in this process.

    Z-scores, clipped at 10: `scanpy.pp.scale`. Means of texts' vectors weighted by expression: GenePT-w (Chen & Zou
    2024, Nat Biomed Eng). Whitening: :func:`bftembed.pp.whiten`.

    Parameters
    ----------
    adata
        In memory, backed, or lazy (`anndata.experimental.read_lazy`), or the path of an .h5ad or .zarr file.
    use_rep
        `.varm` key of the gene vectors, float32 (n_vars, d), from `embed_genes`. Genes whose row is NaN are not
        used. With `use_raw`, ``.raw.varm`` is looked at first; without the key there, the genes of `.raw` get
        their vectors from `.varm` by name, and those that are only in `.raw` are not used.
    weights
        ``"contrast"``: departure from the mean of the reference. ``"zscore"``: the same in s.d., clipped at 10; it
        raises rarely seen genes, and served small panels of genes better and whole transcriptomes worse in what was
        measured (docs/results.md). ``"log1p"``: ``log(1 + counts per 10,000)`` of the cell's
        total over all genes, and log-normalised values as they are. ``"raw"``: values as they are. ``"log"``:
        ``log(1 + value)``. ``"binary"``: 1 if not zero.
    values
        What the matrix holds. ``"auto"`` takes whole numbers as counts and fractions up to 30 as log-normalised;
        with anything else, the weights that depend on it are refused.
    layer
        Use this layer instead of `.X`.
    use_raw
        Use ``.raw.X`` instead of `.X`.
    reference
        For ``"contrast"`` and ``"zscore"``: what is usual for each gene, from :func:`bftembed.pp.reference`, the table
        that an earlier call left in ``.uns["bft"][key_added]["reference"]``, or the path of a file with it. By default
        it is made of these cells. Genes are matched by name; those that the cells lack add nothing. Give the same
        `table` too where cells with other genes are to lie in one space, since the vectors are whitened by it.
    batch_key
        For ``"contrast"`` and ``"zscore"``: column of `.obs`; each cell is compared with the reference of its batch.
        A contrast is then ``clip((x - mean_b) / sd_b, -10, 10) * sd`` with the mean and s.d. of the batch and the s.d.
        within all batches (location and scale, as in ComBat without its prior: Johnson et al. 2007, Biostatistics
        8:118), so that batches differ neither in mean nor in spread.
    whiten
        Subtract the mean vector of `table` from the gene vectors and divide by its singular values to this power
        (:func:`bftembed.pp.whiten`): 0 centres, 1 makes all directions equal, None takes the vectors as they are.
        ``"auto"`` is 1 for ``"contrast"`` and ``"zscore"``, and None for the other weights.
    table
        For `whiten`: vectors of all genes, e.g. the AnnData of `bft.embed`, a DataFrame by gene, or the path of one, so
        that a gene's vector does not depend on the genes of this AnnData. By default the vectors of these.
    n_components
        For `whiten`: so many leading components of `table` instead of all dimensions.
    center
        Subtract the mean of the gene vectors from each of them first; `whiten` does so already.
    normalize
        Scale cell vectors to length 1.
    empty
        What to do about cells without any weight: ``"raise"`` an error, or give them a row of ``"nan"``.
    chunk_size
        Cells read at once; by default what keeps a chunk near 30 MB. It changes memory and speed, not results. On the
        workers of a cluster it is a block of the Dask array.
    key_added
        Key in `.obsm` and `.uns`.
    output
        Write the result to this .h5ad or .zarr, chunk by chunk, and leave `adata` as it is. It may be the path
        that was read. The file takes its place once complete; after a failure the old one is still there.
        Needed when `adata` is a path.
    keep_x
        Whether `output` holds `X`, `layers`, `raw`, `obsp` and `varp` too.
    progress
        Show a bar, by default if the error stream is a terminal.

    Returns
    -------
    Nothing. Sets the following fields, of `adata` or of the file `output`:

    ``.obsm[key_added]`` : numpy.ndarray, float32 (n_obs, d)
        Cell vectors.
    ``.uns["bft"][key_added]["cells"]`` : dict
        Parameters, number of genes used and of cells without weight, package version and date.
    ``.uns["bft"][key_added]["reference"]`` : pandas.DataFrame
        With ``"contrast"`` and ``"zscore"``: the reference, to be passed in for new cells.

    Raises
    ------
    InputError
        If the file, the gene vectors or the values cannot be used, a cell has no weight, or the reference does not fit:
        it has other genes, lacks a batch, or was made of values that are normalised otherwise. Nothing is written.
    DataError
        If `output` cannot be written, or is not seen by the workers that are to write it; or an element of `adata` is
        of a kind that no such file can hold: said before any work.
    ClusterError
        If a worker of the cluster has no or another version of this package.

    Examples
    --------
    >>> import anndata, numpy as np
    >>> import bftembed as bft
    >>> adata = anndata.AnnData(np.array([[1, 0, 3], [0, 2, 2]], dtype=np.float32))
    >>> adata.varm["X_bft"] = np.eye(3, dtype=np.float32)
    >>> bft.tl.embed_cells(adata, weights="raw")
    >>> adata.obsm["X_bft"]
    array([[0.25, 0.  , 0.75],
           [0.  , 0.5 , 0.5 ]], dtype=float32)
    """
    for name, value, choices in (("weights", weights, Weights), ("empty", empty, Empty)):
        check_choice(name, value, get_args(choices))
    checked_key(key_added)
    alpha = (_WHITEN if weights in DEPARTURES else None) if whiten == "auto" else whiten
    _check_used(weights, alpha, center=center, table=table, n_components=n_components)
    if weights not in DEPARTURES and (reference is not None or batch_key is not None):
        given = "reference" if reference is not None else "batch_key"
        msg = f'{given}= is for weights="contrast" or "zscore"; weights={weights!r} knows no reference: leave it out.'
        raise InputError(msg)
    if chunk_size is not None:
        check_number("chunk_size", chunk_size, least=1, whole=True)
    # Here, and not at the top: numba and anndata take seconds to import.
    from bftembed.tl._stream.run import WeightedOptions, embed_weighted

    options = WeightedOptions(
        use_rep=use_rep,
        weights=weights,
        values=values,
        layer=layer,
        use_raw=use_raw,
        reference=reference,
        batch_key=batch_key,
        whiten=alpha,
        table=table,
        n_components=n_components,
        center=center,
        normalize=normalize,
        empty=empty,
        chunk_size=chunk_size,
        progress=progress,
    )
    embed_weighted(adata, options, key_added=key_added, output=output, keep_x=keep_x)


def _check_used(weights: str, alpha: float | None, *, center: bool, table: Any, n_components: int | None) -> None:
    """Refuse options of whitening that would do nothing."""
    if alpha is None and (table is not None or n_components is not None):
        given = "table" if table is not None else "n_components"
        msg = (
            f"{given}= is for whitening, which weights={weights!r} does not do by itself: pass whiten=, e.g. whiten=1."
        )
        raise InputError(msg)
    if alpha is not None:
        check_number("whiten", alpha, least=0)
    if n_components is not None:
        check_number("n_components", n_components, least=1, whole=True)
    if alpha is not None and center:
        msg = f"whiten={alpha} subtracts the mean of the vectors already: leave center=True out, or pass whiten=None."
        raise InputError(msg)
