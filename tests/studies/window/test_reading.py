"""Texts are read as the diagnostic reads them, and parts that were read are not read again."""

import numpy as np
import pytest

from bftembed.engines import TransformersEngine
from bftembed.errors import InputError
from bftembed.studies.window import reading
from bftembed.tune.diagnosis.confidences import confidences


def test_texts_are_read_once(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_PART", 2)
    engine = TransformersEngine(str(tiny_model), dtype="float32")
    texts = ["TP53 is a tumor suppressor.", "", "x", "A longer text of several words that is cut " * 4]
    options = {"max_length": 24, "batch_size": 2, "place": tmp_path}
    found = reading.read_texts(engine, texts, **options)
    expected = [track for track in confidences(*engine.load(), texts, max_length=24) if track.part == 0 and len(track)]
    assert [track.document for track in found] == [track.document for track in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.confidence, other.confidence, rtol=1e-4)
    assert max(map(len, found)) == 23

    def broken(*_, **__):
        msg = "read again"
        raise AssertionError(msg)

    monkeypatch.setattr(reading, "score", broken)
    again = reading.read_texts(engine, texts, **options)
    assert all(np.array_equal(one.confidence, other.confidence) for one, other in zip(found, again, strict=True))
    (tmp_path / "confidence-0.npy").unlink()
    with pytest.raises(AssertionError, match="read again"):
        reading.read_texts(engine, texts, **options)
    with pytest.raises(InputError, match="None of 1 texts has a token to predict"):
        reading.read_texts(engine, [""], **options)
    with pytest.raises(InputError, match="cannot be read at once"):
        reading.read_texts(engine, texts, **{**options, "max_length": 10_000})
