"""Are profile texts accurate? Texts of genes held against the gene tables, without a judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bftembed._lazy import attach

if TYPE_CHECKING:
    from bftembed.quality.check import check_profiles, check_texts, deranged
    from bftembed.quality.known import gene_annotations
    from bftembed.quality.measures import MAIN, estimates, measure_values, paired
    from bftembed.quality.result import ProfileChecks, report_path, table_path

__all__ = [
    "MAIN",
    "ProfileChecks",
    "check_profiles",
    "check_texts",
    "deranged",
    "estimates",
    "gene_annotations",
    "measure_values",
    "paired",
    "report_path",
    "table_path",
]

__getattr__, __dir__ = attach(
    __name__,
    {
        **dict.fromkeys(("check_profiles", "check_texts", "deranged"), "check"),
        "gene_annotations": "known",
        **dict.fromkeys(("MAIN", "estimates", "measure_values", "paired"), "measures"),
        **dict.fromkeys(("ProfileChecks", "report_path", "table_path"), "result"),
    },
)
