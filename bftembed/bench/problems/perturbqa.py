"""PerturbQA, as tasks of embeddings and of language models have it: data, licence, and the figures of its authors."""

from __future__ import annotations

from typing import Any

from bftembed.bench.base import Published
from bftembed.bench.problems.effects import PER_GENE

#: What all tasks of these data say of themselves: fields of `TaskInfo`.
PERTURBQA_INFO: dict[str, Any] = {
    "data": (
        "perturbqa",
        "hgnc_genes",
        "ncbi_gene_info",
        "annotables_grch38",
        "refseq_gene_summary",
        "go_annotations",
    ),
    "main_score": PER_GENE,
    "chance": 0.5,
    "best": 1.0,
    "licence": "Genentech Non-Commercial Software License 1.0",
    "citation": (
        "Wu M et al. Contextualizing biological perturbation experiments through language. ICLR (2025), "
        "arXiv:2502.21290. Screens: Replogle JM et al. Cell 185, 2559-2575 (2022)."
    ),
}
_MODELS = ("GEARS", "GAT", "GenePT-Gene", "LLM without reasoning", "retrieval only", "SUMMER")
#: AUROC per gene of the models, as the notebook stores it; None where it has none.
_PUBLISHED = {
    "k562_de": (0.55, 0.53, 0.57, 0.52, 0.58, 0.62),
    "rpe1_de": (0.49, 0.55, 0.55, 0.52, 0.59, 0.59),
    "k562_dir": (0.67, None, None, None, 0.69, 0.64),
    "rpe1_dir": (0.61, None, None, None, 0.63, 0.64),
}


def perturbqa_published(name: str) -> tuple[Published, ...]:
    """Published AUROC per gene of one of the four sets, e.g. ``"k562_de"``.

    Examples
    --------
    >>> perturbqa_published("k562_dir")[-1].model
    'SUMMER'
    """
    return tuple(
        Published(model=model, metric=PER_GENE, value=value, source="PerturbQA, stored output of its notebook")
        for model, value in zip(_MODELS, _PUBLISHED[name], strict=True)
        if value is not None
    )
