"""Files of samples of one's own."""

import datasets
import pytest

from bftembed.errors import DataError, InputError
from bftembed.studies.grpo.config import Corpus
from bftembed.studies.grpo.samples import files_of


def test_files_of_the_user_are_looked_at_before_anything_is_run(tmp_path):
    datasets.Dataset.from_list([{"text": "one"}]).save_to_disk(tmp_path / "there")
    (tmp_path / "empty.jsonl").write_text("")

    def files(general):
        there = str(tmp_path / "there")
        return files_of(Corpus(train=there, validation=there, general=str(general)), tmp_path)

    assert files(tmp_path / "there")["general"] == tmp_path / "there"
    with pytest.raises(DataError, match=r"empty.jsonl` holds no samples"):
        files(tmp_path / "empty.jsonl")
    with pytest.raises(DataError, match=r"is no dataset written by `datasets.save_to_disk`"):
        files(tmp_path)
    with pytest.raises(InputError, match=r"`corpus.general` names `.*nowhere`"):
        files(tmp_path / "nowhere")
