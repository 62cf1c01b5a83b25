"""Warnings that point at the user's line."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

from bftembed.errors import BftembedWarning

_HERE = str(Path(__file__).parent) + os.sep


def warn(message: str) -> None:
    """Issue a `BftembedWarning` at the line outside of this package from which it was called."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, BftembedWarning, stacklevel=level)
