from bftembed.bench.report.comparisons import compare_all
from bftembed.bench.report.index import Index
from bftembed.bench.report.language import mode_tables


def tables_of(results):
    index = Index(results)
    return mode_tables(index, compare_all(index))


def test_modes_never_share_a_column(school, mixed):
    tables = tables_of([*school, *mixed])
    assert [each.mode for each in tables] == ["rank", "generate"]
    assert [[column.info.name for column in each.ranked.columns] for each in tables] == [
        ["exam.letters"],
        ["exam.letters.written"],
    ]
    assert [column.info.name for column in tables[0].unranked.columns] == ["exam.small"]
    assert [[table.info.name for table in each.controls] for each in tables] == [
        ["exam.letters", "exam.small"],
        ["exam.letters.written"],
    ]


def test_each_mode_has_the_models_that_take_part_in_it(school, result, info):
    written = [each for each in school if each.embedding != "base" or each.task.mode == "generate"]
    texts = result(info=info("quality.texts", kind="language"), embedding="store")
    tables = tables_of([*written, texts])
    assert [each.models for each in tables] == [["spoilt", "tuned"], ["base", "spoilt", "tuned"], ["store"]]
    assert tables[2].title == "Texts"


def test_without_language_tasks_there_are_none(mixed):
    assert tables_of(mixed) == []
