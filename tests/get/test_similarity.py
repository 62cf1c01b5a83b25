import numpy as np
import pandas as pd
import pytest

import bftembed as bft
from bftembed.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore:.*no text in .profiles")  # a name without a vector

TEXTS = {"CD3E": "A T cell receptor.", "CD3D": "The T cell receptor.", "ALB": "A protein of blood plasma."}


@pytest.fixture(scope="module")
def rows():
    return bft.embed([*TEXTS, "NONE"], facts="none", profiles=TEXTS)


def test_cosines_to_all_and_those_of_nearest(rows):
    found = bft.get.similarity(rows, ["CD3E", "plasma of the blood"])
    assert found.index.tolist() == rows.obs_names.tolist()
    matrix = rows.X[:3] / np.linalg.norm(rows.X[:3], axis=1, keepdims=True)
    np.testing.assert_allclose(found["CD3E"][:3], matrix @ matrix[0], atol=1e-6)
    assert found.loc["NONE"].isna().all()
    ranked = bft.get.nearest(rows, "plasma of the blood").set_index("name")["similarity"]
    pd.testing.assert_series_equal(
        found["plasma of the blood"].dropna().sort_values(ascending=False), ranked, check_names=False
    )
    assert rows.obs_names[found["CD3E"].argmax()] == "CD3E"  # nearest leaves it out


def test_what_nearest_refuses_is_refused(rows):
    for wrong in (
        {"query": "CD3Dd"},
        {"query": []},
        {"query": "CD3E", "use_rep": "X_none"},
        {"query": "CD3E", "among": "g"},
    ):
        with pytest.raises(InputError):
            bft.get.similarity(rows, **wrong)
