from bftembed.bench.report.index import Index
from bftembed.bench.report.metric_tables import metric_tables


def test_metrics_stand_in_the_order_of_the_task(result, info, score):
    task = info("atlas.cells", kind="cell", main_score="total")
    names = ["total", "NMI", "iLISI", "ARI"]
    full = [score(0.1 * i, method="scib", metric=name) for i, name in enumerate(names)]
    results = [result(info=task, scores=full), result(info=task, embedding="b", scores=full[:2]), result()]
    (table,) = metric_tables(Index(results))
    assert table.columns == names
    assert [[record and round(record.mean, 3) for record in records] for _, records in table.rows] == [
        [0, 0.1, 0.2, 0.3],
        [0, 0.1, None, None],
    ]


def test_several_methods_are_named(result, info, score):
    task = info("atlas.cells", kind="cell")
    scores = [score(method="leiden", metric="ari"), score(method="kmeans", metric="ari")]
    results = [result(info=task, scores=scores), result(info=task, scores=scores, subset="shared")]
    own, shared = metric_tables(Index(results))
    assert own.columns == ["ari, leiden", "ari, kmeans"]
    assert (own.subset, shared.subset) == ("own", "shared")


def test_there_are_none_without_cells(result, info, without):
    assert metric_tables(Index([result(), without(info=info("atlas.cells", kind="cell"))])) == []
