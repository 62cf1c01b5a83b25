"""Optional packages, imported where they are needed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from bftembed.errors import MissingExtraError

if TYPE_CHECKING:
    from types import ModuleType


def require(module: str, *, extra: str) -> ModuleType:
    """Import `module`, or say which extra of this package brings it.

    Raises
    ------
    MissingExtraError
        If the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".", maxsplit=1)[0]:
            raise
        msg = f'This needs the package `{module.split(".", maxsplit=1)[0]}`: pip install "bftembed[{extra}]"'
        raise MissingExtraError(msg) from error
