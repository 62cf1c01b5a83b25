"""``bftembed study``."""

import pytest

from bftembed.cli import study
from bftembed.errors import InputError


def test_a_study_that_is_not_there():
    for show in (False, True):
        with pytest.raises(InputError, match="There is no study `numbers`"):
            study.study("numbers", "any", show=show)
    with pytest.raises(InputError, match="There is no studies/window configuration `any`"):
        study.study("window", "any", show=True)


def test_an_empty_output_is_not_the_working_directory():
    """As of a variable that is not set."""
    with pytest.raises(InputError, match="`output` is ''"):
        study.study("subliminal", "toy", output="", dry_run=True)
