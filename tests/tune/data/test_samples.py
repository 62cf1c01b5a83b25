"""Reading training data."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bftembed.errors import DataError
from bftembed.tune.data.samples import read_samples

CHAT = [{"role": "user", "content": "What is TP53?"}, {"role": "assistant", "content": "A tumour suppressor."}]


def write(path, *rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def samples(path, **options):
    return [sample for _, sample in read_samples(path, **options)]


def test_three_forms_of_a_row(tmp_path):
    path = write(
        tmp_path / "a.jsonl",
        {"messages": CHAT, "id": 3},
        {"prompt": "What is TP53?", "response": "A tumour suppressor."},
        {"system": "Be brief.", "prompt": "p", "response": "r"},
        {"text": "Only text."},
    )
    system = {"role": "system", "content": "Be brief."}
    turns = [{"role": "user", "content": "p"}, {"role": "assistant", "content": "r"}]
    assert samples(path) == [CHAT, CHAT, [system, *turns], "Only text."]


def test_parquet_and_dataset_give_what_json_lines_give(tmp_path):
    datasets = pytest.importorskip("datasets", reason="needs the package `datasets` (extra tune)")
    rows = [{"messages": CHAT}, {"messages": [CHAT[0], {"role": "assistant", "content": "Another."}]}]
    lines = write(tmp_path / "a.jsonl", *rows)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    datasets.Dataset.from_list(rows).save_to_disk(tmp_path / "one")
    splits = {"train": datasets.Dataset.from_list(rows[:1]), "test": datasets.Dataset.from_list(rows[1:])}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "several")
    expected = samples(lines)
    assert samples(tmp_path / "a.parquet") == expected
    assert samples(tmp_path / "one") == expected
    assert samples(tmp_path / "several") == expected[:1]
    assert samples(tmp_path / "several", split="test") == expected[1:]
    with pytest.raises(DataError, match="no split `validation`; it has train, test"):
        samples(tmp_path / "several", split="validation")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{broken", "Line 3 of .* is not valid JSON"),
        (r'{"text": "half of a pair: \ud83d"}', "Line 3 of .* is not valid JSON: .*surrogates"),
        ("[" * 100_000, "Line 3 of .* is not valid JSON: .*recursion"),
        ({"prompt": "x", "response": None}, r"Line 3 of .* has 'prompt', 'response' \(null\); a sample needs"),
        ("[1]", "Line 3 of .* is a list and not an object"),
        ({"question": "x"}, "Line 3 of .* has 'question'; a sample needs `messages`"),
        ({}, "has nothing"),
        ({"text": 5}, "`text` in line 3 of .* is a int"),
        ({"messages": [{"role": "oracle", "content": "x"}]}, "messages in line 3 of .* are malformed"),
        ({"messages": [{"role": "user", "content": None}]}, "malformed"),
        ({"messages": "hello"}, "malformed"),
        ({"messages": CHAT[:1]}, "line 3 of .* do not end with the assistant's turn"),
        ({"messages": []}, "do not end with the assistant's turn"),
    ],
)
def test_a_broken_row_is_named_with_its_number(tmp_path, row, message):
    path = write(tmp_path / "a.jsonl", {"text": "one"}, "", row)
    with pytest.raises(DataError, match=message):
        samples(path)


def test_files_that_cannot_be_used(tmp_path):
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "bad.parquet").write_text("no parquet")
    (tmp_path / "latin.jsonl").write_bytes(b'{"text": "caf\xe9"}\n')
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.csv").touch()
    cases = {
        "absent.jsonl": "no training data at",
        "empty.jsonl": "holds no samples",
        "bad.parquet": "cannot be read as Parquet",
        "latin.jsonl": "Line 1 of .* is not valid JSON",
        "folder": "no dataset written by",
        "a.csv": "neither .jsonl nor .parquet",
    }
    for name, message in cases.items():
        with pytest.raises(DataError, match=message):
            samples(tmp_path / name)


def test_a_pair_of_surrogates_is_a_character(tmp_path):
    path = write(tmp_path / "a.jsonl", r'{"text": "\ud83d\ude00"}')
    assert samples(path) == ["\U0001f600"]
