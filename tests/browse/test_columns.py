import numpy as np
import pandas as pd
import pytest

from bftembed.browse.columns import colour_columns
from bftembed.errors import InputError

FRAME = pd.DataFrame(
    {
        "label": pd.Categorical(["b", None, "a"], categories=["b", "a", "unused"]),
        "text": ["x", "", None],
        "flag": [True, False, True],
        "plate": [3, 1, 3],
        "number": [0.5, np.inf, np.nan],
        "nothing": [np.nan] * 3,
        "blank": ["", "", ""],
        "day": pd.to_datetime(["2020-01-01"] * 3),
    }
)


def test_labels_and_numbers():
    found = {each.name: each for each in colour_columns(FRAME, {"label_colors": ["red", "#fff", "blue"]})}
    assert list(found) == ["label", "text", "flag", "plate", "number", "day"]
    label = found["label"]
    assert (label.labels, label.data.tolist(), label.colors) == (
        ["b", "a", "unused"],
        [0, 255, 1],
        ["red", "#fff", "blue"],
    )
    assert (found["text"].labels[-1], found["text"].data.tolist()[1:]) == ("x", [255, 255])
    assert (found["flag"].labels, found["flag"].data.tolist()) == (["False", "True"], [1, 0, 1])
    assert (found["plate"].labels, found["plate"].data.tolist()) == (["1", "3"], [1, 0, 1])
    assert found["number"].labels is None
    np.testing.assert_array_equal(found["number"].data, np.array([0.5, np.nan, np.nan], dtype=np.float32))
    assert colour_columns(FRAME, {"label_colors": ["red"]})[0].colors is None


def test_columns_that_are_asked_for():
    assert [each.name for each in colour_columns(FRAME, {}, ["number", "label"])] == ["number", "label"]
    many = pd.DataFrame({"id": [f"g{i}" for i in range(101)], "n": range(101)})
    assert [each.name for each in colour_columns(many, {})] == ["n"]
    assert colour_columns(many, {})[0].labels is None
    with pytest.raises(InputError, match=r"`id` cannot colour a map: it holds 101 different"):
        colour_columns(many, {}, ["id"])
    with pytest.raises(InputError, match="nothign"):
        colour_columns(FRAME, {}, ["nothign"])
