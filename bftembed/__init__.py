"""Knowledge-aware embeddings of genes, cells and perturbations.

``bft.pp``, ``bft.tl``, ``bft.get`` and ``bft.pl`` work on AnnData, ``bft.embed`` on names, ``bft.read_vectors`` and
``bft.write_vectors`` on files of vectors; ``bft.bench`` runs benchmarks, ``bft.tune`` tunes the language model,
``bft.settings`` has the settings of the session. Subpackages are imported on first use.
"""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from bftembed._settings import settings

if TYPE_CHECKING:
    from bftembed import (
        bench,
        browse,
        data,
        datasets,
        encoders,
        engines,
        errors,
        genes,
        get,
        pl,
        pp,
        profiles,
        quality,
        scale,
        sharing,
        tl,
        tune,
    )
    from bftembed.tl import embed
    from bftembed.vectors import read_vectors, write_vectors

__all__ = [
    "bench",
    "browse",
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
    "quality",
    "read_vectors",
    "scale",
    "settings",
    "sharing",
    "tl",
    "tune",
    "write_vectors",
]
__version__ = version("bftembed")
#: Functions at the top, and the packages that they live in.
_FUNCTIONS = {"embed": "tl", "read_vectors": "vectors", "write_vectors": "vectors"}


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(f"bftembed.{_FUNCTIONS[name]}"), name)
    if name in __all__:
        return importlib.import_module(f"bftembed.{name}")
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
