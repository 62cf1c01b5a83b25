import io

import pandas as pd

from bftembed.bench.report.csv import csv_text


def table_of(results):
    return pd.read_csv(io.StringIO(csv_text(results)))


def test_every_score_is_a_row(mixed):
    table = table_of(mixed)
    expected = sum(len(r.scores) + len(r.baselines) or 1 for r in mixed)
    assert len(table) == expected
    keys = ["task", "embedding", "subset", "method", "metric", "kind"]
    assert not table.duplicated(keys).any()
    row = table.query("task == 'toy.parity' and embedding == 'c' and subset == 'own' and kind == 'score'").iloc[0]
    assert (row["mean"], row["n_items"], row["asked"], row["found"]) == (0.9, 60, 100, 60)
    assert (row["items_low"], row["items_high"]) == (0.9 - 0.03, 0.9 + 0.03)
    assert (row["folds_low"], row["folds_high"]) == (0.9 - 0.02, 0.9 + 0.02)
    assert row["is_main"] == True  # noqa: E712 (as it was read)


def test_results_without_scores_have_a_row(mixed):
    table = table_of(mixed).set_index("status")
    assert table.loc["failed", "reason"] == "disk full"
    assert table.loc["not applicable", "reason"] == "no cells"
    assert table.loc[["failed", "not applicable"], "mean"].isna().all()


def test_whatever_names_hold_comes_back(result, without):
    name, reason = 'a,"b"\n<c>;\u00e9', 'line one\nline "two", three'
    table = table_of([result(embedding=name), without("toy.two", name, reason=reason)])
    assert set(table["embedding"]) == {name}
    assert table["reason"].dropna().tolist() == [reason]


def test_order_does_not_matter(mixed):
    assert csv_text(mixed) == csv_text(mixed[::-1])
    assert len(csv_text([]).splitlines()) == 1


def test_mode_preset_and_smallest_visible_difference_have_columns(school):
    table = table_of(school)
    assert set(table[table["task"] == "exam.letters"]["mode"]) == {"rank"}
    assert set(table[table["task"] == "exam.letters.written"]["preset"]) == {"cot"}
    assert (table["smallest_visible"].notna() == (table["is_main"] == True)).all()  # noqa: E712 (as it was read)
    assert {"chance", "majority", "choices only", "answer key"} - set(table["method"]) == {"chance"}
