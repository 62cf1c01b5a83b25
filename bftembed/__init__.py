"""Knowledge-aware embeddings of genes, cells and perturbations.

``bft.pp``, ``bft.tl``, ``bft.get`` and ``bft.pl`` work on AnnData, ``bft.embed`` on names; ``bft.bench`` runs
benchmarks, ``bft.tune`` tunes the language model, ``bft.settings`` has the settings of the session. Subpackages are
imported on first use.
"""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from bftembed._settings import settings

if TYPE_CHECKING:
    from bftembed import bench, data, datasets, encoders, engines, errors, genes, get, pl, pp, profiles, tl, tune
    from bftembed.tl import embed

__all__ = [
    "bench",
    "data",
    "datasets",
    "embed",
    "encoders",
    "engines",
    "errors",
    "genes",
    "get",
    "pl",
    "pp",
    "profiles",
    "settings",
    "tl",
    "tune",
]
__version__ = version("bftembed")


def __getattr__(name: str) -> Any:
    if name == "embed":
        return importlib.import_module("bftembed.tl").embed
    if name in __all__:
        return importlib.import_module(f"bftembed.{name}")
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
