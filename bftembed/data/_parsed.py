"""Keep tables that are slow to parse as Parquet in the cache: what takes ten seconds from R's format takes 0.3."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import TYPE_CHECKING, Any

from bftembed._files import replacing
from bftembed._paths import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable

    from bftembed.data.manifest import ManifestFile

logger = logging.getLogger("bftembed")

_VERSION = 1  # raise when a reader gives another table for the same file


def through_parquet(file: ManifestFile, options: dict[str, Any], read: Callable[[], object]) -> object:
    """Return what `read` returns; if that is a table, from Parquet the next time.

    The copy belongs to the file's sha256, the reader and its options; one that cannot be read or written is passed
    over, since it can always be made again.
    """
    import pandas as pd
    import pyarrow as pa

    key = json.dumps([_VERSION, file.sha256, file.reader, options], sort_keys=True, default=repr)
    path = cache_dir() / "parsed" / f"{hashlib.sha256(key.encode()).hexdigest()}.parquet"
    if path.is_file():
        try:
            return pd.read_parquet(path)
        except (OSError, pa.ArrowException) as error:
            logger.warning("The parsed copy %s is damaged (%s) and is made again.", path, error)
    content = read()
    if isinstance(content, pd.DataFrame):
        try:
            with replacing(path) as part:
                content.to_parquet(part)
        except (OSError, pa.ArrowException) as error:
            logger.warning("No parsed copy of %s is kept: %s", file.path, error)
    return content
