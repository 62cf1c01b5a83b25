"""Where the samples come from."""

import json

import datasets
import pytest

from bftembed.errors import DataError, InputError
from bftembed.studies.objectives.config import SETS, ObjectivesConfig
from bftembed.studies.objectives.data import CORPUS, HELD_OUT, prepare

SMALL = {"train": 3, "validation": 2, "unseen": 2, "recall": 2, "medical_qa": 2, "general_qa": 2, "general_text": 2}


@pytest.fixture
def corpora(tmp_path):
    """Built corpora, as `bftembed corpus build` leaves them, of four rows a split."""
    for kind in ("genes", "pubmedqa"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "corpus.json").write_text("{}")
        for split in ("train", "validation", "test"):
            rows = [
                {
                    "id": f"{split.upper()}{n}",
                    "kind": "gene",
                    "question": f"Is {n} even?",
                    "messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": f"{kind} {n}"}],
                }
                for n in range(4)
            ]
            (tmp_path / kind / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def configuration(**data):
    values = {"output": "out", "objectives": {"sft": "sft"}, "learning_rates": [1e-3], "profiles": {"genes": 2}}
    return ObjectivesConfig.model_validate(values | {"data": SMALL | data})


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_splits_and_sets_of_the_package(corpora, mirror):
    made = prepare(configuration(), corpora)
    assert list(made.sets) == list(SETS)
    assert [row["id"] for row in rows(made.train)] == ["TRAIN0", "TRAIN1", "TRAIN2"]
    assert [row["id"] for row in rows(made.sets["genes in the corpus"])] == ["TRAIN0", "TRAIN1"]
    assert [row["id"] for row in rows(made.sets["unseen genes"])] == ["TEST0", "TEST1"]
    assert made.genes == {CORPUS: ["TRAIN0", "TRAIN1"], HELD_OUT: ["TEST0", "TEST1"]}
    assert rows(made.sets["medical QA"])[1] == {"prompt": "Is 1 even?", "response": "pubmedqa 1"}
    assert all(len(row["text"]) <= 1500 for row in rows(made.sets["general text"]))
    assert len(set(made.digests.values())) == len(made.digests)


def test_samples_are_written_once(corpora, mirror):
    made = prepare(configuration(), corpora)
    before, digests = {path: path.stat().st_mtime_ns for path in corpora.glob("*.jsonl")}, made.digests
    assert prepare(configuration(), corpora).digests == digests
    assert {path: path.stat().st_mtime_ns for path in corpora.glob("*.jsonl")} == before
    more = prepare(configuration(unseen=3), corpora)
    assert more.digests["unseen genes"] != digests["unseen genes"]
    assert more.digests["train"] == digests["train"]


def test_more_than_there_are(corpora, mirror):
    with pytest.raises(InputError, match="5 genes to train on are asked for, and there are 4"):
        prepare(configuration(train=5), corpora)


def test_tokens_are_guessed_by_characters(samples, tiny):
    made = prepare(ObjectivesConfig.model_validate(tiny), samples["train"].parent)
    guessed = made.tokens(made.train, 96)
    assert len(guessed) == 8
    assert min(guessed) > 8
    assert made.tokens(made.train, 10) == [10] * 8


def test_directories_of_samples(samples, tiny, tmp_path):
    datasets.Dataset.from_list([{"text": "one"}]).save_to_disk(tmp_path / "there")

    def prepared(train):
        changed = tiny | {"data": tiny["data"] | {"train": str(train)}}
        return prepare(ObjectivesConfig.model_validate(changed), tmp_path)

    assert len(prepared(tmp_path / "there").digests["train"]) == 16
    with pytest.raises(DataError, match=r"is no dataset written by `datasets.save_to_disk`"):
        prepared(tmp_path)


def test_profiles_need_rows_that_name_genes(corpora, mirror, samples):
    files = {"train": str(samples["train"]), "validation": str(samples["validation"])}
    values = configuration().model_dump() | {"data": files | {"evaluation": {"x": files["train"]}}}
    config = ObjectivesConfig.model_validate(values)
    with pytest.raises(InputError, match="`bftembed corpus build genes` writes them name their gene"):
        prepare(config, corpora)
