import pytest

from bftembed.entities import CONTROLS, conditions_of


@pytest.mark.parametrize(
    "name",
    [
        *("non_targeting", "NonTargeting", "Non-Targeting", "neg_ctrl", "unperturbed", "NT", "ntc", "Negative Control"),
        *("non-targeting_00123", "ctrl+ctrl", "Scramble", "DMSO", "untreated", "CTRL-0001", "control sg2", "NO-TARGET"),
        *(
            "NTg1",
            "NTC_3",
            "sgNT",
            "siCtrl",
            "shControl",
            "sgControl1",
            "non-targeting|non-targeting",
            "control (DMSO)",
        ),
        *(
            "DMSO 0.1%",
            "Vehicle control",
            "mock-infected",
            "WT",
            "wild-type",
            "GFP",
            "BFP",
            "EV",
            "AAVS1",
            "NO_SITE_10",
        ),
        *("PBS", "no gRNA", "N/A", "nan"),
    ],
)
def test_controls_are_known_in_any_spelling(name):
    (found, _) = conditions_of([name, "KLF1"])
    assert found.parts == ()


@pytest.mark.parametrize(
    "name",
    [
        "SIRT1",
        "SHANK3",
        "WT1",
        "GFPT1",
        "SINHCAF",
        "MOCK(X)",
        "NT5E",
        "NT3",
        "CTRB1",
        "CTRC",
        "MOCS1",
        "NTF3",
        "KLF10",
        "NONO",
        "CONTROLLER",
    ],
)
def test_genes_are_no_controls(name):
    assert conditions_of([name])[0].parts == (name,)


def test_numbers_count_as_guides_of_the_usual_controls_alone():
    found = conditions_of(["KLF10", "KLF1", "TP53"], control=["KLF1"])
    assert [condition.parts for condition in found] == [("KLF10",), (), ("TP53",)]
    assert len(CONTROLS) == len(set(CONTROLS))
