import base64
import gzip
import json

import numpy as np
import pytest

from bftembed.browse.packing import cosines, packed


def unpacked(text):
    """As the page does it."""
    raw = gzip.decompress(base64.b64decode(text))
    start = 8 + int.from_bytes(raw[:8], "little")
    told = json.loads(raw[8:start])
    kinds = {"Uint8Array": "u1", "Uint16Array": "<u2", "Uint32Array": "<u4", "Int16Array": "<i2", "Float32Array": "<f4"}
    arrays = {
        name: np.frombuffer(raw, kinds[kind], size, start + at) for name, (kind, at, size) in told.pop("arrays").items()
    }
    return told, arrays


def test_what_is_packed_comes_back():
    given = {
        "a": np.arange(3, dtype=np.uint8),
        "b": np.array([1, 65535], dtype=">u2"),
        "c": np.array([np.nan, -1.5], dtype=np.float32),
        "d": np.array([], dtype=np.int16),
        "e": np.array([2**32 - 1], dtype=np.uint32),
    }
    told, arrays = unpacked(packed({"name": "</script> 基因 \x00"}, given))
    assert told == {"name": "</script> 基因 \x00"}
    for name, array in given.items():
        np.testing.assert_array_equal(arrays[name], array)


def test_the_same_is_packed_alike_and_halves_of_characters_are_replaced():
    assert packed({"a": 1}, {}) == packed({"a": 1}, {})
    assert unpacked(packed({"a": "x\ud800"}, {}))[0] == {"a": "x\ufffd"}


def test_numbers_that_json_lacks_are_refused():
    with pytest.raises(ValueError, match="Out of range"):
        packed({"a": float("nan")}, {})


def test_cosines_in_steps():
    np.testing.assert_array_equal(cosines(np.array([1, -1, 0, np.nan, 1.0001])), [32767, -32767, 0, -32768, 32767])
