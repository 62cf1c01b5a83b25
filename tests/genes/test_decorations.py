import re

import pytest

from bftembed.genes.decorations import find_decoration


@pytest.mark.parametrize(
    ("names", "pattern", "left"),
    [
        (["GRCh38_TP53", "GRCh38_CD4"], "^GRCh38_", ["TP53", "CD4"]),
        (["a.b+c_TP53", "a.b+c_CD4"], r"^a\.b\+c_", ["TP53", "CD4"]),
        (["s1_TP53", "s2_CD4", "s13_ENSA"], "^s[0-9]+_", ["TP53", "CD4", "ENSA"]),
        (["TP53 [Homo sapiens]", "CD4 [Homo sapiens]"], r" \[Homo sapiens\]$", ["TP53", "CD4"]),
        (["ENSG00000141510.3_TP53", "ENSG00000084774.12_CAD"], r"^ENSG[0-9]+\.[0-9]+_", ["TP53", "CAD"]),
    ],
)
def test_the_pattern_leaves_the_gene(toy, names, pattern, left):
    found = find_decoration(names, toy)
    assert found.pattern == pattern
    assert [re.sub(pattern, "", name) for name in names] == left
    assert found.text in names[0]
    assert found.kind == ("prefix" if names[0].startswith(found.text) else "suffix")


@pytest.mark.parametrize(
    "names",
    [[], ["nope", "peak_1"], ["chr1:10-20", "chr2:10-20"], ["x_TP53", *"abcdefghij"], [f"TP53_{i}" for i in range(9)]],
)
def test_what_is_no_common_decoration_is_none(toy, names):
    assert find_decoration(names, toy) is None


def test_genes_as_they_are_written_go_before_those_of_a_mouse(toy):
    names = ["mm10_Cd4", "mm10_Tp53", "mm10_Cad", "GRCh38_TP53", "GRCh38_ENSA"]
    found = find_decoration(names, toy)
    assert (found.text, found.others) == ("GRCh38_", ("mm10_",))


def test_long_lists_are_sampled(toy):
    names = [f"GRCh38_{symbol}-{i}" for i in range(3000) for symbol in ("TP53", "CD4", "x")]
    assert find_decoration(names, toy) is None  # two decorations at once
    assert find_decoration([f"GRCh38_{s}{i}" for i in range(5000) for s in ("OR", "TP")] + ["GRCh38_TP53"], toy) is None
