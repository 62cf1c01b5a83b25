"""Where things are: the user cache, and the files shipped beside the package."""

from __future__ import annotations

from pathlib import Path

from bftembed._settings import settings


def cache_dir() -> Path:
    """Directory for downloads, converted models, vectors and the default profile store: ``settings.cache_dir``."""
    return settings.cache_dir


def shipped_dir(name: str) -> Path:
    """``configs``, ``data_manifests`` or ``tasks``: inside an installed wheel, or beside the package in a checkout."""
    package = Path(__file__).parent
    in_wheel = package / "_shipped" / name
    return in_wheel if in_wheel.is_dir() else package.parent / name
