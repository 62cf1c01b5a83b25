"""Vectors on disk, by digest of the text and of the encoder."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np

from bftembed._paths import cache_dir
from bftembed._sqlite import chosen, connect, transaction
from bftembed.encoders.base import encoding
from bftembed.errors import StoreError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bftembed.encoders.base import Encoder

_SCHEMA = """
CREATE TABLE IF NOT EXISTS vectors (
    encoder TEXT NOT NULL, text TEXT NOT NULL, split INTEGER NOT NULL, vector BLOB NOT NULL,
    PRIMARY KEY (encoder, text)
) WITHOUT ROWID
"""
_APPLICATION = 0x62667476  # "bftv"
#: Texts encoded and stored at a time: a killed run loses no more than this.
_STEP = 2048


def encode_cached(
    texts: Sequence[str],
    encoder: Encoder,
    *,
    query: bool = False,
    cache: Path | None = None,
    progress: bool | None = None,
) -> tuple[NDArray[np.float32], int]:
    """Encode texts, each different text once, taking what is known from the cache.

    Parameters
    ----------
    texts
        Non-empty texts.
    encoder
        Encodes what is missing; not loaded where nothing is.
    query
        Whether the texts are searched for, see `Encoder.encode`.
    cache
        SQLite file; by default ``vectors.sqlite`` in the user cache (``BFTEMBED_CACHE``).
    progress
        Show a bar; by default a bar on a terminal or in a notebook, else a line in the log every 30 s.

    Returns
    -------
    vectors
        float32, shape (n, d).
    n_split
        How many different texts were longer than the encoder takes, and so split.

    Examples
    --------
    >>> from bftembed.encoders import encode_cached, get_encoder
    >>> vectors, n_split = encode_cached(["Guards the genome.", "In blood plasma."], get_encoder())
    >>> vectors.shape, n_split
    ((2, 384), 0)
    """
    if not encoder.cached:
        vectors, split = encoder.encode(texts, query=query, progress=progress)
        return vectors, int(split.sum())
    path = cache or cache_dir() / "vectors.sqlite"
    asked = {"query_prompt": encoder.query_prompt} if query else {}
    described = [encoder.describe() | asked, *([] if query else encoder.former_descriptions())]
    owners = [hashlib.sha256(json.dumps(each, sort_keys=True).encode()).hexdigest() for each in described]
    unique = {hashlib.sha256(text.encode()).hexdigest(): text for text in texts}
    found: dict[str, NDArray[np.float32]] = {}
    n_split = 0
    try:
        connection = connect(path, _SCHEMA, application=_APPLICATION)
    except StoreError as error:
        msg = f"{error} It is the cache of the encoder's vectors, which can be deleted at no loss but time."
        raise StoreError(msg) from error
    try:
        for digest, was_split, vector in _stored(connection, path, owners, list(unique)):
            if digest not in found:
                n_split += was_split
                found[digest] = vector
        missing = [digest for digest in unique if digest not in found]
        with encoding(len(missing), show=progress if missing else False) as bar:
            for start in range(0, len(missing), _STEP):
                part = missing[start : start + _STEP]
                vectors, split = encoder.encode([unique[digest] for digest in part], query=query, progress=bar)
                n_split += int(split.sum())
                with transaction(connection, path):
                    connection.executemany(
                        "INSERT OR IGNORE INTO vectors VALUES (?, ?, ?, ?)",
                        [
                            (owners[0], digest, int(is_long), vector.astype("<f4").tobytes())
                            for digest, is_long, vector in zip(part, split, vectors, strict=True)
                        ],
                    )
                found.update(zip(part, vectors, strict=True))
    finally:
        connection.close()
    if not texts:
        return np.empty((0, 0), dtype=np.float32), 0
    return np.stack([found[hashlib.sha256(text.encode()).hexdigest()] for text in texts]), n_split


def _stored(
    connection: sqlite3.Connection, path: Path, owners: Sequence[str], digests: Sequence[str]
) -> Iterator[tuple[str, int, NDArray[np.float32]]]:
    """Digest, whether it was split, and vector of every text that the cache has from one of the encoders."""
    by = ",".join("?" * len(owners))
    statement = f"SELECT text, split, vector FROM vectors WHERE encoder IN ({by}) AND text IN ({{keys}})"
    for digest, split, blob in chosen(connection, path, statement, digests, owners):
        yield digest, split, np.frombuffer(blob, dtype="<f4").astype(np.float32, copy=False)
