"""Any matrix that an AnnData can hold, as chunks of rows in CSR form: one pass, bounded memory."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from bftembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scipy.sparse import csr_matrix

    Reader = Callable[[int, int], Any]

logger = logging.getLogger("bftembed")
T = TypeVar("T")

INPUT_BYTES = 32 << 20
OUTPUT_BYTES = 24 << 20
_INDEX_BYTES = 8
_LIKELY_DENSITY = 0.1  # of a sparse Dask array, which does not know its own


def row_chunks(x: Any, chunk_size: int) -> Iterator[tuple[int, int, csr_matrix]]:
    """Yield ``(start, stop, rows)``: consecutive rows of `x` as a scipy CSR matrix.

    Parameters
    ----------
    x
        (n_obs, n_vars) real numbers: numpy array, scipy sparse matrix or array, anndata's on-disk CSR or
        CSC, h5py or zarr array, or a Dask array of dense or sparse blocks. A CSC matrix, whose rows
        cannot be read one after another, is converted as a whole: sparse, but not in bounded memory.
    chunk_size
        Largest number of rows in a chunk. A Dask array is cut at the ends of its own blocks as well, and
        each block is computed once.

    Raises
    ------
    InputError
        If `x` is none of these, does not hold real numbers, or is damaged on disk.
    """
    check_real(x)
    for start, stop, block in row_blocks(x, chunk_size):
        yield start, stop, as_csr(block)


def check_real(x: Any) -> None:
    """Refuse what is no matrix of real numbers.

    Raises
    ------
    InputError
        With what it is.
    """
    kind = np.dtype(x.dtype).kind if hasattr(x, "dtype") else "O"
    if kind not in "buif" or len(x.shape) != 2:
        msg = (
            f"The expression matrix is a {type(x).__name__} of dtype {getattr(x, 'dtype', None)}. It must be a numpy "
            "array, a scipy sparse matrix, an array of an h5ad or zarr file or a Dask array, of real numbers."
        )
        raise InputError(msg)


def check_blocks(x: Any) -> None:
    """Refuse a Dask array that does not know how many rows its blocks have.

    Raises
    ------
    InputError
        With the remedy.
    """
    if any(np.isnan(n) for sizes in x.chunks for n in sizes):
        msg = "The Dask array does not know the sizes of its blocks; call `compute_chunk_sizes()` on it first."
        raise InputError(msg)


def row_blocks(x: Any, chunk_size: int) -> Iterator[tuple[int, int, Any]]:
    """Yield ``(start, stop, block)`` as `row_chunks`, of a dense matrix its own rows: not to be changed."""
    if hasattr(x, "dask"):
        yield from _dask_blocks(x, chunk_size)
        return
    read = _row_reader(x)
    for start in range(0, x.shape[0], chunk_size):
        stop = min(start + chunk_size, x.shape[0])
        yield start, stop, read(start, stop)


def default_chunk_rows(x: Any, dim: int) -> int:
    """Rows per chunk that keep a chunk of `x`, and of an embedding of `dim` float32 columns, near 30 MB."""
    n_rows, n_columns = x.shape
    if hasattr(x, "group"):
        per_row = x.group["data"].shape[0] / max(n_rows, 1)
    elif hasattr(x, "nnz"):
        per_row = x.nnz / max(n_rows, 1)
    else:
        per_row = n_columns * (_LIKELY_DENSITY if hasattr(getattr(x, "_meta", None), "nnz") else 1)
    row_bytes = per_row * (np.dtype(x.dtype).itemsize + _INDEX_BYTES)
    return int(max(1, min(INPUT_BYTES / max(row_bytes, 1), OUTPUT_BYTES / (4 * dim), n_rows)))


def prefetched(items: Iterator[T]) -> Iterator[T]:
    """Yield `items`, working out the next one in a thread while the present one is in use."""
    with ThreadPoolExecutor(1, thread_name_prefix="bftembed-read") as pool:
        pending = pool.submit(next, items, None)
        while (item := pending.result()) is not None:
            pending = pool.submit(next, items, None)
            yield item


def _row_reader(x: Any) -> Reader:
    from scipy import sparse

    if hasattr(x, "group"):
        if x.format == "csr":
            return _disk_reader(x.group, x.shape[1])
        logger.info("The matrix is stored by columns (CSC): it is loaded as a whole, as CSR.")
        x = x.to_memory()
    if not sparse.issparse(x):
        return lambda start, stop: x[start:stop]
    rows = as_csr(x)

    def read(start: int, stop: int) -> csr_matrix:
        begin, end = rows.indptr[start], rows.indptr[stop]
        return _rows(rows.data[begin:end], rows.indices[begin:end], rows.indptr[start : stop + 1], rows.shape[1])

    return read


def _disk_reader(group: Any, n_columns: int) -> Reader:
    """Slices `data` and `indices` as stored: anndata's own row slicing goes through scipy index checks."""
    data, indices, indptr = group["data"], group["indices"], group["indptr"][:]
    if indptr[0] != 0 or np.any(indptr[1:] < indptr[:-1]) or not indptr[-1] == data.shape[0] == indices.shape[0]:
        msg = (
            f"The sparse matrix {group.name} is damaged: its row pointers end at {indptr[-1]}, it holds "
            f"{data.shape[0]} values and {indices.shape[0]} column numbers. Write or download the file again."
        )
        raise InputError(msg)

    def read(start: int, stop: int) -> csr_matrix:
        begin, end = int(indptr[start]), int(indptr[stop])
        return _rows(data[begin:end], indices[begin:end], indptr[start : stop + 1], n_columns)

    return read


def _rows(data: Any, indices: Any, indptr: Any, n_columns: int) -> csr_matrix:
    from scipy.sparse import csr_matrix

    if data.dtype == np.float16:
        data = data.astype(np.float32)
    return csr_matrix((data, indices, indptr - indptr[0]), shape=(indptr.size - 1, n_columns))


def as_csr(block: Any) -> csr_matrix:
    """A block of rows, dense or sparse, as CSR matrix."""
    from scipy import sparse

    if isinstance(block, sparse.csr_matrix):
        return block
    if not sparse.issparse(block):
        block = np.asarray(block)
        block = block.astype(np.float32) if block.dtype == np.float16 else block
    return sparse.csr_matrix(block)


def _dask_blocks(x: Any, chunk_size: int) -> Iterator[tuple[int, int, Any]]:
    check_blocks(x)
    if x.numblocks[1] > 1 and getattr(x._meta, "format", None) == "csc":
        logger.info("The lazy matrix is stored by columns (CSC): it is loaded as a whole, as CSR.")
        yield from row_blocks(as_csr(x.compute()), chunk_size)
        return
    start = 0
    for rows in _grouped(x.chunks[0], chunk_size):
        # A slice along block ends: only these blocks are computed, by whichever scheduler the user has set.
        block = x[start : start + rows].compute()
        block = as_csr(block) if hasattr(block, "nnz") else block
        for first in range(0, rows, chunk_size):
            last = min(first + chunk_size, rows)
            yield start + first, start + last, block if last - first == rows else block[first:last]
        start += rows


def _grouped(sizes: tuple[int, ...], largest: int) -> Iterator[int]:
    """Sums of consecutive `sizes` that stay within `largest`; a single larger one stands alone."""
    total = 0
    for size in sizes:
        if total and total + size > largest:
            yield total
            total = 0
        total += size
    if total:
        yield total
