import pytest

from bftembed.cli._gene_sets import read_gene_sets
from bftembed.errors import InputError


def test_gmt_has_a_description_and_other_files_have_not(tmp_path):
    (tmp_path / "a.gmt").write_text("T cells\thttp://x\tCD3E\tCD3D\n\nB cells\t\tCD19\n")
    (tmp_path / "b.tsv").write_text("# sets\nT cells\tCD3E\tCD3D\nB cells\tCD19\t\n")
    expected = {"T cells": ["CD3E", "CD3D"], "B cells": ["CD19"]}
    assert read_gene_sets(tmp_path / "a.gmt") == read_gene_sets(tmp_path / "b.tsv") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"T cells\tCD3E\nB cells\n", "line 2 has no genes"),
        (b"T\tCD3E\nT\tCD3D\n", "line 2 names the set `T` again"),
        (b"\n", "no gene sets"),
        (b"\xff\xfe\x00", "no UTF-8 text"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, message):
    (tmp_path / "a.txt").write_bytes(text)
    with pytest.raises(InputError, match=message):
        read_gene_sets(tmp_path / "a.txt")
