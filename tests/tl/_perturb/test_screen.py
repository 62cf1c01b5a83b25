"""Labels, doses and means of a screen."""

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftembed.entities import CONTROLS
from bftembed.errors import InputError
from bftembed.tl._perturb.screen import Part, Reading, log_doses, parse, read_screen

GENES, DRUGS = Reading("knockdown", CONTROLS, None), Reading("drug", CONTROLS, None)


def test_orders_spellings_and_controls_of_a_combination_are_one():
    found = parse(["TP53+no such", "no such+p53", "TP53+ctrl", "ctrl", "KLF1+KLF1"], None, GENES)
    assert found[0] == (Part("TP53"), Part("no such"))
    assert found[2:] == [(Part("TP53"),), (), (Part("KLF1"),)]


def test_old_symbols_are_the_genes_of_now(mirror):
    assert parse(["MRE11A"], None, GENES) == parse(["MRE11"], None, GENES)


def test_drugs_are_compared_without_case_and_not_split():
    found = parse(["(+)-JQ1", "(+)-jq1", "DMSO"], ["1 uM", "1000nM", ""], DRUGS)
    assert found[0] == found[1] == (Part("(+)-jq1", -6.0),)
    assert found[2] == ()
    assert str(found[0][0]) == "(+)-jq1 at 1e-06"


@given(st.integers(-12, 3), st.sampled_from([1.0, 2.5, 9.99]))
def test_doses_are_read_with_and_without_a_unit(exponent, mantissa):
    np.testing.assert_allclose(
        log_doses([f"{mantissa * 10.0**exponent:.6g}"]), np.log10(mantissa) + exponent, atol=1e-5
    )
    assert log_doses(["5 mM", "5e3 µM"]) == log_doses(["5000uM", "0.005 M"])


@pytest.mark.parametrize("dose", ["0", "-1", "high", "", "1 mg", "1.2.3"])
def test_what_is_no_dose_is_named(dose):
    with pytest.raises(InputError, match="is no number above zero"):
        log_doses(["1 uM", dose])


def test_units_on_some_doses_are_refused():
    with pytest.raises(InputError, match="others, such as '10', have not"):
        log_doses(["1 uM", "10"])


def test_changes_and_their_noise_are_those_of_pandas():
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"condition": rng.choice(["ctrl", "A1x", "A1x+B1x", "B1x+A1x", np.nan], 200)}).astype(object)
    obs.loc[obs["condition"] == "nan", "condition"] = np.nan
    cells = anndata.AnnData(rng.random((200, 4)).astype("float32") + 0.5, obs=obs.rename(str))
    screen = read_screen(cells, GENES, obs_key="condition", dose_key=None, layer=None, values="lognorm", min_cells=2)
    assert screen.parts == [(Part("A1x"),), (Part("A1x"), Part("B1x"))]
    label = obs["condition"].replace("B1x+A1x", "A1x+B1x")
    by_label = pd.DataFrame(cells.X.astype(float)).groupby(label.to_numpy())
    means, sizes = by_label.mean(), by_label.size()
    np.testing.assert_array_equal(screen.sizes, sizes[["A1x", "A1x+B1x"]])
    np.testing.assert_allclose(screen.change, means.loc[["A1x", "A1x+B1x"]] - means.loc["ctrl"].to_numpy())
    expected = by_label.var().div(sizes, axis=0).loc[["A1x", "A1x+B1x"]]
    np.testing.assert_allclose(screen.noise, expected)
