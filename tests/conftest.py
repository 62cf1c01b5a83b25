"""What all tests share: real data from a mirror, and a cache of their own."""

import os
from pathlib import Path

import pytest

# Before any test module is imported: transformers reads this once, at its import.
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def mirror():
    """Directory with the files that `data_manifests/` describe."""
    directory = os.environ.get("BFTEMBED_MIRROR", "")
    if not Path(directory).is_dir() or not directory:
        pytest.skip("set BFTEMBED_MIRROR to a directory that holds the data files, laid out as in data_manifests/")
    return Path(directory)


@pytest.fixture(scope="session", autouse=True)
def session_cache(tmp_path_factory):
    """Keep the user's cache out of the tests, and the tests out of the user's cache."""
    before = os.environ.get("BFTEMBED_CACHE")
    cache = tmp_path_factory.mktemp("cache")
    os.environ["BFTEMBED_CACHE"] = str(cache)
    yield cache
    if before is None:
        del os.environ["BFTEMBED_CACHE"]
    else:
        os.environ["BFTEMBED_CACHE"] = before
