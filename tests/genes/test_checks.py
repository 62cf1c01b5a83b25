import re
import subprocess

import pytest

from bftembed.errors import BftembedWarning, GeneNameError
from bftembed.genes import check_mapped, map_names
from bftembed.genes.checks import next_to_none

GENES = ["TP53", "CD4", "ENSA", "CAD", "SPP1"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], True),
        (["nope"], True),
        ([None, ""], True),
        (["nope", "p53"], False),
        (["nope"] * 18 + ["p53"] * 2, True),
        (["nope"] * 18 + ["TP53"] * 2, False),
        (["nope"] * 9 + ["p53"] * 11, False),
        (["nope"] * 20 + ["TP53"], True),
        ([None] * 400 + GENES, False),
        (["tp53"] * 30, False),
    ],
)
def test_next_to_none(toy, names, expected):
    assert next_to_none(map_names(names, toy)) is expected


@pytest.mark.parametrize("names", [[], GENES, ["p53"], ["nope"] * 19, [*GENES, *["x"] * 30]])
def test_genes_pass(toy, names):
    check_mapped(map_names(names, toy), toy)


def test_any_list_passes_without_a_table_but_numbers():
    check_mapped(map_names(["a", "b"], None), None)
    with pytest.raises(GeneNameError, match=r"None of 2 .*not '0', '1'.*They are numbers"):
        check_mapped(map_names(["0", "1"], None), None)


@pytest.mark.parametrize("between", ["_", "/", "'"])
def test_both_remedies_of_a_prefix_work(toy, tmp_path, between):
    names = ["mm10_Cd4", "hg19_TP53", "hg19_ENSA", "hg19_CAD", *["mm10_x"] * 16]
    names = [name.replace("_", between) for name in names]
    with pytest.raises(GeneNameError, match=r"prefix .hg19.., others .mm10..") as caught:
        check_mapped(map_names(names, toy), toy)
    _, python, _, sed, _ = str(caught.value).split("`")
    space = {"names": names, "re": re}
    exec(python, space)
    (tmp_path / "names.txt").write_text("\n".join(names))
    made = subprocess.run(["sh", "-c", f"{sed} names.txt"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert space["names"] == made.stdout.split() == ["TP53", "ENSA", "CAD"]


def test_entrez_ids_become_symbols_by_the_remedy(mirror, real_table):
    import bftembed.data

    names = ["7157", "672", "0"]
    with pytest.raises(GeneNameError, match="Entrez ids") as caught:
        check_mapped(map_names(names, real_table), real_table)
    space = {"names": names, "bftembed": bftembed}
    exec(str(caught.value).split("`")[1], space)
    assert space["names"] == ["TP53", "BRCA1"]


@pytest.mark.parametrize("names", [["Cd4", "Cad", "Trp53"], ["ENSMUSG00000059552"], ["Cd4", "Cad", "TP53"]])
def test_lists_of_mouse_genes_are_refused(toy, names):
    with pytest.raises(GeneNameError, match=r"of a mouse: .*pp\.map_genes\(adata, species=\"mouse\", orthologs"):
        check_mapped(map_names(names, toy), toy)


@pytest.mark.parametrize("names", [["Cd4"], ["Cd4", "nope"], ["cd4", "cad"], ["Cd4", "TP53", "ENSA"]])
def test_a_slip_of_case_is_no_mouse(toy, names):
    check_mapped(map_names(names, toy), toy)


def test_a_list_mixed_with_mouse_genes_is_warned_of(toy):
    with pytest.warns(BftembedWarning, match="2 of 5 gene names look like those of a mouse"):
        check_mapped(map_names(["Cd4", "Cad", "TP53", "ENSA", "SPP1"], toy), toy)
