"""What is known about drugs, for prompts."""

from __future__ import annotations

from bftembed.data import available, load

_FACTS = {
    "moa": "mechanism of action",
    "target": "targets",
    "clinical_phase": "clinical phase",
    "disease_area": "disease area",
    "indication": "indication",
}


def drug_facts() -> dict[str, dict[str, str]] | None:
    """Mechanism, targets and use of drugs, of the Broad Drug Repurposing Hub.

    Returns
    -------
    dict or None
        Facts by name in lower case; None where the data set ``broad_repurposing`` is not on this machine (it is never
        downloaded by itself).

    Examples
    --------
    >>> from bftembed.datasets import drug_facts
    >>> facts = drug_facts()  # None without `bftembed data fetch broad_repurposing`
    >>> facts["imatinib"]["mechanism of action"] if facts else "not here"
    'Bcr-Abl kinase inhibitor, KIT inhibitor, PDGFR tyrosine kinase receptor inhibitor'
    """
    if not available("broad_repurposing"):
        return None
    table = load("broad_repurposing")
    return {
        str(row["pert_iname"]).casefold(): {
            fact: str(row[column]).replace("|", ", ")
            for column, fact in _FACTS.items()
            if isinstance(row[column], str) and row[column]
        }
        for row in table.to_dict("records")
    }
