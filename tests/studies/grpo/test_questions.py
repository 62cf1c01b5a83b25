import json

import pytest

from bftembed.errors import DataError, InputError
from bftembed.studies.grpo.config import Questions
from bftembed.studies.grpo.questions import best_constant, gene_rate, prepare


@pytest.fixture
def files(tmp_path):
    def files(train, test=None):
        for name, rows in (("train", train), ("test", test or train)):
            (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return {"source": str(tmp_path / "train.jsonl"), "test": str(tmp_path / "test.jsonl")}

    return files


def row(answer, **more):
    return {"prompt": "Is it?", "answer": answer, **more}


def test_perturbqa_is_balanced_within_genes_and_asked_alike_in_training_and_test(mirror, tmp_path):
    exam = prepare(Questions(source="dir", n_train=4000, n_test=4000, described=False), tmp_path)
    # As counted by hand from the published file: at most 4 + 4 of a gene to train on, all balanced ones to test on.
    assert len(exam.train) == 2046
    main, held_out = exam.test.values()
    assert (len(main), len({item.group for item in main})) == (718, 150)
    for items in (exam.train, main, held_out):
        assert best_constant(items)[1] == 0.5
    assert gene_rate(main, exam.rates) == pytest.approx(0.5)
    seen = {item.genes[0] for item in exam.train}
    assert not seen & {item.genes[0] for item in (*main, *held_out)}
    item = main[0]
    assert f"The gene {item.genes[0]} is knocked down" in item.prompt[1]["content"]
    assert "Read-out gene" not in item.prompt[1]["content"]
    assert item.prompt[1]["content"].endswith("a line of its own: `Answer: increase` or `Answer: decrease`.")
    assert "Measured" not in item.prompt[1]["content"]
    few = prepare(Questions(source="dir", n_train=20, n_test=20), tmp_path)
    assert 0 < len(few.main) <= 20
    assert {item.id for item in few.main} <= {item.id for item in main}
    assert f"Read-out gene {few.main[0].genes[1]}: " in few.main[0].prompt[1]["content"]


def test_pubmedqa_trains_on_what_is_not_of_the_official_test(mirror, tmp_path):
    exam = prepare(Questions(source="pubmedqa"), tmp_path)
    assert (len(exam.train), len(exam.main)) == (500, 256)
    assert best_constant(exam.train)[1] == pytest.approx(0.552, abs=0.01)
    prompts = {item.prompt[-1]["content"] for item in exam.train}
    assert not prompts & {item.prompt[-1]["content"] for item in exam.main}


def test_a_constant_that_is_paid_is_refused_with_its_share(files, tmp_path):
    given = files([row("yes")] * 2 + [row("no")])
    with pytest.raises(InputError, match=r"always answers `yes` earns 0\.67 .*questions.unbalanced: allow"):
        prepare(Questions(**given), tmp_path)
    assert len(prepare(Questions(**given, unbalanced="allow"), tmp_path).train) == 3


@pytest.mark.parametrize("choices", [["no", "No"], ["no", " "]])
def test_choices_that_cannot_be_told_apart_are_refused(files, tmp_path, choices):
    with pytest.raises(DataError, match=r"line 1 .*cannot be used"):
        prepare(Questions(**files([row("no", choices=choices)])), tmp_path)


def test_files_of_the_user_keep_groups_and_choices_within_one_another(files, tmp_path):
    rows = [row("no", choices=["no", "no change"], group="G"), row("no change", choices=["no", "no change"])]
    exam = prepare(Questions(**files(rows)), tmp_path)
    assert [item.group for item in exam.main] == ["G", ""]
    assert exam.rows(answer=1)[0]["answer"] == "no change"
    assert gene_rate(exam.main, exam.rates) is None
    assert exam.digest != prepare(Questions(**files(rows[::-1])), tmp_path).digest


def test_a_gene_is_guessed_by_what_is_more_frequent_in_training(files, tmp_path):
    rows = [row("increase", group="A"), row("decrease", group="A"), row("increase", group="B"), row("decrease")]
    items = prepare(Questions(**files(rows)), tmp_path).main
    assert gene_rate(items, {"A": 0.9, "B": 0.5}) == pytest.approx((1 + 0 + 0.5 + 0.5) / 4)
