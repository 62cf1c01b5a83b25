"""All that stands in a corpus, whatever its format."""

import itertools
import json

import pandas as pd
import pytest

from bftembed.errors import DataError
from bftembed.tune.data import texts as module
from bftembed.tune.data.texts import corpus_texts

ROWS = [
    {"messages": [{"role": "user", "content": "Which nerve?"}, {"role": "assistant", "content": "The tenth."}]},
    {"prompt": "Which organ?", "response": "The liver."},
    {"text": "Alone."},
    {"question": "Which drug?", "options": {"A": "Aspirin", "B": ["Iron", "Zinc"]}, "n": 3, "none": None},
]
TEXTS = ["Which nerve? The tenth.", "Which organ? The liver.", "Alone.", "Which drug? Aspirin Iron Zinc"]


def test_rows_of_any_columns(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    (tmp_path / "a.json").write_text(json.dumps(ROWS))
    assert list(corpus_texts(tmp_path / "a.jsonl")) == list(corpus_texts(str(tmp_path / "a.json"))) == TEXTS


def test_tables_and_data_sets(tmp_path):
    datasets = pytest.importorskip("datasets")
    pd.DataFrame(ROWS[:1]).to_parquet(tmp_path / "a.parquet")
    assert list(corpus_texts(tmp_path / "a.parquet")) == TEXTS[:1]
    splits = {"train": datasets.Dataset.from_list(ROWS[:1]), "test": datasets.Dataset.from_list(ROWS[1:2])}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    assert list(corpus_texts(tmp_path / "saved", split="test")) == TEXTS[1:2]


def test_the_split_of_a_corpus_directory(tmp_path):
    for split, row in zip(["train", "test"], ROWS, strict=False):
        (tmp_path / f"{split}.jsonl").write_text(json.dumps(row))
    assert list(corpus_texts(tmp_path)) == TEXTS[:1]
    assert list(corpus_texts(tmp_path, split="test")) == TEXTS[1:2]


def test_plain_text_is_read_in_pieces_that_overlap(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PIECE", 40)
    monkeypatch.setattr(module, "_AGAIN", 20)
    words = [f"w{i}" for i in range(100)]
    (tmp_path / "a.txt").write_bytes(" ".join(words).encode() + b" caf\xe9")
    pieces = list(corpus_texts(tmp_path / "a.txt"))
    assert len(pieces) == 10
    assert max(map(len, pieces)) <= 60
    for pair in itertools.pairwise(words):
        assert any(" ".join(pair) in piece for piece in pieces)
    assert pieces[-1].endswith("caf\ufffd")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.jsonl", None, "There is no training data at"),
        ("a.txt", "", r"a\.txt` holds no text"),
        ("a.jsonl", "\n", r"a\.jsonl` holds no text"),
        ("a.json", "[]", r"a\.json` holds no text"),
        ("a.json", '{"a": 1}\n{"a": 2}', r"not valid JSON: Extra data.*its name ends in \.jsonl"),
        ("a.json", "[" * 100_000, "not valid JSON"),
        ("a.jsonl", '{"text": "x"}\n{', "Line 2 of .* is not valid JSON"),
        ("a.zip", "PK", r"a\.zip` is no corpus; a file is \.jsonl, \.parquet, \.json, \.txt or \.md\."),
        ("a.parquet", "PK", "cannot be read as Parquet"),
    ],
)
def test_what_is_no_corpus(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        list(corpus_texts(tmp_path / name))


def test_a_directory_without_a_corpus(tmp_path):
    pytest.importorskip("datasets")
    (tmp_path / "x").mkdir()
    with pytest.raises(DataError, match="is no dataset"):
        list(corpus_texts(tmp_path / "x"))
