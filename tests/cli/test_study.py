"""``bftembed study``."""

import pytest

from bftembed.cli import study
from bftembed.errors import InputError


def test_a_study_that_is_not_there():
    with pytest.raises(InputError, match="There is no study `numbers`"):
        study.study("numbers", "any")
    with pytest.raises(InputError, match="There is no studies/numbers configuration `any`"):
        study.study("numbers", "any", show=True)
