import pytest

from bftembed.bench.report.index import Index, is_language, is_ranking
from bftembed.errors import InputError


def test_order_does_not_matter(mixed):
    assert Index(mixed).results == Index(mixed[::-1]).results


def test_two_results_in_one_place_are_refused(result):
    with pytest.raises(InputError, match=r"two results of a in toy\.parity \(own\)"):
        Index([result(), result(fast=True)])


def test_the_newest_metadata_of_a_task_counts(result, info):
    index = Index([result(info=info(title="old")), result(embedding="b", info=info(version=2, title="new"))])
    assert [task.title for task in index.tasks] == ["new"]


def test_same_items_are_shared_ones_or_own_ones_if_equal(mixed):
    index = Index(mixed)
    assert [(name, r.subset) for name, r in index.same_items("toy.parity").items()] == [
        ("a", "shared"),
        ("b", "shared"),
        ("c", "shared"),
    ]
    assert [(name, r.subset) for name, r in index.same_items("toy.error").items()] == [("a", "own"), ("b", "own")]


def test_same_items_leave_out_who_was_scored_on_others(result, info):
    three = [result(embedding=name, items_digest=digest) for name, digest in (("a", "x"), ("b", "y"), ("c", "y"))]
    assert list(Index(three).same_items("toy.parity")) == ["b", "c"]
    assert Index(three[:2]).same_items("toy.parity") == {}
    assert list(Index(three[:1]).same_items("toy.parity")) == ["a"]
    versions = [result(embedding="a"), result(embedding="b", info=info(version=2))]
    assert Index(versions).same_items("toy.parity") == {}


def test_which_tasks_rank(info):
    assert is_ranking(info())
    assert not is_ranking(info(ranked=False))
    assert not is_ranking(info(superseded_by="toy.new"))


def test_a_part_has_who_takes_part_in_it(school, mixed, without, info):
    language = info("exam.letters", kind="language")
    apart = [without(info=language, embedding=name, status="not applicable", subset="own") for name in ("a", "never")]
    index = Index([*school, *mixed, *apart])
    assert index.part(is_language).embeddings == ["base", "spoilt", "tuned"]
    assert index.part(lambda each: not is_language(each)).embeddings == ["a", "b", "c"]
    assert [each.name for each in index.part(is_language).tasks] == [
        "exam.letters",
        "exam.letters.written",
        "exam.small",
    ]
