"""Arrays and what is told about them, as text that a page can hold."""

from __future__ import annotations

import base64
import gzip
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed._unicode import writable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

#: Names in JavaScript of the arrays that a page reads; all of them little-endian.
_KINDS = {"u1": "Uint8Array", "u2": "Uint16Array", "u4": "Uint32Array", "i2": "Int16Array", "f4": "Float32Array"}
_ALIGNED = 8


def packed(told: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    """JSON and typed arrays behind each other, compressed (gzip), in base64.

    The bytes are: the length of the JSON (8 bytes), the JSON, the arrays, each beginning at a multiple of 8. In the
    JSON ``arrays`` has the kind, the first byte (counted from the end of the JSON) and the number of items of each.

    Parameters
    ----------
    told
        What JSON can hold, without ``arrays``.
    arrays
        By name; uint8, uint16, uint32, int16 or float32.

    Examples
    --------
    >>> import base64, gzip, numpy as np
    >>> gzip.decompress(base64.b64decode(packed({}, {"a": np.array([65, 66], dtype=np.uint8)})))[8:].strip(bytes(1))
    b'{"arrays":{"a":["Uint8Array",0,2]}}     AB'
    """
    parts, places, at = [], {}, 0
    for name, array in arrays.items():
        data = _padded(array.astype(array.dtype.newbyteorder("<")).tobytes(), b"\0")
        places[name] = [_KINDS[array.dtype.str[1:]], at, int(array.size)]
        parts.append(data)
        at += len(data)
    text = json.dumps({**told, "arrays": places}, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    head = _padded(writable(text).encode(), b" ")
    raw = b"".join([len(head).to_bytes(_ALIGNED, "little"), head, *parts])
    return base64.b64encode(gzip.compress(raw, mtime=0)).decode()


def cosines(values: NDArray[np.floating[Any]]) -> NDArray[np.int16]:
    """Cosines in steps of 1/32767, -32768 for NaN."""
    steps = np.rint(np.clip(values, -1, 1) * 32767)
    return np.where(np.isnan(values), -32768, steps).astype(np.int16)


def _padded(data: bytes, filler: bytes) -> bytes:
    return data + filler * (-len(data) % _ALIGNED)
