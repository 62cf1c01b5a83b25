"""What tells files of samples apart, and notes of what was written."""

import json

import datasets

from bftembed.studies.samples import digest_of, noted


def test_a_directory_is_known_by_its_samples(tmp_path):
    rows = [{"text": "one"}, {"text": "two"}]
    found = []
    for name, own in (("a", rows), ("b", rows), ("c", rows[:1])):
        datasets.Dataset.from_list(own).save_to_disk(tmp_path / name)
        found.append(digest_of(tmp_path / name))
    assert found[0] == found[1] != found[2]


def test_a_damaged_note_says_nothing(tmp_path):
    note = tmp_path / "note.json"
    assert not noted(note, {"train": 1})
    note.write_text(json.dumps({"train": 1}))
    assert noted(note, {"train": 1})
    assert not noted(note, {"train": 2})
    note.write_text('{"tra')
    assert not noted(note, {"train": 1})
