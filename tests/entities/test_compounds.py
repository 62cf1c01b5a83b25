"""Names of drugs, and which of them mean one compound."""

import pytest

from bftembed.entities import compounds, drug_names


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Lomustine ", "lomustine"),
        ("Glesatinib?(MGCD265)", "mgcd265"),
        ("Tofacitinib (CP-690550) Citrate", "tofacitinib"),
        ("Cerdulatinib (PRT062070, PRT2070)", "prt2070"),
        ("SB431542", "sb-431542"),
        ("AZ 960", "az-960"),
        ("ENMD-2076 L-(+)-Tartaric acid ", "enmd-2076"),
        ("Valproic acid sodium salt (Sodium valproate)", "valproic-acid"),
        ("NVP-BSK805 2HCl", "nvp-bsk805"),
        ("(+)-JQ1", "(+)-jq1"),
    ],
)
def test_names_of_a_drug(name, other):
    assert other in drug_names(name)
    assert drug_names(name)[0] == " ".join(name.replace("?", " ").casefold().split())


def test_a_description_is_no_name():
    assert "menin-mll inhibitor" not in drug_names("MI-2 (Menin-MLL Inhibitor)")
    assert drug_names("K-Ras(G12C) inhibitor 12")[0] == "k-ras(g12c) inhibitor 12"
    assert not {"", "+", "-", "g12c"} & {*drug_names("(+)-JQ1"), *drug_names("K-Ras(G12C) inhibitor 12")}


def test_names_that_lead_to_each_other_are_one_compound():
    names = ["A-1 (B2)", "C3", "D4 HCl", "B-2 (C-3)", "D4", "E5"]
    a, c, salt, between, d, e = compounds(names)
    assert a == between == c
    assert salt == d
    assert len({a, d, e}) == 3


def test_a_salt_in_parentheses_is_no_name():
    assert "hydrochloride" not in drug_names("Erlotinib (hydrochloride)")
    assert "erlotinib" in drug_names("Erlotinib (hydrochloride)")
    one, two, other = compounds(["Erlotinib (hydrochloride)", "erlotinib", "Doxorubicin (hydrochloride)"])
    assert one == two != other
