import pytest

from bftembed.entities import condition_table, conditions_of, perturbation_entities
from bftembed.errors import BftembedWarning, InputError


def entities(names, how, facts="none", **fields):
    return perturbation_entities(conditions_of(names, how=how, **fields), facts=facts)[0]


@pytest.mark.parametrize(
    ("how", "name", "expected"),
    [
        ("knockdown", "KLF1", "knock-down of KLF1"),
        ("knockout", "KLF1+ctrl", "knock-out of KLF1"),
        ("activation", "KLF1+MAP2K6", "transcriptional activation (overexpression) of KLF1 and MAP2K6 together"),
        ("CRISPRi", "KLF1", "knock-down of KLF1"),
        ("CRISPR-cas9", "KLF1", "knock-out of KLF1"),
    ],
)
def test_prompts_name_what_was_done_to_which_genes(how, name, expected):
    assert entities([name], how)[0].id == expected


@pytest.mark.parametrize("how", ["knockdown", "drug"])
def test_order_case_and_doubling_make_no_difference(how):
    names = ["KLF1+MAP2K6", "MAP2K6+KLF1", "klf1+MAP2K6", "KLF1+MAP2K6+KLF1", "MAP2K6 + Klf1+ctrl"]
    found = entities(names, how, separator="+")
    assert len({(entity.id, tuple(entity.facts)) for entity in found}) == 1


def test_two_names_of_one_gene_are_one(mirror):
    found = entities(["p53+KLF1", "KLF1+TP53", "KLF1+TP53+p53", "ENSG00000141510+klf1"], "knockdown")
    assert {entity.id for entity in found} == {"knock-down of KLF1 and TP53 together"}


def test_names_of_drugs_are_not_split_unless_asked():
    assert entities(["(+)-JQ1"], "drug")[0].id == "(+)-JQ1"
    assert entities(["b+a"], "drug", separator="+")[0].id == "a combined with b"
    assert entities(["(+)-JQ1 + vorinostat"], "drug", separator=" + ")[0].id == "(+)-JQ1 combined with vorinostat"


def test_unknown_genes_are_counted_and_named(mirror):
    with pytest.warns(
        BftembedWarning, match=r"3 of 4 names .*CD3Dd \(Did you mean `CD3D`.*TP53_BRCA1, TP53_g1.*control="
    ):
        entities(["TP53", "TP53_BRCA1", "TP53_g1", "CD3Dd"], "knockout")


def test_unknown_drugs_are_counted_and_named(mirror):
    with pytest.warns(BftembedWarning, match=r"1 of 2 names are no drugs .* describes them: no such drug"):
        entities(["vorinostat", "no such drug"], "drug", facts="auto")


def test_dose_and_cell_line_are_said(mirror):
    gene = entities(["KLF1"], "knockout", dose="MOI 1", cell_line="K562")[0]
    assert gene.id == "knock-out of KLF1 (MOI 1) in K562 cells"
    drug = entities(["vorinostat"], "drug", facts="auto", dose=["1 uM"], cell_line="A549")[0]
    assert drug.kind == "drug"
    assert drug.id == "vorinostat (1 uM) in A549 cells"
    assert "HDAC" in drug.facts["mechanism of action"]


def test_a_dose_is_no_fact_about_an_unknown_drug(mirror):
    with pytest.warns(BftembedWarning, match="no drugs"):
        (drug,) = entities(["no such drug"], "drug", facts="auto", dose="1 uM", cell_line="A549")
    assert not drug.facts


def test_facts_of_each_gene_of_a_combination(mirror):
    combination = entities(["MAP2K6+KLF1"], "activation", facts="auto")[0]
    assert list(combination.facts) == ["KLF1", "MAP2K6"]
    assert "KLF transcription factor 1" in combination.facts["KLF1"] or "Kruppel" in combination.facts["KLF1"]


def test_rows_are_told_apart_by_how_where_nothing_else_does():
    table = condition_table(conditions_of(["A", "A", "B", "ctrl"], how=["knockdown", "activation", "drug", "?"]))
    assert table.index.tolist() == ["A | knockdown", "A | activation", "B", "ctrl"]
    assert table["how"].tolist() == ["knockdown", "activation", "drug", ""]


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="`dose` has 1 values for 2"):
        conditions_of(["A", "B"], dose=["1"])
    with pytest.raises(InputError, match="got 'poison'"):
        conditions_of(["A"], how="poison")
    with pytest.raises(InputError, match=r"no perturbation but controls \(ctrl\)"):
        conditions_of(["ctrl"])
    with pytest.raises(InputError, match="in two calls"):
        perturbation_entities(conditions_of(["A", "B"], how=["drug", "knockout"]), facts="none")
