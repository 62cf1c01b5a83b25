from bftembed.bench.report.index import Index
from bftembed.bench.report.provenance import provenance_of, timings_of


def test_what_is_equal_is_said_once(result, without):
    results = [result(), result("toy.two"), without("toy.three", description={}, data={}, versions={})]
    found = provenance_of(Index(results))
    (each,) = found.embeddings
    assert each.specs == ["a:spec"]
    assert each.descriptions == [('{\n "dim": 8,\n "kind": "a"\n}', 2)]
    assert found.data == [("toy/file.csv", [("ab" * 32, 2)])]
    assert found.versions == [("numpy", [("2.0", 2)])]
    assert found.differing == []


def test_what_differs_is_said(result):
    other = {"description": {"kind": "z"}, "versions": {"numpy": "2.1"}, "data": {"toy/file.csv": "cd" * 32}}
    assert provenance_of(Index([result(), result("toy.two", **other)])).differing == [
        "a was described in 2 ways: its results are not of one embedding.",
        "toy/file.csv was read with 2 different contents.",
        "numpy differs between results: 2.0 (1 result), 2.1 (1 result).",
    ]


def test_timings(mixed):
    rows = {(row.task, row.embedding): row for row in timings_of(Index(mixed))}
    row = rows["toy.parity", "a"]
    assert (row.seconds, row.embed_seconds, row.shared_seconds) == (1.5, 0.5, 1.5)
    assert rows["toy.error", "a"].shared_seconds is None
    assert ("atlas.cells", "c") not in rows
