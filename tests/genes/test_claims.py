import pandas as pd
import pytest

from bftembed.errors import InputError
from bftembed.genes.claims import claim, hgnc_claims, need_columns, resolve, unique_folds


def answers(rows):
    return {name: (tier, answer) for name, tier, answer in rows.itertuples(index=False)}


def test_hgnc_lists_become_claims(hgnc):
    claims = hgnc_claims(hgnc)
    assert ("DIFF6", "previous", "SEPTIN1") in set(claims.itertuples(index=False, name=None))
    assert ("LFS1", "alias", "TP53") in set(claims.itertuples(index=False, name=None))
    assert not (claims == "").to_numpy().any()


def test_a_missing_column_is_named(hgnc):
    with pytest.raises(InputError, match=r"HGNC table has no column.*'Alias symbols'.*columns are.*'Approved symbol'"):
        hgnc_claims(hgnc.drop(columns="Alias symbols"))


def test_missing_cells_become_blank():
    frame = pd.DataFrame({"a": pd.array([1, None], dtype="Int32"), "b": ["x", None]})
    assert need_columns(frame, ["a", "b"], "toy").to_numpy().tolist() == [["1", "x"], ["", ""]]


def test_claims_of_several_symbols_are_split_and_empty_ones_dropped():
    claims = claim(pd.Series(["a", "b", "", "d"]), "alias", pd.Series(["X|Y", None, "Z", ""]))
    assert claims.to_numpy().tolist() == [["a", "alias", "X"], ["a", "alias", "Y"]]


def test_the_better_tier_answers(hgnc):
    found = answers(resolve(hgnc_claims(hgnc)))
    assert found["TP53"] == ("approved", "TP53")
    assert found["SEPT2"] == ("previous", "SEPTIN2"), "an alias of SEPTIN6 too"
    assert found["DEC1"] == ("previous", "DELEC1"), "an alias of BHLHE40 too"
    assert found["DIFF6"] == ("previous", "SEPTIN1|SEPTIN2")
    assert found["OPN"] == ("alias", "OPN1SW|SPP1")


def test_a_case_slip_of_an_approved_symbol_goes_before_an_alias(hgnc):
    assert answers(resolve(hgnc_claims(hgnc)))["Cad"] == ("case", "CAD")


def test_the_order_of_rows_does_not_matter(hgnc):
    shuffled = hgnc.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(resolve(hgnc_claims(hgnc)), resolve(hgnc_claims(shuffled)))


def test_symbols_that_case_alone_tells_apart_have_no_fold():
    assert unique_folds(pd.Series(["Ab", "AB", "C"])).to_dict() == {"c": "C"}
