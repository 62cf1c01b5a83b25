"""Descriptions and similarities of the user."""

import json

import pytest

from bftembed.bench.language.drugs.files import read_descriptions, read_likeness
from bftembed.errors import DataError


@pytest.fixture
def written(tmp_path):
    def write(content):
        path = tmp_path / "file.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def test_descriptions(written):
    path = written({"A": " Inhibits\n{target}. ", "B": "", "C": None, "NA": "A gene."})
    assert read_descriptions(path) == {"A": "Inhibits {target}.", "NA": "A gene."}


def test_likeness_by_numbers(written):
    alike = read_likeness(written({"A": {"B": 0.9, "C": 0}, "B": {"A": 0.2}}))
    assert alike(["A", "B", "D"], ["A", "B", "C"]).tolist() == [[1, 0.9, 0], [0.2, 1, 0], [0, 0, 0]]
    assert alike(["C", "B"], ["A"]).tolist() == [[0], [0.2]]
    assert alike([], ["A"]).shape == (0, 1)


@pytest.mark.parametrize("entry", [["B", "C", "B"], {"direct_neighbors": ["B"], "others": ["C", "B"]}])
def test_likeness_by_lists(written, entry):
    alike = read_likeness(written({"A": entry}))
    assert alike(["A", "C"], ["A", "B", "C"]).tolist() == [[1, 1, 0.5], [0.5, 0, 1]]


@pytest.mark.parametrize(
    ("read", "content", "message"),
    [
        (read_descriptions, "{", "cannot be read as JSON"),
        (read_descriptions, "[" * 100_000, "cannot be read as JSON"),
        (read_descriptions, ["A"], "holds no descriptions by name: it has to be a JSON object"),
        (read_likeness, {}, "holds no similarities by name"),
        (read_descriptions, {"A": 3}, "the description of `A` is a int and no text"),
        (read_likeness, {"A": {"B": 1.5}}, "the entry of `A` is neither numbers from 0 to 1"),
        (read_likeness, {"A": {"B": "0.5"}}, "the entry of `A` is neither"),
        (read_likeness, '{"A": {"B": NaN}}', "the entry of `A` is neither"),
        (read_likeness, {"A": [1]}, "the entry of `A` is neither"),
        (read_likeness, {"A": "B"}, "the entry of `A` is neither"),
    ],
)
def test_broken_files(written, read, content, message):
    with pytest.raises(DataError, match=message):
        read(written(content))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="cannot be read as JSON"):
        read_descriptions(tmp_path / "none.json")
