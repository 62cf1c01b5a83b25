from bftembed.studies.grpo.report import make_page
from bftembed.studies.page import Figure, markdown_text


def test_all_that_was_measured_stands_in_the_report(make, exam):
    config, results = make({"sft": 0.5, "bft": 0.9}, random_reward=("sft",), positive_control="bft")
    page = make_page(config, exam, results)
    text = markdown_text(page)
    assert [section.title for section in page.sections][:2] == ["Gates", "Rows without a model, and controls"]
    assert "| bft | answered | 1.000 | 0.9 | yes |" in text
    assert "| test | 12 | 0.500 (decrease) |  |" in text
    assert "| bft | 0.300 | 0.900 |" in text  # positive control
    assert "**Random reward**" in text
    assert "| sft | 0.0002 | 2.718 | 0.500 | 0.000 | 1.500 | 1.50 of 4 | 0.500 |" in text
    assert "| bft | 2.718 to 2.718 | 2.718 to 2.718 | 0.1000 |" in text
    assert "| bft | words | 9 to 9 | +0.000 [+0.000, +0.000] | 1.000 |" in text
    assert "mutations" not in text  # nothing to count in
    assert sum(isinstance(part, Figure) for section in page.sections for part in section.parts) == 5


def test_the_matched_arm_stands_beside_the_main_one(make, exam):
    config, results = make({"sft": 0.5, "bft": 0.9}, matched={"checkpoints": 2, "margin": 0.5})
    for label in ("sft", "bft"):
        for seed in config.seeds:
            right = [[0, 4]] if label == "sft" else [[0, 1]]  # the last step of both: [0, 4]
            results[f"steps-{label}-s{seed}"] = {"steps": [7], "right": right}
            results[f"matched-{label}-s{seed}"] = {"same_as": f"start-{label}-s{seed}"}
            results[f"matched-{label}-s{seed}-g0"] = {"same_as": f"grpo-{label}-s{seed}-g0"}
    page = make_page(config, exam, results)
    text = markdown_text(page)
    assert "Was it only that one start had been tuned longer? `bft` against `sft`: " in page.verdict
    assert "| bft | 0.021 (7), 0.083 (last) | last |" in text  # of 12 questions x 4 answers x 3 seeds
    assert "The target is 0.083, of 144 answers." in text
    section = next(each for each in page.sections if each.title.startswith("Starts matched"))
    rows = section.parts[-1].rows
    assert [row[3] for row in rows] == [row[4] for row in rows]  # at their last steps the arms are one
    assert all(row[-2:] == ("+0.000 [+0.000, +0.000]", "1.000") for row in rows)


def test_one_seed_has_no_intervals(make, exam):
    config, results = make({"sft": 0.5, "bft": 0.9}, seeds=(4,))
    text = markdown_text(make_page(config, exam, results))
    assert text.startswith("# GRPO from different starts\n\n**cannot be told: one seed")
    assert "(no interval: one seed)" in text
