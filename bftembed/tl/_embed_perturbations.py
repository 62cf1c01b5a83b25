"""Embeddings of the perturbations of an AnnData: what was done to the genes of a cell, or which drug it got."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from bftembed._keys import checked_key, with_provenance
from bftembed._warn import warn
from bftembed.entities import CONTROLS, condition_table, conditions_of, perturbation_entities
from bftembed.errors import InputError
from bftembed.expression import check_columns, checked_anndata, column_of, made_actual
from bftembed.tl._entities import TextOptions, TextSource, embed_entities

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from anndata import AnnData

    from bftembed.entities import Facts, How

log = logging.getLogger("bftembed")


def embed_perturbations(
    adata: AnnData,
    *,
    obs_key: str = "perturbation",
    how: How = "knockdown",
    how_key: str | None = None,
    dose_key: str | None = None,
    cell_line_key: str | None = None,
    control: Sequence[str] = CONTROLS,
    separator: str | None = None,
    facts: Facts = "auto",
    key_added: str = "X_bft",
    **options: Unpack[TextOptions],
) -> None:
    """Embed the perturbation of each cell by a profile of it.

    Cells of one condition (perturbation, dose, cell line) share one text and one vector. Names without an AnnData are
    embedded by :func:`bftembed.embed` with ``kind="perturbation"``.

    Parameters
    ----------
    adata
        In memory or backed; only ``obs``, ``obsm`` and ``uns`` are used.
    obs_key
        Column of ``obs`` with the perturbation: ``"KLF1"``, ``"KLF1+MAP2K6"``, ``"vorinostat"``, ``"control"``.
    how
        ``"knockout"``, ``"knockdown"``, ``"activation"`` (genes), or ``"drug"``.
    how_key
        Column of ``obs`` that says it for each cell, in place of `how`; what data sets write (``"CRISPRi"``,
        ``"CRISPRa"``, ``"CRISPR"``, ...) is understood.
    dose_key, cell_line_key
        Columns of ``obs`` with dose and cell line; each combination that occurs is a condition then.
    control
        Names that stand for no perturbation, compared without case, blanks, ``-`` and ``_``; in a combination they
        count as nothing.
    separator
        Between the parts of a combination; by default ``"+"`` for genes, while names of drugs, such as ``(+)-JQ1``, are
        not split.
    facts
        ``"auto"`` puts what the tables on this machine know of the genes or drugs into the prompt, ``"none"`` nothing.
    key_added
        Key of the result. Vectors of cells that another function put there are replaced, with a warning.
    options
        ``engine``, ``encoder``, ``template``, ``sampling``, ``store``, ``profiles``, ``recipe``, ``progress`` as in
        :func:`bftembed.tl.embed_genes`.

    Returns
    -------
    None
        Sets the following fields:

        ``adata.obsm[key_added]`` : float32 array, shape (n_obs, d)
            NaN rows for controls and for cells without a perturbation.
        ``adata.obs[f"{key_added}_condition"]`` : categorical
            Name of each cell's condition, missing for controls.
        ``adata.uns[f"{key_added}_conditions"]`` : dict
            ``"obs"``: frame with a row per condition (``perturbation``, ``parts``, ``how``, ``dose``, ``cell_line``,
            ``f"{key_added}_text"``, ``f"{key_added}_text_key"``); ``"X"``: float32 array, shape (n_conditions, d).
            :func:`bftembed.get.conditions` makes an AnnData of it.
        ``adata.uns["bft"][key_added]["perturbations"]`` : dict
            Provenance.

    Raises
    ------
    InputError
        If a column is missing, nothing but controls is there, or `how` is unknown.

    Warns
    -----
    BftembedWarning
        If there are gene (or drug) tables, and they do not know some of the names.

    Examples
    --------
    >>> import anndata, pandas as pd, bftembed as bft
    >>> cells = anndata.AnnData(obs=pd.DataFrame({"perturbation": ["KLF1", "control"]}, index=["a", "b"]))
    >>> texts = {"KLF1": "Erythroid genes fall."}
    >>> bft.tl.embed_perturbations(cells, facts="none", profiles=texts)
    >>> cells.obsm["X_bft"].shape
    (2, 384)
    """
    checked_key(key_added)
    source = TextSource.of("embed_perturbations", options)
    columns = {"label": obs_key, "how": how_key, "dose": dose_key, "cell_line": cell_line_key}
    cells = _cells(adata, {name: column for name, column in columns.items() if column is not None})
    distinct = cells.drop_duplicates()
    row_of_cell = cells.groupby(list(cells), sort=False).ngroup().to_numpy()
    fields: dict[str, Any] = {"how": how}
    fields |= {str(name): list(column) for name, column in distinct.items() if name != "label"}
    conditions = conditions_of(distinct["label"], control=control, separator=separator, **fields)
    treated = sorted((i for i, c in enumerate(conditions) if c.parts), key=lambda i: conditions[i].row)
    chosen = [conditions[i] for i in treated]
    entities, used = perturbation_entities(chosen, facts=facts, check=source.profiles is None)
    result = embed_entities(
        entities,
        source,
        names=[condition.label for condition in chosen],
        facts=used,
        how=sorted({condition.how for condition in chosen}),
        n_controls=sum(bool(c.label) and not c.parts for c in conditions),
        n_cells_without=int(np.isin(row_of_cell, treated, invert=True).sum()),
    )
    row_of_condition = np.full(len(conditions), -1)
    row_of_condition[treated] = np.arange(len(treated))
    _write(adata, result, condition_table(chosen), row_of_condition[row_of_cell], key_added)
    log.info(result.summary(f"obsm[{key_added!r}]"))


def _cells(adata: AnnData, columns: dict[str, str]) -> pd.DataFrame:
    """What is known of each cell's perturbation, as text, ``""`` where it is missing."""
    import pandas as pd

    if not hasattr(adata, "obs"):
        msg = 'embed_perturbations takes an AnnData; names are embedded by bft.embed(names, kind="perturbation").'
        raise InputError(msg)
    checked_anndata(adata)
    check_columns(adata.obs, "adata.obs", columns.values())
    known = {name: column_of(adata.obs, column) for name, column in columns.items()}
    return pd.DataFrame({name: of.where(of.notna(), "").astype(str).str.strip() for name, of in known.items()})


def _write(adata: AnnData, result: Any, table: pd.DataFrame, row_of_cell: Any, key_added: str) -> None:
    import pandas as pd

    others = set(adata.uns.get("bft", {}).get(key_added, {})) & {"cells", "entities"}
    if others and key_added in adata.obsm:
        msg = (
            f"`obsm[{key_added!r}]` held vectors of {', '.join(others)}, which are replaced; pass another `key_added` "
            "to keep both."
        )
        warn(msg)
    treated = row_of_cell >= 0
    vectors = np.full((adata.n_obs, result.vectors.shape[1]), np.nan, dtype=np.float32)
    vectors[treated] = result.vectors[row_of_cell[treated]]
    result.annotate(table, key_added)
    with made_actual():
        adata.obsm[key_added] = vectors
        adata.obs[f"{key_added}_condition"] = pd.Categorical.from_codes(row_of_cell, categories=table.index)
        adata.uns[f"{key_added}_conditions"] = {"obs": table, "X": result.vectors}
        adata.uns["bft"] = with_provenance(adata.uns.get("bft", {}), key_added, "perturbations", result.info)
