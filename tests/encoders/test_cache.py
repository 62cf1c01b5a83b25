import json
import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from bftembed.encoders import encode_cached
from bftembed.errors import EncoderError, StoreError

TEXTS = ["TP53 is a gene.", "One two three. Four five six. Seven", "BRCA1"]


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "deep" / "vectors.sqlite"


def test_vectors_are_those_of_the_encoder(cache, word_encoder):
    vectors, n_split = encode_cached(TEXTS, word_encoder(), cache=cache)
    expected, split = word_encoder().encode(TEXTS)
    np.testing.assert_array_equal(vectors, expected)
    assert (vectors.dtype, n_split, split.tolist()) == (np.float32, 1, [False, True, False])


def test_a_hit_does_not_start_the_encoder(cache, word_encoder):
    before = encode_cached(TEXTS, word_encoder(), cache=cache)

    class Silent(word_encoder):
        """Describes itself and does no more."""

        @property
        def max_seq_length(self):
            raise AssertionError

        def count_tokens(self, texts):
            raise AssertionError

    vectors, n_split = encode_cached(TEXTS[::-1], Silent(), cache=cache)
    np.testing.assert_array_equal(vectors[::-1], before[0])
    assert n_split == before[1] == 1


def test_equal_texts_are_encoded_once_and_the_order_is_kept(cache, word_encoder):
    encoder = word_encoder()
    texts = ["b", "a", "b", "c", "a"]
    vectors, _ = encode_cached(texts, encoder, cache=cache)
    assert sorted(encoder.asked) == ["a", "b", "c"]
    np.testing.assert_array_equal(vectors, [encoder.vector(text).astype(np.float32) for text in texts])


def test_only_what_is_missing_is_encoded(cache, word_encoder):
    encode_cached(["a", "c"], word_encoder(), cache=cache)
    encoder = word_encoder()
    vectors, _ = encode_cached(["a", "b", "c"], encoder, cache=cache)
    assert encoder.asked == ["b"]
    np.testing.assert_array_equal(vectors, word_encoder().encode(["a", "b", "c"])[0])


def test_a_query_has_entries_of_its_own(cache, word_encoder):
    encoder = word_encoder(query_prompt="query: ")
    document, _ = encode_cached(["a"], encoder, cache=cache)
    for _ in range(2):
        query, _ = encode_cached(["a"], encoder, query=True, cache=cache)
        np.testing.assert_array_equal(query[0], encoder.vector("query: a").astype(np.float32))
    assert encoder.asked == ["a", "query: a"]
    assert not np.array_equal(document, query)


def test_texts_are_counted_once(cache, word_encoder):
    encoder = word_encoder()
    encode_cached(["a", "b", "a"], encoder, cache=cache)
    assert encoder.counted == 2 + 1  # and the prompt


def test_progress_is_over_all_steps(cache, word_encoder, monkeypatch, caplog):
    monkeypatch.setattr("bftembed.encoders.cache._STEP", 2)
    monkeypatch.setattr("bftembed._progress.INTERVAL", 0.0)
    with caplog.at_level("INFO", logger="bftembed"):
        encode_cached(list("abcde"), word_encoder(), cache=cache)
        assert [line.split(",")[0] for line in caplog.messages] == [f"encoding: {n} of 5 texts" for n in (2, 4, 5)]
        caplog.clear()
        encode_cached(list("abcde"), word_encoder(), cache=cache)
    assert not caplog.messages


def test_another_encoder_has_entries_of_its_own(cache, word_encoder):
    encode_cached(["a"], word_encoder(), cache=cache)
    other = word_encoder(marker="2")
    encode_cached(["a"], other, cache=cache)
    assert other.asked == ["a"]


def test_more_texts_than_one_query_or_step_takes(cache, word_encoder, monkeypatch):
    monkeypatch.setattr("bftembed.encoders.cache._STEP", 400)
    texts = [f"gene {i}" for i in range(1100)]
    first, _ = encode_cached(texts, word_encoder(), cache=cache)
    encoder = word_encoder()
    again, _ = encode_cached(texts, encoder, cache=cache)
    np.testing.assert_array_equal(first, again)
    assert not encoder.asked


def test_steps_that_were_finished_survive_a_failure(cache, word_encoder, monkeypatch):
    monkeypatch.setattr("bftembed.encoders.cache._STEP", 2)

    class Dies(word_encoder):
        def _encode(self, texts, *, query):
            if len(self.asked) >= 2:
                msg = "gone"
                raise EncoderError(msg)
            return super()._encode(texts, query=query)

    with pytest.raises(EncoderError, match="gone"):
        encode_cached(list("abcd"), Dies(), cache=cache)
    encoder = word_encoder()
    encode_cached(list("abcd"), encoder, cache=cache)
    assert sorted(encoder.asked) == ["c", "d"]


def test_the_default_place_is_in_the_user_cache(tmp_path, monkeypatch, word_encoder):
    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path / "own"))
    encode_cached(["a"], word_encoder())
    assert (tmp_path / "own" / "vectors.sqlite").exists()


def test_no_texts_give_no_vectors(cache, word_encoder):
    vectors, n_split = encode_cached([], word_encoder(), cache=cache)
    assert (vectors.shape, n_split) == ((0, 0), 0)


@pytest.mark.parametrize("content", [b"this is no database, only a text" * 200, b"SQLite format 3\0" + b"junk" * 500])
def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path, word_encoder, content):
    cache = tmp_path / "vectors.sqlite"
    cache.write_bytes(content)
    with pytest.raises(StoreError, match=r"vectors\.sqlite`: .*move it away"):
        encode_cached(["a"], word_encoder(), cache=cache)
    assert cache.read_bytes() == content


def test_damage_in_the_middle_is_an_error_not_a_wrong_vector(tmp_path, word_encoder):
    cache = tmp_path / "vectors.sqlite"
    texts = [f"gene {i}" for i in range(1500)]
    encode_cached(texts, word_encoder(), cache=cache)
    connection = sqlite3.connect(cache)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    raw = bytearray(cache.read_bytes())
    raw[4096:] = b"\xff" * (len(raw) - 4096)
    cache.write_bytes(raw)
    with pytest.raises(StoreError, match=r"vectors\.sqlite`: .*damaged"):
        encode_cached(texts, word_encoder(), cache=cache)


WRITE = """
import importlib.util, json, sys, time
from pathlib import Path
import numpy as np
conftest, cache, me, other = map(Path, sys.argv[1:5])
spec = importlib.util.spec_from_file_location("helpers", conftest)
helpers = importlib.util.module_from_spec(spec)
spec.loader.exec_module(helpers)
from bftembed.encoders import cache as module
module._STEP = 5
encoder = helpers.WordEncoder()
me.touch()
while not other.exists():
    time.sleep(0.001)
vectors, _ = module.encode_cached([f"gene {i}" for i in range(300)], encoder, cache=cache)
print(json.dumps([len(encoder.asked), float(np.abs(vectors).sum())]))
"""


def test_two_processes_write_at_once(cache, tmp_path, request, word_encoder):
    conftest = request.path.with_name("conftest.py")
    marks = [tmp_path / "first", tmp_path / "second"]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, *map(str, [conftest, cache, *pair])], stdout=subprocess.PIPE, text=True
        )
        for pair in (marks, marks[::-1])
    ]
    said = [process.communicate(timeout=300)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    expected = float(np.abs(word_encoder().encode([f"gene {i}" for i in range(300)])[0]).sum())
    assert [json.loads(line)[1] for line in said] == pytest.approx([expected] * 2, rel=1e-6)
    with sqlite3.connect(cache) as connection:
        [(n,)] = connection.execute("SELECT count(*) FROM vectors").fetchall()
    connection.close()
    assert n == 300
