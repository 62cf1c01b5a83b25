"""Kernels of the notebooks: what they say does not depend on the machine and on the process that built the site."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config

#: Run by IPython in each kernel before the first cell.
STARTUP = """
def quieten():
    import logging
    import re
    import warnings

    # Without the path of a temporary file and the line in it.
    warnings.formatwarning = lambda message, category, *_, **__: f"{category.__name__}: {message}\\n"
    # peft asks transformers for a property by its old name; no bars where there are no widgets.
    warnings.filterwarnings("ignore", ".is_gradient_checkpointing. is deprecated")
    warnings.filterwarnings("ignore", "IProgress not found")
    warnings.filterwarnings("ignore", "Writing zarr v2 data")
    # How fast it went here, and what else was running.
    passing = re.compile("^The load of this machine| left$")
    logging.getLogger("bftembed").addFilter(lambda record: not passing.search(record.getMessage()))


quieten()
del quieten  # a page has to import what it uses
"""


def configure(app: Sphinx, config: Config) -> None:
    """Give the kernels that are about to start a profile of their own."""
    profile = Path(app.doctreedir) / "ipython"
    startup = profile / "profile_default" / "startup" / "warnings.py"
    startup.parent.mkdir(parents=True, exist_ok=True)
    startup.write_text(STARTUP, "utf8")
    os.environ["IPYTHONDIR"] = str(profile)
    os.environ["TQDM_DISABLE"] = "1"  # bars of other packages


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("config-inited", configure)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
