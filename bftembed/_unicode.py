"""Text that every file format and every server takes."""

from __future__ import annotations

import re

_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")


def writable(text: str) -> str:
    """The text with half surrogate pairs and NUL, which SQLite, HDF5, Arrow or HTTP refuse, replaced by U+FFFD.

    Two halves that stand beside each other become the character that they mean.
    """
    if not _UNWRITABLE.search(text):
        return text
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.replace("\x00", "\ufffd")
