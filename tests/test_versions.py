import re

import pytest

import bftembed
from bftembed import _versions
from bftembed._versions import check_versions
from bftembed.errors import ClusterError


def test_the_same_version_everywhere_is_what_is_wanted():
    check_versions({"a": bftembed.__version__, "b": bftembed.__version__})
    check_versions({})


@pytest.mark.parametrize(
    ("theirs", "what"), [(None, "is not installed"), ("0.0.9", f"is 0.0.9, and {bftembed.__version__} here")]
)
def test_others_are_named_with_what_to_install(theirs, what):
    with pytest.raises(ClusterError) as error:
        check_versions({"worker a": bftembed.__version__, "worker b": theirs, "worker c": theirs})
    message = str(error.value)
    assert f"On 2 of 3 processes of the cluster (first: worker b) bftembed {what}." in message
    assert "in the environment of each, and start them again." in message


@pytest.mark.parametrize(
    ("own", "how"), [("0.3.0", "`pip install bftembed==0.3.0`"), ("0.3.1.dev2+g1a2b3c4", "install the same commit")]
)
def test_what_to_install_of_a_release_and_between_releases(monkeypatch, own, how):
    monkeypatch.setattr(_versions, "version", lambda _: own)
    with pytest.raises(ClusterError, match=f"must run the same version: {re.escape(how)} in"):
        check_versions({"worker": None})
