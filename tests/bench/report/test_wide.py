from bftembed.bench.report.index import Index
from bftembed.bench.report.wide import wide_tables


def test_metrics_stand_in_their_groups(result, info, score):
    task = info("atlas.cells", kind="cell", main_score="total")
    names = ["total", "bio: nmi", "batch: ilisi", "bio: ari"]
    full = [score(0.1 * i, method="scib", metric=name) for i, name in enumerate(names)]
    results = [result(info=task, scores=full), result(info=task, embedding="b", scores=full[:2]), result()]
    (table,) = wide_tables(Index(results))
    assert table.groups == [("", 1), ("bio", 2), ("batch", 1)]
    assert [column.label for column in table.columns] == ["total", "nmi", "ari", "ilisi"]
    assert [[record and round(record.mean, 3) for record in records] for _, records in table.rows] == [
        [0, 0.1, 0.3, 0.2],
        [0, 0.1, None, None],
    ]


def test_several_methods_are_named(result, info, score):
    task = info("atlas.cells", kind="cell")
    scores = [score(method="leiden", metric="ari"), score(method="kmeans", metric="ari")]
    results = [result(info=task, scores=scores), result(info=task, scores=scores, subset="shared")]
    own, shared = wide_tables(Index(results))
    assert [column.label for column in own.columns] == ["ari, leiden", "ari, kmeans"]
    assert (own.subset, shared.subset) == ("own", "shared")


def test_there_are_none_without_cells(result, info, without):
    assert wide_tables(Index([result(), without(info=info("atlas.cells", kind="cell"))])) == []
