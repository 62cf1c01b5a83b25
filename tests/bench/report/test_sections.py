from bftembed.bench.report.index import Index
from bftembed.bench.report.sections import section_of


def section(results):
    index = Index(results)
    return section_of(index, index.tasks[0])


def test_every_score_is_there_and_equal_baselines_once(result, score):
    scores = [score(0.8), score(0.7, method="forest"), score(0.6, metric="balanced accuracy")]
    found = section([result(embedding=name, scores=scores) for name in "ab"])
    rows = [(row.embeddings, row.kind, row.record.method, row.record.metric, row.is_main) for row in found.scores]
    assert rows[:3] == [
        (["a"], "score", "logistic regression", "auroc", True),
        (["a"], "score", "forest", "auroc", False),
        (["a"], "score", "logistic regression", "balanced accuracy", False),
    ]
    assert rows[6:] == [(["a", "b"], "baseline", "spelling", "auroc", False)]


def test_baselines_on_other_items_are_rows_of_their_own(result):
    found = section([result(), result(embedding="b", items_digest="other", baseline=0.61)])
    assert [row.embeddings for row in found.scores if row.kind == "baseline"] == [["a"], ["b"]]


def test_own_and_shared_scores_are_told_apart(mixed):
    found = section([r for r in mixed if r.task.name == "toy.parity"])
    assert [len(plot.points) for plot in found.plots] == [3, 3]
    assert [p.value for p in found.plots[1].points] == [0.7, 0.6, 0.9]
    assert {row.subset for row in found.scores} == {"own", "shared"}
    assert [row.of for row in found.counts] == [["a", "b"], ["c", "a (shared)", "b (shared)", "c (shared)"]]


def test_coverage_names_the_first_missing(result):
    names = [f"M{i:02}" for i in range(30)]
    (row,) = section([result(found=70, missing=names)]).coverage
    assert row.missing == names[:20]
    assert row.n_more == 10


def test_equal_sentences_are_said_once(result):
    found = section([result(notes=["n"]), result(embedding="b", notes=["n", "m"])])
    assert [(row.text, row.of) for row in found.notes] == [("n", ["a", "b"]), ("m", ["b"])]
    assert [row.text for row in found.removed] == ["without a name: 3"]
    assert [row.text for row in found.counts] == ["True: 40, False: 55, items: 95"]


def test_versions_that_stand_together_are_known(result, info):
    assert section([result(), result(embedding="b", info=info(version=2))]).versions == [1, 2]
