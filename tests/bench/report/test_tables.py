from bftembed.bench.report.tables import collect


def test_all_is_collected(mixed):
    report = collect(mixed, stale=["z.", "y."])
    assert (report.n_results, report.n_fast, report.is_same) == (13, 0, False)
    assert [section.info.name for section in report.sections] == ["atlas.cells", "toy.error", "toy.old", "toy.parity"]
    assert [(r.task, r.embedding, r.reason) for r in report.failures] == [("toy.error", "c", "disk full")]
    (each,) = report.not_applicable
    assert (each.embedding, each.reason, each.tasks) == ("b", "no cells", ["atlas.cells"])
    assert report.stale == ["y.", "z."]


def test_reports_of_a_resumed_run_are_equal(mixed):
    slow = [r.model_copy(update={"times": {"seconds": 99.0, "date": "2027"}}) for r in reversed(mixed)]
    assert collect(slow, timings=False) == collect(mixed, timings=False)
    assert collect(slow) != collect(mixed)


def test_equal_items_need_no_second_table(result):
    assert collect([result(), result(embedding="b")]).is_same
    assert not collect([result(), result(embedding="b", items_digest="other")]).is_same
    assert not collect([]).is_same


def test_nothing_is_a_report_too():
    report = collect([])
    assert (report.sections, report.pairs, report.own.columns) == ([], [], [])
