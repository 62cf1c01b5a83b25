"""From gene vectors to cell vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from bftembed._keys import checked_key
from bftembed._near import check_choice
from bftembed.errors import InputError

if TYPE_CHECKING:
    import os

    from anndata import AnnData

    from bftembed.expression import Values

Weights = Literal["log1p", "raw", "log", "binary"]
Empty = Literal["raise", "nan"]


def embed_cells(  # noqa: PLR0913
    adata: AnnData | str | os.PathLike[str],
    *,
    use_rep: str = "X_bft",
    weights: Weights = "log1p",
    values: Values = "auto",
    layer: str | None = None,
    use_raw: bool = False,
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

    The vector of cell *c* is ``sum_g w_cg v_g / sum_g w_cg`` over the genes *g* that have a vector. It depends on the
    cell and on the gene vectors alone: not on the other cells, their order or `chunk_size`. The matrix is read once, in
    chunks of rows, and is never made dense. For a text about each cell see :func:`bftembed.tl.embed_cell_profiles`.

    Parameters
    ----------
    adata
        In memory, backed, or lazy (`anndata.experimental.read_lazy`), or the path of an .h5ad or .zarr file.
    use_rep
        `.varm` key of the gene vectors, float32 (n_vars, d), from `embed_genes`. Genes whose row is NaN are not
        used. With `use_raw`, ``.raw.varm`` is looked at first; without the key there, the genes of `.raw` get
        their vectors from `.varm` by name, and those that are only in `.raw` are not used.
    weights
        ``"log1p"``: ``log(1 + counts per 10,000 of the cell's total over all genes)``, and log-normalised values
        as they are. ``"raw"``: values as they are. ``"log"``: ``log(1 + value)``. ``"binary"``: 1 if not zero.
    values
        What the matrix holds. ``"auto"`` takes whole numbers as counts and fractions up to 30 as log-normalised;
        with anything else, the weights that depend on it are refused.
    layer
        Use this layer instead of `.X`.
    use_raw
        Use ``.raw.X`` instead of `.X`.
    center
        Subtract the mean of the gene vectors from each of them first.
    normalize
        Scale cell vectors to length 1.
    empty
        What to do about cells without any weight: ``"raise"`` an error, or give them a row of ``"nan"``.
    chunk_size
        Cells read at once; by default what keeps a chunk near 30 MB. It changes memory and speed, not results.
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

    Raises
    ------
    InputError
        If the file, the gene vectors or the values cannot be used, or a cell has no weight. Nothing is written.
    DataError
        If `output` cannot be written, or an element of `adata` is of a kind that no such file can hold: said before
        any work.

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
    if chunk_size is not None and chunk_size < 1:
        msg = f"chunk_size={chunk_size} must be at least 1, or None."
        raise InputError(msg)
    # Here, and not at the top: numba and anndata take seconds to import.
    from bftembed.tl._stream.run import WeightedOptions, embed_weighted

    options = WeightedOptions(
        use_rep=use_rep,
        weights=weights,
        values=values,
        layer=layer,
        use_raw=use_raw,
        center=center,
        normalize=normalize,
        empty=empty,
        chunk_size=chunk_size,
        progress=progress,
    )
    embed_weighted(adata, options, key_added=key_added, output=output, keep_x=keep_x)
