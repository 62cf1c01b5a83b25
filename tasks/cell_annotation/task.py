"""Cell annotation: types of cells by texts about them, without any labelled cell."""

from __future__ import annotations

from typing import Any

from bftembed.bench import CELL_DATA_INFO, CellData, CellsByText, Task, TaskInfo, TypeText, load_cells, small_part

#: Written once, in the manner of an ontology's definitions, before any of them was tried; markers likewise.
_TEXTS = {
    "B": TypeText(
        "B cell",
        "A lymphocyte that carries a B cell receptor, a surface immunoglobulin with CD79 and CD19, and that matures "
        "into a plasma cell, which secretes antibodies.",
        ("CD79A", "CD79B", "MS4A1", "CD19", "BANK1"),
    ),
    "CD4 T": TypeText(
        "CD4-positive T cell",
        "A T lymphocyte with an alpha-beta T cell receptor, the CD3 complex and the coreceptor CD4; a helper cell that "
        "is activated through its antigen receptor and secretes cytokines such as interleukin 2.",
        ("CD3D", "CD3E", "CD4", "IL7R", "LTB"),
    ),
    "CD8 T": TypeText(
        "CD8-positive T cell",
        "A T lymphocyte with an alpha-beta T cell receptor, the CD3 complex and the coreceptor CD8; a cytotoxic cell "
        "that kills infected cells.",
        ("CD3D", "CD3E", "CD8A", "CD8B", "GZMK"),
    ),
    "NK": TypeText(
        "natural killer cell",
        "A cytotoxic lymphocyte without an antigen receptor that kills virus-infected and tumour cells by perforin and "
        "granzymes, guided by killer cell immunoglobulin-like and lectin-like receptors.",
        ("NKG7", "GNLY", "KLRD1", "KLRF1", "NCAM1"),
    ),
    "CD14 monocyte": TypeText(
        "CD14-positive monocyte",
        "A classical monocyte of the blood, a phagocyte of the myeloid lineage with the lipopolysaccharide receptor "
        "CD14, which takes part in inflammation and develops into a macrophage.",
        ("CD14", "LYZ", "S100A8", "S100A9", "VCAN"),
    ),
    "CD16 monocyte": TypeText(
        "CD16-positive monocyte",
        "A non-classical monocyte of the blood, a myeloid cell with the low affinity immunoglobulin gamma Fc receptor "
        "III (CD16), which patrols the walls of vessels and clears immune complexes.",
        ("FCGR3A", "MS4A7", "LST1", "CDKN1C", "CX3CR1"),
    ),
    "dendritic": TypeText(
        "dendritic cell",
        "A cell of the myeloid lineage that takes up antigen, processes it and presents it on MHC class II molecules "
        "to T cells.",
        ("FCER1A", "CD1C", "CLEC10A", "CST3", "HLA-DQA1"),
    ),
    "megakaryocyte": TypeText(
        "megakaryocyte",
        "A large cell of the bone marrow from which platelets bud off, with platelet glycoproteins, alpha granules and "
        "coagulation factors.",
        ("PPBP", "PF4", "ITGA2B", "GP9", "TUBB1"),
    ),
    "stem": TypeText(
        "hematopoietic stem cell",
        "A multipotent stem cell of the bone marrow, positive for CD34, that renews itself and gives rise to all "
        "lineages of blood cells.",
        ("CD34", "SPINK2", "PROM1", "KIT", "GATA2"),
    ),
    "regulatory T": TypeText(
        "regulatory T cell",
        "A CD4-positive T lymphocyte with the interleukin 2 receptor alpha chain (CD25) and the transcription factor "
        "FOXP3, which suppresses immune responses and keeps self-tolerance.",
        ("FOXP3", "IL2RA", "CTLA4", "TIGIT", "IKZF2"),
    ),
    "naive CD8 T": TypeText(
        "naive CD8-positive T cell",
        "A CD8-positive T lymphocyte that has not yet met its antigen; it recirculates through lymph nodes by "
        "L-selectin (CD62L) and the chemokine receptor CCR7.",
        ("CD8A", "CD8B", "CCR7", "SELL", "LEF1"),
    ),
    "memory CD4 T": TypeText(
        "memory CD4-positive T cell",
        "A CD4-positive T lymphocyte that has met its antigen before, carries CD45RO, and answers quickly when it "
        "meets the antigen again.",
        ("CD4", "IL7R", "S100A4", "AQP3", "LTB"),
    ),
    "naive CD4 T": TypeText(
        "naive CD4-positive T cell",
        "A CD4-positive T lymphocyte that has not yet met its antigen; it recirculates through lymph nodes by "
        "L-selectin (CD62L) and the chemokine receptor CCR7.",
        ("CD4", "CCR7", "SELL", "LEF1", "TCF7"),
    ),
}
_TRAPS = (
    "The texts name genes (CD19, CD8): the baseline of the named genes says how much that alone gives.",
    "Rare types weigh as much as common ones in the balanced accuracy.",
)


def _task(name: str, cells: CellData, types: dict[str, str], *, trap: str, **info: Any) -> Task:
    def load(fast: bool) -> CellsByText:
        adata = load_cells(cells)
        removed = adata.uns["removed"]
        texts = {label: _TEXTS[key] for label, key in types.items()}
        return CellsByText(small_part(adata, n_genes=300) if fast else adata, texts, removed=removed)

    fields = {
        **CELL_DATA_INFO[cells],
        "kind": "cell",
        "main_score": "balanced accuracy",
        "chance": round(1 / len(types), 4),
        "best": 1.0,
        "known_traps": (*_TRAPS, trap),
    }
    return Task(TaskInfo(name=f"cell_annotation.{name}", **fields, **info), load)


TASKS = [
    _task(
        "symphony_pbmc",
        "symphony_pbmc",
        {
            "T_CD4": "CD4 T",
            "T_CD8": "CD8 T",
            "Mono_CD14": "CD14 monocyte",
            "Mono_CD16": "CD16 monocyte",
            "B": "B",
            "NK": "NK",
            "DC": "dendritic",
            "MK": "megakaryocyte",
            "HSC": "stem",
        },
        title="Types of blood cells of three 10x technologies from texts, 9 types",
        trap="Seven megakaryocytes and three stem cells weigh two ninths of the score.",
    ),
    _task(
        "pbmc68k",
        "pbmc68k_reduced",
        {
            "Dendritic": "dendritic",
            "CD14+ Monocyte": "CD14 monocyte",
            "CD19+ B": "B",
            "CD4+/CD25 T Reg": "regulatory T",
            "CD8+ Cytotoxic T": "CD8 T",
            "CD8+/CD45RA+ Naive Cytotoxic": "naive CD8 T",
            "CD56+ NK": "NK",
            "CD4+/CD45RO+ Memory": "memory CD4 T",
            "CD34+": "stem",
            "CD4+/CD45RA+/CD25- Naive T": "naive CD4 T",
        },
        title="Types of blood cells as they come with scanpy from texts, 10 types",
        trap="Types were given by correlation with sorted cells and overlap; 765 genes were kept.",
    ),
    _task(
        "bremsc_pbmc",
        "bremsc_pbmc",
        {
            "CD4+ T cells": "CD4 T",
            "CD8+ T cells": "CD8 T",
            "NK cells": "NK",
            "CD14+ monocytes": "CD14 monocyte",
            "B cells": "B",
            "CD16+ monocytes": "CD16 monocyte",
        },
        title="Types of blood cells by RNA alone from texts, 6 types",
        trap="Seven CD16 monocytes weigh a sixth of the score.",
    ),
]
