"""Where things are: the user cache, and the files shipped beside the package."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """Directory for downloads, converted models, vectors and the default profile store.

    ``BFTEMBED_CACHE`` if set, else the user cache directory of the platform.
    """
    if custom := os.environ.get("BFTEMBED_CACHE"):
        return Path(custom).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("bftembed")


def shipped_dir(name: str) -> Path:
    """``data_manifests`` or ``tasks``: inside an installed wheel, or beside the package in a checkout."""
    package = Path(__file__).parent
    in_wheel = package / "_shipped" / name
    return in_wheel if in_wheel.is_dir() else package.parent / name
