from bftembed.bench.report.index import Index
from bftembed.bench.report.score_tables import family_of, own_scores, same_scores


def cells_of(table, task):
    (column,) = [column for column in table.columns if column.info.name == task]
    return dict(zip(table.embeddings, column.cells, strict=True))


def test_own_scores_with_marks(mixed):
    table = own_scores(Index(mixed), ranked=True)
    assert table.families == [("atlas", 1), ("toy", 2)]
    cells = cells_of(table, "toy.parity")
    assert [cells[name].value for name in "abc"] == [0.8, 0.62, 0.9]
    assert [cells[name].not_better for name in "abc"] == [False, True, False]
    assert [cells[name].few for name in "abc"] == [False, False, True]
    assert cells["a"].shade == (0.8 - 0.5) / 0.5
    assert "best baseline: spelling, 0.600; 95 of 100 found" in cells["a"].why


def test_a_column_names_the_best_baseline_and_the_number_of_items(mixed):
    columns = {column.info.name: column for column in own_scores(Index(mixed), ranked=True).columns}
    assert (columns["toy.parity"].baseline, columns["toy.parity"].n_items) == (("spelling", 0.6), (60, 95))
    assert columns["atlas.cells"].baseline is None


def test_lower_is_better(mixed):
    cells = cells_of(own_scores(Index(mixed), ranked=True), "toy.error")
    assert (cells["a"].shade, cells["b"].shade) == (1, 0)
    assert (cells["a"].not_better, cells["b"].not_better) == (False, True)


def test_an_empty_cell_says_why(mixed):
    table = own_scores(Index(mixed), ranked=True)
    failed = cells_of(table, "toy.error")["c"]
    assert (failed.status, failed.value, failed.why) == ("failed", None, "Failed: disk full")
    cells = cells_of(table, "atlas.cells")
    assert (cells["b"].status, cells["b"].why) == ("none", "Not applicable: no cells")
    assert (cells["c"].status, cells["c"].why) == ("none", "Not run.")


def test_tasks_that_do_not_rank_stand_apart(mixed):
    index = Index(mixed)
    assert [c.info.name for c in own_scores(index, ranked=False).columns] == ["toy.old"]
    assert "toy.old" not in [c.info.name for c in own_scores(index, ranked=True).columns]


def test_same_items_have_shared_scores(mixed):
    table = same_scores(Index(mixed), ranked=True)
    assert [c.info.name for c in table.columns] == ["toy.error", "toy.parity"]  # one embedding alone is no comparison
    assert [cell.value for cell in cells_of(table, "toy.parity").values()] == [0.7, 0.6, 0.9]


def test_same_items_say_why_one_is_left_out(result):
    shared = {"subset": "shared", "items_digest": "both"}
    results = [result(embedding=name) for name in "ab"] + [result(embedding=name, **shared) for name in "abd"]
    results += [result(embedding="c", found=30), result(embedding="d"), result(embedding="e", found=90)]
    results[4] = results[4].model_copy(update={"items_digest": "older"})
    cells = cells_of(same_scores(Index(results), ranked=True), "toy.parity")
    assert cells["c"].why == "Too few to be compared: 30 of 100 found."
    assert cells["e"].why == "Not run together with the others, on what all of them have: 90 of 100 found."
    assert cells["d"].why == "Scored on other items than the others of this column."


def test_a_score_without_a_value(result, score):
    table = own_scores(Index([result(main=score(None))]), ranked=True)
    assert cells_of(table, "toy.parity")["a"].why == "There is no value: no fold could be scored."


def test_family(info):
    assert family_of(info("gene_property.tf")) == ("gene_property", "tf")
    assert family_of(info("mine")) == ("gene", "mine")
