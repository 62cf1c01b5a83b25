import pytest

from bftembed.quality.known import known_genes


@pytest.fixture(scope="session")
def known(mirror):
    """The real gene tables."""
    return known_genes()
