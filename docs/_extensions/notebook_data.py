"""The notebooks need gene tables: said before the build, not by a traceback in the middle of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sphinx.errors import ConfigError

from bftembed import data
from bftembed.datasets import FACT_SOURCES, NAME_SOURCES
from bftembed.errors import BftembedError

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config

CELLS = ("pbmc_stim", "bremsc_pbmc", "norman_perturbench")
NEEDED = tuple(dict.fromkeys([*NAME_SOURCES, *FACT_SOURCES, *CELLS, "geneformer_labels"]))


def check(app: Sphinx, config: Config) -> None:
    """Fetch the data sets that the notebooks read, or say how to have them.

    Raises
    ------
    ConfigError
        If one is neither in the cache nor to be had.
    """
    if config.nb_execution_mode == "off":
        return
    for name in NEEDED:
        try:
            data.fetch(name)
        except BftembedError as error:
            msg = (
                f"The notebooks read the data set `{name}`: {error} Set BFTEMBED_MIRROR to a directory with the files "
                "that data_manifests/README.md describes, or build pages without outputs: `make docs NOTEBOOKS=off`."
            )
            raise ConfigError(msg) from error


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("config-inited", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
