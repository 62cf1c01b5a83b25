"""Embeddings of perturbations: gene knock-outs, knock-downs, activations and their combinations, and drugs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from bftembed._keys import checked_key
from bftembed.entities import CONTROLS, HOW, conditions_of, perturbation_entities
from bftembed.errors import InputError
from bftembed.tl._entities import TextOptions, TextSource, embed_entities, to_anndata

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData


def embed_perturbations(
    perturbations: AnnData | Sequence[str],
    *,
    how: str = "knockdown",
    key: str = "perturbation",
    dose_key: str | None = None,
    cell_line_key: str | None = None,
    control: Sequence[str] = CONTROLS,
    separator: str = "+",
    facts: str = "auto",
    key_added: str = "X_bft",
    **options: Unpack[TextOptions],
) -> AnnData:
    """Embed perturbations by the profile of each.

    Parameters
    ----------
    perturbations
        Names (``"KLF1"``, ``"KLF1+MAP2K6"``, ``"vorinostat"``), or an AnnData with one in ``obs[key]`` of each cell.
    how
        ``"knockout"``, ``"knockdown"``, ``"activation"`` (genes), or ``"drug"``.
    key
        Column of ``obs`` with the perturbation.
    dose_key, cell_line_key
        Columns of ``obs`` with dose and cell line; each combination that occurs is a row then.
    control
        Names that stand for no perturbation; they get no row, and count as nothing in a combination.
    separator
        Between the parts of a combination.
    facts
        ``"auto"`` puts what the tables at hand know of the genes or drugs into the prompt, ``"none"`` nothing.
    key_added
        Key of the result.
    options
        ``engine``, ``encoder``, ``template``, ``sampling``, ``store``, ``profiles``, ``progress`` as in
        :func:`bftembed.tl.embed_genes`.

    Returns
    -------
    AnnData
        One row per perturbation, sorted. ``X`` and ``obsm[key_added]``: float32, shape (n, d);
        ``obs``: ``perturbation``, ``parts``, ``how``, ``dose``, ``cell_line``, ``{key_added}_text``;
        ``uns["bft"][key_added]["entities"]``: provenance.

    Raises
    ------
    InputError
        If a column is missing, nothing but controls is there, or `how` is unknown.

    Examples
    --------
    >>> import bftembed as bft
    >>> pert = bft.tl.embed_perturbations(["KLF1", "KLF1+MAP2K6"], how="activation")  # doctest: +SKIP
    """
    checked_key(key_added)
    if how not in HOW:
        msg = f"`how` is 'knockout', 'knockdown', 'activation' or 'drug', got {how!r}."
        raise InputError(msg)
    keys = [column for column in (key, dose_key, cell_line_key) if column]
    rows = [(str(name),) for name in perturbations] if not hasattr(perturbations, "obs") else _rows(perturbations, keys)
    fields = [field for field, column in (("dose", dose_key), ("cell_line", cell_line_key)) if column]
    conditions = conditions_of(rows, fields=fields, control=control, separator=separator)
    source = TextSource(**options)
    entities, used = perturbation_entities(conditions, how, facts)
    result = embed_entities(
        entities,
        source,
        names=[condition.label for condition in conditions],
        facts=used,
        how=how,
        n_controls=len(dict.fromkeys(rows)) - len(conditions),
    )
    columns = {
        "perturbation": [c.label for c in conditions],
        "parts": [" + ".join(c.parts) for c in conditions],
        "how": [how] * len(conditions),
        "dose": [c.dose for c in conditions],
        "cell_line": [c.cell_line for c in conditions],
    }
    return to_anndata([c.row for c in conditions], result, columns, key_added=key_added)


def _rows(adata: Any, keys: Sequence[str]) -> list[tuple[str, ...]]:
    if missing := [key for key in keys if key not in adata.obs]:
        msg = f"`adata.obs` has no column {missing}; it has {', '.join(map(str, adata.obs.columns)) or 'none'}."
        raise InputError(msg)
    frame = adata.obs[list(keys)].drop_duplicates().dropna()
    return [tuple(map(str, row)) for row in frame.itertuples(index=False, name=None)]
