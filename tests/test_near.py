import pytest

from bftembed._near import check_choice, did_you_mean, near_file
from bftembed.errors import InputError


@pytest.mark.parametrize(
    ("name", "choices", "hint"),
    [
        ("max_step", ["max_steps", "seed"], " Did you mean `max_steps`?"),
        ("tp53", ["TP53", "TP63"], " Did you mean `TP53`?"),
        ("zzzz", ["TP53"], ""),
        ("TP53", [], ""),
    ],
)
def test_the_nearest_name_is_given_in_its_own_spelling(name, choices, hint):
    assert did_you_mean(name, choices) == hint


def test_the_cutoff_decides_how_near():
    assert did_you_mean("refseq_summary", ["refseq"], cutoff=0.5) == " Did you mean `refseq`?"
    assert did_you_mean("refseq_summary", ["refseq"], cutoff=0.9) == ""


def test_a_value_that_is_no_choice_is_refused_with_the_choices():
    check_choice("weights", "b", ("a", "b"))
    with pytest.raises(InputError, match="`weights` is 'a', 'b' or 'c', got None"):
        check_choice("weights", None, ("a", "b", "c"))
    with pytest.raises(InputError, match="`among` is 'genes' here, got 'cells'"):
        check_choice("among", "cells", ("genes",))


def test_the_nearest_file_beside_one_that_is_not_there(tmp_path):
    (tmp_path / "cells.h5ad").touch()
    assert near_file(tmp_path / "cell.h5ad") == f" Did you mean `{tmp_path / 'cells.h5ad'}`?"
    assert near_file(tmp_path / "genes.csv") == near_file(tmp_path / "none" / "cells.h5ad") == ""
