"""Pairs of drug and gene of the user, and what is held out."""

import pandas as pd
import pytest

from bftembed.bench.language.drugs.pairs import check_controls, check_drugs, held_out_drugs, read_pairs, with_split
from bftembed.errors import BftembedWarning, DataError

PAIRS = pd.DataFrame(
    {
        "pert": ["JQ1", "vorinostat"],
        "gene": ["NA", "MYC"],
        "label": ["0", "1"],
        "split": ["train", "test"],
        "cell": ["A549", "None"],
    }
)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_tables_are_text(tmp_path, suffix):
    path = tmp_path / f"pairs{suffix}"
    if suffix == ".parquet":
        PAIRS.assign(label=[0, 1]).to_parquet(path)
    else:
        padded = PAIRS.assign(pert=PAIRS["pert"] + " ")
        padded.to_csv(path, sep="\t" if suffix == ".tsv" else ",", index=False, encoding="utf-8-sig")
    pd.testing.assert_frame_equal(read_pairs(path), PAIRS)


def test_a_table_without_cell_lines(tmp_path):
    PAIRS.drop(columns=["cell", "split"]).to_csv(tmp_path / "p.csv", index=False)
    table = read_pairs(tmp_path / "p.csv")
    assert table["cell"].tolist() == ["", ""]
    assert "split" not in table


def test_missing_values_of_parquet_are_empty(tmp_path):
    PAIRS.assign(gene=[None, "MYC"], label=[1.0, None]).to_parquet(tmp_path / "p.parquet")
    table = read_pairs(tmp_path / "p.parquet")
    assert table["gene"].tolist() == ["", "MYC"]
    assert table["label"].tolist() == ["1.0", ""]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.xlsx", b"PK", "is no table of pairs; give a .csv, .tsv or .parquet"),
        ("p.csv", b"", "cannot be read as a table"),
        ("p.csv", b"a,b\n1,2,3\n4,5,6,7\n", "cannot be read as a table"),
        ("p.csv", b"pert,gene\ncaf\xe9,1\n", "cannot be read as a table"),
        ("p.parquet", b"pert,gene", "cannot be read as a table"),
        ("p.csv", None, "cannot be read as a table"),
        ("p.csv", b"drug,gene\nJQ1,MYC\n", "has no column `pert`"),
    ],
)
def test_what_is_no_table(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_pairs(tmp_path / name)


def test_good_splits():
    check_drugs(PAIRS)
    check_drugs(PAIRS.assign(cell=""))
    check_drugs(PAIRS.assign(pert="JQ1"))  # another cell line


@pytest.mark.parametrize("names", [["JQ1", "JQ1"], ["JQ1", "jq1"], ["erlotinib", "Erlotinib HCl"]])
def test_broken_splits(names):
    with pytest.raises(DataError, match=f"one drug, {' and '.join(sorted({*names}))}, is in training and in the test"):
        check_drugs(PAIRS.assign(pert=names, cell="A549"))


def test_controls():
    check_controls(PAIRS)
    with pytest.raises(DataError, match="rows of the control `DMSO_TF`"):
        check_controls(PAIRS.assign(pert=["DMSO_TF", "JQ1"]))


def test_held_out_drugs_do_not_depend_on_the_order():
    drugs = [f"drug {i}" for i in range(20)]
    held_out = held_out_drugs(drugs)
    assert len(held_out) == 4
    assert held_out == held_out_drugs(reversed(drugs * 2)) == sorted(held_out)
    assert held_out != held_out_drugs(drugs, seed=1)
    assert len(held_out_drugs(drugs[:2])) == 1


def test_salts_are_held_out_together():
    drugs = [name for i in range(10) for name in (f"drug{i}", f"drug{i} hydrochloride")]
    held_out = held_out_drugs(drugs)
    assert len(held_out) == 4
    assert {name.split()[0] for name in held_out} == {name for name in held_out if " " not in name}


def test_drugs_or_cell_lines_are_held_out():
    assert with_split(PAIRS, ["JQ1"])["split"].tolist() == ["test", "train"]
    assert with_split(PAIRS, ["None"])["split"].tolist() == ["train", "test"]


def test_names_that_are_not_there_are_named():
    with pytest.warns(BftembedWarning, match="2 of the names that are held out are not in the data: JQ2, x"):
        assert with_split(PAIRS, ["JQ1", "JQ2", "x"])["split"].tolist() == ["test", "train"]


@pytest.mark.parametrize(
    ("names", "message"),
    [(["JQ2"], "none"), ([], "none"), (["JQ1", "A549"], "both"), (["JQ1", "vorinostat"], "all")],
)
def test_names_that_cannot_be_held_out(names, message):
    with pytest.raises(DataError, match=f"of the data; it has {message}"):
        with_split(PAIRS, names)


@pytest.mark.parametrize(("drugs", "said"), [([], "none"), (["Imatinib", "Imatinib"], "Imatinib")])
def test_too_few_drugs_to_hold_one_out(drugs, said):
    with pytest.raises(DataError, match=f"two are needed at least; the data have {said}"):
        held_out_drugs(drugs)
