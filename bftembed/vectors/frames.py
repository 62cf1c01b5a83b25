"""Vectors of an AnnData as a table, to a file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from bftembed._keys import checked_key, side_of
from bftembed._near import near_file
from bftembed.errors import DataError, InputError
from bftembed.expression import checked_anndata
from bftembed.vectors.about import about_of
from bftembed.vectors.reading import read_file
from bftembed.vectors.vocabulary import in_order, read_vocabulary
from bftembed.vectors.writing import check_target, write_frame

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from anndata import AnnData

    Vocabulary = str | Path | Mapping[str, int] | Sequence[str]
    Among = Literal["genes", "cells"]

#: Columns of ``obs`` or ``var`` that go along with the vectors.
COLUMNS = ("bft_gene", "ensembl", "entrez", "approved", "biotype", "facts")


def vectors_frame(
    adata: AnnData,
    *,
    use_rep: str = "X_bft",
    among: Among | None = None,
    vocabulary: Vocabulary | None = None,
) -> pd.DataFrame:
    """Vectors by name, also in the order of a model's vocabulary.

    Parameters
    ----------
    adata
        With an embedding: the result of :func:`bftembed.embed`, or with ``varm[use_rep]`` or ``obsm[use_rep]``.
    use_rep
        Key of the embedding.
    among
        ``"genes"`` (``varm``) or ``"cells"`` (``obsm``: cells, or the rows of `bft.embed`); by default genes where
        there are any.
    vocabulary
        The rows that are wanted, in order: a mapping of gene to index, as GEARS has it, a list of names, or a file,
        such as scGPT's ``vocab.json``. Genes are found by name, and otherwise by the canonical symbol of both. A line
        in the log says how many have a vector.

    Returns
    -------
    pandas.DataFrame
        (n, d) float32 by name. Without a vocabulary the names that have a vector; with one all of its names, and NaN
        where there is no vector.

    Raises
    ------
    InputError
        If there is no such embedding, or the vocabulary is none.
    DataError
        If its file cannot be read.

    Examples
    --------
    >>> import bftembed as bft
    >>> genes = bft.embed(["TP53", "ALB"], facts="none", profiles={"TP53": "Guards the genome.", "ALB": "In blood."})
    >>> matrix = bft.get.vectors(genes, vocabulary={"<pad>": 0, "ALB": 1, "TP53": 2})
    >>> matrix.shape, matrix.notna().all(axis=1).tolist()
    ((3, 384), [False, True, True])
    """
    frame, _ = _taken(adata, use_rep, among)
    return frame.dropna() if vocabulary is None else in_order(frame, read_vocabulary(vocabulary))


def write_vectors(
    vectors: AnnData | pd.DataFrame,
    path: str | Path,
    *,
    use_rep: str = "X_bft",
    among: Among | None = None,
    vocabulary: Vocabulary | None = None,
) -> None:
    """Write vectors and their names to a file that other programs read.

    Where they come from (recipe, coverage, sources and licences) and columns such as ``ensembl`` and ``entrez`` go
    along: in the metadata of Parquet, safetensors and npz under the key ``bftembed``; word2vec text and CSV have no
    place for it, and get a file beside them, ``genes.vec.json``.

    Parameters
    ----------
    vectors
        AnnData with an embedding, or (n, d) numbers by name.
    path
        ``.parquet`` or ``.csv``: ``name``, ``d0``, ``d1``, ...; ``.vec``: word2vec text, for gensim and others (a blank
        in a name becomes ``_``); ``.safetensors``: tensors ``vectors`` (n, d) and ``known`` (n,), names in the
        metadata as JSON; ``.npz``: arrays ``matrix``, ``known`` and ``names``.
    use_rep, among
        As in :func:`bftembed.get.vectors`.
    vocabulary
        The rows, in order, as in :func:`bftembed.get.vectors`: a matrix for the embedding layer of GEARS or scGPT, NaN
        and ``known`` False where a name has no vector.

    Raises
    ------
    InputError
        If there is no such embedding, the suffix is another one, the format cannot hold the names, they only count
        (0, 1, 2 ...), or numbers are infinite.
    DataError
        If the file cannot be written, or that of the vocabulary cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> import bftembed as bft
    >>> genes = bft.embed(["TP53", "ALB"], facts="none", profiles={"TP53": "Guards the genome.", "ALB": "In blood."})
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     bft.write_vectors(genes, f"{directory}/genes.vec")
    ...     again = bft.read_vectors(f"{directory}/genes.vec")
    >>> (again.X == genes.X).all(), again.obs_names.tolist()
    (np.True_, ['TP53', 'ALB'])
    """
    path = Path(path).expanduser()
    check_target(path)
    frame, about = _taken(vectors, use_rep, among)
    if vocabulary is not None:
        frame = in_order(frame, read_vocabulary(vocabulary))
        about["columns"] = {}
    else:
        kept = frame.notna().all(axis=1).to_numpy()
        frame = frame[kept]
        about["columns"] = {
            name: [value for value, keep in zip(values, kept, strict=True) if keep]
            for name, values in about["columns"].items()
        }
    if not frame.shape[1] or not frame.notna().any(axis=None):
        msg = f"There are no vectors to write to `{path}`: {len(frame)} names, {frame.shape[1]} dimensions."
        raise InputError(msg)
    write_frame(frame, about, path)


def read_vectors(path: str | Path, *, key_added: str = "X_bft") -> AnnData:
    r"""Read a file of vectors, of this package or of others, as :func:`bftembed.embed` gives them.

    Parameters
    ----------
    path
        ``.csv``, ``.tsv``, ``.txt``, ``.vec``, ``.w2v`` (also ``.gz``), ``.parquet``, ``.npz``, ``.safetensors``, or a
        pickled dict of GenePT (``.pickle``).
    key_added
        Key of the result.

    Returns
    -------
    AnnData
        A row per name, ``X`` and ``obsm[key_added]`` (n, d) float32, NaN rows for names without a vector; in ``obs``
        and ``uns`` what `write_vectors` put along.

    Raises
    ------
    DataError
        If the file is not there, of an unknown kind, damaged, or has no name and numbers a row.

    Warns
    -----
    BftembedWarning
        If the file that `write_vectors` put beside it is of other names, and is left out.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "genes.vec")
    ...     _ = path.write_text("TP53 0.5 1\nALB 0 -1\n")
    ...     genes = read_vectors(path)
    >>> genes.obs_names.tolist(), genes.obsm["X_bft"].tolist()
    (['TP53', 'ALB'], [[0.5, 1.0], [0.0, -1.0]])
    """
    from anndata import AnnData

    checked_key(key_added)
    path = Path(path).expanduser()
    names, matrix = read_file(path)
    about = about_of(path, names)
    renamed = about.get("renamed", {})
    columns = {name: values for name, values in about.get("columns", {}).items() if len(values) == len(names)}
    obs = pd.DataFrame(columns, index=pd.Index([renamed.get(name, name) for name in names], dtype=str))
    var = pd.DataFrame(index=[f"d{i}" for i in range(matrix.shape[1])])
    adata = AnnData(X=matrix, obs=obs, var=var, obsm={key_added: matrix.copy()})
    adata.uns["bft"] = {key_added: about.get("provenance", {})}
    return adata


def read_table(path: str | os.PathLike[str], name: str) -> AnnData:
    r"""A table of vectors by name: an AnnData file, or a file that `read_vectors` reads.

    Parameters
    ----------
    path
        Of the file.
    name
        Of the argument, for the message.

    Raises
    ------
    InputError
        If there is no such file.
    DataError
        If it cannot be read.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from bftembed.vectors import read_table
    >>> with TemporaryDirectory() as directory:
    ...     path = Path(directory) / "genes.csv"
    ...     _ = path.write_text("gene,0,1\nTP53,0.5,1\nALB,2,0\n")
    ...     read_table(path, "table").obs_names.tolist()
    ['TP53', 'ALB']
    """
    import anndata

    source = Path(path).expanduser()
    if not source.exists():
        msg = f"There is no file {str(source)!r} of the vectors for `{name}`: check the path.{near_file(source)}"
        raise InputError(msg)
    if source.suffix not in {".h5ad", ".zarr"}:
        return read_vectors(source)
    try:
        return anndata.read_zarr(source) if source.suffix == ".zarr" else anndata.read_h5ad(source)
    except Exception as error:  # h5py, zarr and anndata raise errors that have no common base
        reason = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')[:200]}"
        msg = f"`{source}` cannot be read as an AnnData ({reason}): download or write it again."
        raise DataError(msg) from error


def _taken(vectors: AnnData | pd.DataFrame, use_rep: str, among: Among | None) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Names x d, and what goes along."""
    if isinstance(vectors, pd.DataFrame):
        return _float32(vectors), {"provenance": {}, "columns": {}}
    if not hasattr(vectors, "varm"):
        msg = (
            f"`vectors` is a {type(vectors).__name__}: give an AnnData with an embedding, or a DataFrame with a row of "
            "numbers for each name, `pd.DataFrame(vectors, index=names)`."
        )
        raise InputError(msg)
    checked_anndata(vectors, "vectors")
    among = side_of(vectors, use_rep, among)
    genes = among == "genes"
    held, beside = (vectors.varm, vectors.var) if genes else (vectors.obsm, vectors.obs)
    columns = {name: _values(beside[name]) for name in COLUMNS if name in beside}
    if columns.get("bft_gene") == beside.index.tolist():
        del columns["bft_gene"]
    try:
        with np.errstate(over="ignore"):  # too large becomes infinite, and is refused as such
            frame = pd.DataFrame(np.asarray(held[use_rep], dtype=np.float32), index=beside.index)
    except (TypeError, ValueError) as error:
        msg = f"`{use_rep}` of {among} is no table of numbers, a row for each: {error}."
        raise InputError(msg) from error
    return frame.rename(columns="d{}".format), {
        "provenance": _plain(vectors.uns.get("bft", {}).get(use_rep, {})),
        "columns": columns,
    }


def _values(column: pd.Series[Any]) -> list[Any]:
    """True and False, or texts, ``""`` where there is none."""
    if column.dtype == bool:
        return column.tolist()
    return column.astype(object).where(column.notna(), "").astype(str).tolist()


def _float32(frame: pd.DataFrame) -> pd.DataFrame:
    try:
        with np.errstate(over="ignore"):  # too large becomes infinite, and is refused as such
            return frame.astype(np.float32)
    except (TypeError, ValueError) as error:
        msg = f"A table of vectors has names in its index and numbers in all columns ({error})."
        raise InputError(msg) from error


def _plain(value: Any) -> Any:
    """Provenance as JSON can hold it."""
    if hasattr(value, "items"):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value
