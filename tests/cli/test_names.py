import csv

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftembed.cli._names import is_list_of_names, read_names
from bftembed.errors import InputError

DRUGS = [
    "2,4-dinitrophenol",
    "5'-azacytidine",
    "(+)-JQ1",
    "a/b; c",
    "ICI-118,551",
    'so-called "x"',
    "β-estradiol",
    "1e5",
]


@pytest.fixture
def write(tmp_path):
    def make(text, suffix=".txt", encoding="utf-8"):
        path = tmp_path / f"names{suffix}"
        path.write_bytes(text.encode(encoding))
        return path

    return make


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_line_is_a_name(write, end, encoding):
    assert read_names(write(end.join(["# drugs", *DRUGS, "", DRUGS[0]]), encoding=encoding)) == DRUGS


@pytest.mark.parametrize("suffix", [".txt", ".list", ""])
def test_other_suffixes_hold_lines_too(write, suffix):
    assert read_names(write("CP-105,696\nx", suffix)) == ["CP-105,696", "x"]


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("options", [{}, {"quoting": csv.QUOTE_ALL}, {"sep": ";"}, {"sep": "\t"}])
@pytest.mark.parametrize("header", ["drug", "Drug name", "compound.name", "pert_iname", "My drugs"])
def test_what_pandas_writes_is_read(tmp_path, index, options, header):
    path = tmp_path / ("names.tsv" if options.get("sep") == "\t" else "names.csv")
    pd.DataFrame({header: DRUGS, "dose": range(8)}).to_csv(path, index=index, **options)
    assert read_names(path) == DRUGS


def test_names_in_the_index_of_a_frame(tmp_path):
    pd.DataFrame({"score": [0.1, None, 3]}, index=DRUGS[:3]).to_csv(tmp_path / "names.csv")
    assert read_names(tmp_path / "names.csv") == DRUGS[:3]


@pytest.mark.parametrize(
    ("text", "suffix", "names"),
    [
        ('"TP53"\n"CD4"\n', ".txt", ["TP53", "CD4"]),  # write.table(genes, row.names = FALSE, col.names = FALSE)
        ('"gene"\n"TP53"\n', ".txt", ["TP53"]),
        ('"x"\n"1" "TP53"\n', ".txt", ['"x"', '"1" "TP53"']),
        ("score\tp\nTP53\t1\t2\nCD4\t3\t4\n", ".tsv", ["TP53", "CD4"]),  # a header of R has no field for row names
        ("gene\tn\nTP53\t1\n", ".txt", ["TP53"]),
        ("TP53,1\nCD4,2\n", ".csv", ["TP53", "CD4"]),
        ("TP53\nCD4\n", ".csv", ["TP53", "CD4"]),
        ("TP53\nCD4\n", ".CSV", ["TP53", "CD4"]),
        ("rank,Gene Symbol\n1,TP53\n2,CD4\n", ".csv", ["TP53", "CD4"]),
        ("entrez,n\n7157,1\n920,2\n", ".csv", ["7157", "920"]),
        ("S\nT\nID1\n", ".txt", ["S", "T", "ID1"]),  # symbols, not headers
        ("SET\nNAME1\n", ".txt", ["SET", "NAME1"]),
        ("HGNC symbol\nTP53\n", ".txt", ["TP53"]),
        ("Gene stable ID,Gene name\nENSG00000141510,TP53\n", ".csv", ["TP53"]),
        ("compound_id,name\n1,x\n2,y\n", ".csv", ["x", "y"]),  # numbers are no names beside a column of names
        ('drug\tdose\n"(+)-JQ1\t1\n5"-x\t2\n', ".tsv", ['"(+)-JQ1', '5"-x']),  # quotes that do not pair
        ('drug,n\n"two\nlines",1\n', ".csv", ["two\nlines"]),
        ("TP53,7157\n", ".csv", ["TP53"]),
    ],
)
def test_tables_and_headers(write, text, suffix, names):
    assert read_names(write(text, suffix)) == names


@pytest.mark.parametrize(
    ("text", "suffix", "said"),
    [
        ("drug\n2,4-dinitrophenol\n", ".csv", r"first row has 1 fields, but `2,4-dinitrophenol` has 2.*double quotes"),
        ("2,4-dinitrophenol\nvorinostat\n", ".csv", r"first row has 2 fields, but `vorinostat` has 1"),
        ('"TP53\nCD4', ".csv", "is no table"),
        ('"TP53" x,1\n', ".csv", "is no table"),
        ("", ".txt", "holds no names"),
        ("# nothing\n", ".csv", "holds no names"),
        ("gene\n", ".csv", "holds no names"),
        ("\n ,\n", ".csv", "holds no names"),
        ("TP53,MYC,BRCA1\n", ".csv", "one row of 3 fields"),
    ],
)
def test_what_would_cut_names_is_refused(write, text, suffix, said):
    with pytest.raises(InputError, match=said):
        read_names(write(text, suffix))


def test_other_encodings_are_refused(write):
    with pytest.raises(InputError, match="no UTF-8 text"):
        read_names(write("β-estradiol", encoding="cp1253"))


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1).map(str.strip), min_size=1)
)
def test_any_names_survive_csv(tmp_path_factory, names):
    names = list(dict.fromkeys(name for name in names if name and not name.startswith("#")))
    path = tmp_path_factory.mktemp("csv") / "names.csv"
    pd.DataFrame({"gene": ["TP53", *names], "n": 1}).to_csv(path, index=False)
    assert read_names(path) == list(dict.fromkeys(["TP53", *names]))


@pytest.mark.parametrize(("name", "expected"), [("a.txt", True), ("a.TSV", True), ("a.h5ad", False), ("a", False)])
def test_which_files_are_lists(tmp_path, name, expected):
    assert is_list_of_names(tmp_path / name) is expected
