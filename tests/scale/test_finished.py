"""Engine and encoder of a run that is done."""

import numpy as np
import pytest

from bftembed.engines import Request
from bftembed.profiles import ProfileStore
from bftembed.scale.finished import FinishedEncoder, FinishedEngine


@pytest.fixture
def encoder(slow):
    return FinishedEncoder(slow.Letters(), {"abc": (np.ones(16, dtype=np.float32), True)})


def test_vectors_are_handed_out(encoder):
    vectors, split = encoder.encode(["abc", "abc"])
    np.testing.assert_array_equal(vectors, np.ones((2, 16)))
    assert vectors.dtype == np.float32
    assert split.tolist() == [True, True]


def test_another_text_is_encoded_by_the_real_one(encoder, slow):
    np.testing.assert_array_equal(encoder.encode(["abc", "bad"])[0], slow.Letters().encode(["abc", "bad"])[0])


def test_they_say_what_the_real_ones_say(encoder, slow, tmp_path):
    assert encoder.record() == slow.Letters().record()
    assert (encoder.max_seq_length, encoder.count_tokens(["abc"])) == (10_000, [3])
    real = slow.Slow(tmp_path / "log")
    with ProfileStore(tmp_path / "texts.sqlite") as store:
        engine = FinishedEngine(real, store)
        assert (engine.describe(), engine.provenance()) == (real.describe(), real.provenance())
        assert engine.in_current_terms({"engine": "old"}) == real.in_current_terms({"engine": "old"})
        (done,) = next(engine.generate([Request("key", "Who?")]))
    assert (done.finish_reason, done.error) == ("error", "not answered")
    assert not (tmp_path / "log").exists()
