"""Samples of the package's own corpora."""

import pytest

from bftembed.errors import InputError
from bftembed.studies.window.config import Files, Traces
from bftembed.studies.window.data import BIOMEDICAL, GENERAL, prepare
from bftembed.tune.data.samples import read_samples


def test_medical_traces_and_instructions(mirror, tmp_path):
    made = prepare(Traces(train=5, validation=3, general=2), tmp_path)
    assert list(made.validation) == [BIOMEDICAL, GENERAL]
    counts = [len(path.read_text().splitlines()) for path in (made.train, *made.validation.values())]
    assert counts == [5, 3, 2]
    rows = [row for path in (made.train, made.validation[BIOMEDICAL]) for _, row in read_samples(path)]
    asked = {row[0]["content"] for row in rows}
    assert len(asked) == 8
    digests = made.digests
    assert prepare(Traces(train=5, validation=3, general=2), tmp_path).digests == digests
    assert prepare(Traces(train=6, validation=3, general=2), tmp_path).digests["train"] != digests["train"]
    with pytest.raises(InputError, match=r"`data.validation` asks for 1,000 samples"):
        prepare(Traces(validation=1000), tmp_path)


def test_files_of_the_user_keep_their_order(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.jsonl").write_text('{"text": "one"}\n')
    files = {"second": str(tmp_path / "b.jsonl"), "first": str(tmp_path / "c.jsonl")}
    made = prepare(Files(train=str(tmp_path / "a.jsonl"), validation=files), tmp_path)
    assert list(made.validation) == ["second", "first"]
    assert len(set(made.digests.values())) == 1
