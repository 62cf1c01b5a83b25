import matplotlib.pyplot as plt
import pytest


@pytest.fixture(autouse=True)
def _closed():
    """No figure of one test stays open in the next."""
    yield
    plt.close("all")
