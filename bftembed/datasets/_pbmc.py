"""Small data sets that come with scanpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bftembed._optional import require

if TYPE_CHECKING:
    from anndata import AnnData


def pbmc68k_reduced() -> AnnData:
    """700 PBMCs x 765 genes of 10x Genomics, as they ship with scanpy: no download.

    ``.X`` is scaled, ``.raw`` is log-normalised; ``obs["bulk_labels"]`` holds the cell types.

    Examples
    --------
    >>> from bftembed.datasets import pbmc68k_reduced
    >>> pbmc68k_reduced().shape
    (700, 765)
    """
    return require("scanpy").datasets.pbmc68k_reduced()
