from bftembed.bench.report.index import Index
from bftembed.bench.report.ranks import mean_ranks
from bftembed.bench.report.tables import collect


def means_of(ranks):
    return {row.embedding: row.mean for row in ranks.rows}


def test_only_embeddings_with_every_ranked_task(result, info, without):
    error = info("toy.error", main_score="mse", higher_is_better=False)
    results = [result(embedding=name, mean=mean) for name, mean in (("a", 0.9), ("b", 0.8), ("c", 0.99))]
    results += [result(info=error, embedding=name, mean=mean) for name, mean in (("a", 0.1), ("b", 0.2))]
    results += [without(info=error, embedding="c"), without(info=info("toy.broken"), embedding="a")]
    results += [result(info=info("toy.noisy", ranked=False), embedding="b", mean=1.0)]
    (ranks,) = mean_ranks(Index(results))
    assert ranks.family == "toy"
    assert ranks.tasks == ["toy.error", "toy.parity"]
    assert means_of(ranks) == {"a": 1.0, "b": 2.0, "c": None}
    assert ranks.rows[2].lacks == ["toy.error"]


def test_families_are_ranked_apart(result, info):
    other = info("other.task")
    results = [result(embedding=name, mean=mean) for name, mean in (("a", 0.9), ("b", 0.8))]
    results += [result(info=other, embedding=name, mean=mean) for name, mean in (("b", 0.7), ("c", 0.6))]
    ranks = mean_ranks(Index(results))
    assert [each.family for each in ranks] == ["other", "toy"]
    assert [means_of(each) for each in ranks] == [{"a": None, "b": 1.0, "c": 2.0}, {"a": 1.0, "b": 2.0, "c": None}]


def test_ties_share_their_rank(result):
    (ranks,) = mean_ranks(Index([result(embedding=name, mean=0.8) for name in "ab"]))
    assert means_of(ranks) == {"a": 1.5, "b": 1.5}


def test_one_embedding_is_not_ranked(result):
    assert not mean_ranks(Index([result()]))
    assert not mean_ranks(Index([]))


def test_scores_on_other_items_are_not_ranked(result):
    assert not mean_ranks(Index([result(), result(embedding="b", items_digest="other")]))


def test_modes_and_presets_of_language_models_are_ranked_apart(school):
    index = Index(school)
    assert [each.family for each in mean_ranks(index)] == ["exam, generate, cot", "exam, rank, chat"]
    assert means_of(mean_ranks(index)[1]) == {"base": 2.0, "spoilt": 3.0, "tuned": 1.0}


def test_language_models_and_embeddings_are_never_ranked_together(school, mixed):
    report = collect([*school, *mixed])
    assert [row.embedding for ranks in report.ranks for row in ranks.rows] == ["a", "b", "c"]
    assert {row.embedding for mode in report.language for ranks in mode.ranks for row in ranks.rows} == {
        "base",
        "spoilt",
        "tuned",
    }
