import pytest

from bftembed.errors import InputError
from bftembed.profiles import Entity


def test_facts_keep_their_order():
    assert list(Entity("gene", "TP53", {"b": "1", "a": "2"}).facts) == ["b", "a"]


def test_unknown_kind_names_the_known_ones():
    with pytest.raises(InputError, match=r"`protein` is no kind.*gene_set"):
        Entity("protein", "p53")


def test_a_name_of_a_whole_page_is_refused():
    with pytest.raises(InputError, match=r"`AAAA.*100,000 characters"):
        Entity("gene", "A" * 100_000)


def test_empty_name_is_refused():
    with pytest.raises(InputError, match="empty name"):
        Entity("gene", "  ")


@pytest.mark.parametrize("name", ["TP53\x00", "TP\ud83e53"])
def test_a_name_that_no_file_can_hold_is_refused(name):
    with pytest.raises(InputError, match="no file can hold"):
        Entity("gene", name)
