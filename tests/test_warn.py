import sys

import pytest

import bftembed as bft
from bftembed.errors import BftembedWarning


def test_a_warning_points_at_the_line_of_the_user():
    texts = {"CD3E": "T cells.", "ALB": "Liver."}
    genes = bft.embed([*texts], facts="none", profiles=texts)
    line = sys._getframe().f_lineno + 2
    with pytest.warns(BftembedWarning) as caught:
        bft.get.nearest(genes, "XKLF9")
    assert [(warning.filename, warning.lineno) for warning in caught] == [(__file__, line)]
