import pytest

from bftembed.entities import conditions_of, perturbation_entities


def entities(names, how, facts="none", **fields):
    rows = [(name, *fields.values()) for name in names]
    return perturbation_entities(conditions_of(rows, fields=list(fields)), how, facts)[0]


@pytest.mark.parametrize(
    ("how", "name", "expected"),
    [
        ("knockdown", "KLF1", "knock-down of KLF1"),
        ("knockout", "KLF1+ctrl", "knock-out of KLF1"),
        ("activation", "KLF1+MAP2K6", "transcriptional activation (overexpression) of KLF1 and MAP2K6 together"),
    ],
)
def test_prompts_name_what_was_done_to_which_genes(how, name, expected):
    assert entities([name], how)[0].id == expected


def test_dose_and_cell_line_are_said(mirror):
    gene = entities(["KLF1"], "knockout", dose="MOI 1", cell_line="K562")[0]
    assert gene.id == "knock-out of KLF1 (MOI 1) in K562 cells"
    drug = entities(["vorinostat"], "drug", facts="auto", dose="1 uM", cell_line="A549")[0]
    assert drug.kind == "drug"
    assert drug.facts["dose"] == "1 uM"
    assert drug.facts["cell line"] == "A549"
    assert "HDAC" in drug.facts["mechanism of action"]


def test_facts_of_each_gene_of_a_combination(mirror):
    combination = entities(["KLF1+MAP2K6"], "activation", facts="auto")[0]
    assert list(combination.facts) == ["KLF1", "MAP2K6"]
    assert "KLF transcription factor 1" in combination.facts["KLF1"] or "Kruppel" in combination.facts["KLF1"]
