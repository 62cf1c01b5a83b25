import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftembed.data._texts import read_gmt, read_json, read_jsonl, read_lines
from bftembed.errors import DataError

GENE = st.text(alphabet="ABCxyz019-.@/", min_size=1, max_size=8)
NAME = st.text(alphabet="ABC abc'(:)_", min_size=1, max_size=12).filter(lambda name: name == name.strip())


@given(sets=st.dictionaries(NAME, st.lists(GENE, max_size=6), max_size=5))
def test_gmt_round_trip(tmp_path_factory, sets):
    path = tmp_path_factory.mktemp("gmt") / "sets.gmt"
    path.write_text("".join("\t".join([name, "", *genes]) + "\n" for name, genes in sets.items()))
    assert read_gmt(path) == sets


def test_gmt_leaves_out_empty_fields_and_lines(tmp_path):
    path = tmp_path / "sets.gmt.gz"
    path.write_bytes(gzip.compress(b"one\thttp://x\tTP53\t\tNA\t\r\n\n"))
    assert read_gmt(path) == {"one": ["TP53", "NA"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("one\td\tA\none\td\tB\n", "Line 2 of .* repeats the set 'one'"),
        ("just text\n", "Line 1 of .* is not `name<tab>"),
    ],
)
def test_gmt_that_is_none(tmp_path, text, message):
    path = tmp_path / "sets.gmt"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_gmt(path)


def test_json_and_lines(tmp_path):
    path = tmp_path / "x"
    path.write_text(json.dumps({"gène": [1, None]}), encoding="utf-8")
    assert read_json(path) == {"gène": [1, None]}
    path.write_text('{"a": "x\u2028y"}\n\n[2]\n', encoding="utf-8")
    assert read_jsonl(path) == [{"a": "x\u2028y"}, [2]]
    path.write_text("\ufeffone\n\ntwo\n", encoding="utf-8")
    assert read_lines(path) == ["one", "", "two"]
