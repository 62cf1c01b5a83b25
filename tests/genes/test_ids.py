import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftembed.genes.ids import clean_names, excel_candidates, is_ensembl_id, is_number, strip_version


@pytest.mark.parametrize(
    "name",
    [
        "ENSG00000141510",
        "ENSG00000141510.18",
        "ENSMUSG00000059552.14",
        "ENSG00000182378.15_PAR_Y",
        "ENSG00000223972.5_2",
        "ENSG00000223972_2",
        "ENSG00000223972-1",
        "ENSG00000223972.5.1",
    ],
)
def test_ensembl_gene_ids_are_recognised(name):
    assert is_ensembl_id(name)
    assert strip_version(name) == name[: name.index("G0") + 12]


@pytest.mark.parametrize(
    "name",
    [
        "ENSA",
        "ENSAP1",
        "AC000068.10",
        "ENST00000269305",
        "ENSG0000014151",
        "ENSG000001415100",
        "xENSG00000141510",
        "ENSG" + 11 * "\N{DEVANAGARI DIGIT ONE}",
        "",
    ],
)
def test_look_alikes_are_left_alone(name):
    assert not is_ensembl_id(name)
    assert strip_version(name) == name


@pytest.mark.parametrize(("name", "expected"), [("3", True), ("7157.0", True), ("14-3-3", False), ("", False)])
def test_numbers(name, expected):
    assert is_number(name) is expected


@given(st.from_regex(r"ENS(MUS|RNO)?G[0-9]{11}", fullmatch=True), st.integers(1, 99))
def test_the_version_is_all_that_is_stripped(gene, version):
    assert strip_version(f"{gene}.{version}") == strip_version(gene) == gene


def test_only_true_missing_values_are_missing():
    clean, missing = clean_names(["NA", "nan", "", "  ", None, np.nan, pd.NA, pd.NaT, " TP53 ", 7157])
    assert missing.tolist() == [False, False, True, True, True, True, True, True, False, False]
    assert clean.tolist() == ["NA", "nan", "", "", "", "", "", "", "TP53", "7157"]


@pytest.mark.parametrize("dtype", ["object", "string", "category", "string[pyarrow]"])
def test_pandas_types_of_text_are_read_alike(dtype):
    clean, missing = clean_names(pd.Series(["TP53", None, "CD4"], dtype=dtype))
    assert clean.tolist() == ["TP53", "", "CD4"]
    assert missing.tolist() == [False, True, False]


def test_no_names():
    clean, missing = clean_names([])
    assert clean.shape == missing.shape == (0,)


@pytest.mark.parametrize(
    ("damaged", "was"),
    [
        ("1-Mar", "MARCH1"),
        ("1-Mar", "MARC1"),
        ("01-MAR", "MARCH1"),
        ("2-Sep", "SEPT2"),
        ("15-Sep", "SEP15"),
        ("2-Sept", "SEPT2"),
        ("1-Dec", "DEC1"),
        ("Mar-01", "MARCH1"),
        ("4-Oct", "OCT4"),
        ("4-Oct", "OCT-4"),
        ("2-Sep-21", "SEPT2"),
        ("2021-09-02", "SEPT2"),
        ("2001-03-01", "MARCH1"),
        ("2002-09-01", "SEPT1"),
        ("2002-09-01", "SEPT2"),
    ],
)
def test_dates_go_back_to_the_symbols_they_came_from(damaged, was):
    assert was in excel_candidates(damaged)


def test_a_timestamp_reads_like_its_date():
    assert excel_candidates(str(pd.Timestamp("2021-09-02"))) == excel_candidates("2021-09-02")


def test_the_year_of_a_day_is_no_number_of_a_gene():
    assert "SEPT21" not in excel_candidates("2021-09-02")
    assert set(excel_candidates("1999-09-01")) == set(excel_candidates("1-Sep"))


@pytest.mark.parametrize("name", ["SEPT2", "MARCH1", "TP53", "2021-13-02", "2021-00-02", "1-Mai", "HLA-A", "4-1BB", ""])
def test_what_is_no_date_has_no_candidates(name):
    assert excel_candidates(name) == ()
