import pytest

from bftembed.errors import InputError
from bftembed.quality.known import known_genes


def test_what_the_tables_say(known):
    assert known.of("CTSL")["locus"] == "9q21.33"
    assert {"cathepsin L", "cathepsin L1"} <= set(known.full_names["CTSL"])
    assert {"CTSL", "CTSL1", "CATL"} <= set(known.symbols["CTSL"])
    assert known.annotations["CTSL"].startswith("CTSL. cathepsin L. 9q21.33.")
    assert len(known.annotations) > 18_000


def test_names_of_many_genes_are_no_names(known):
    owners = {}
    for gene, names in known.full_names.items():
        for name in names:
            owners.setdefault(name.casefold(), set()).add(gene)
    assert max(map(len, owners.values())) <= 3
    assert not any(name == "protein" for name in owners)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("CTSL, the cathepsin-L gene (Ctsl1, CATL), cuts.", ", the gene ( , ), cuts."),
        ("major  excreted protein", ""),
        ("CTSLX and cathepsins stay", "CTSLX and cathepsins stay"),
        ("", ""),
        ("CTSL", ""),
        ("基因 CTSL \U0001f9ec", "基因 \U0001f9ec"),
    ],
)
def test_masked(text, masked, known):
    assert known.masked(text, "CTSL").split() == masked.split()


def test_a_gene_that_no_table_knows_is_masked_by_its_symbol(known):
    assert known.masked("The NOGENE-1 gene.", "NOGENE1").split() == ["The", "gene."]


def test_missing_tables_are_named_with_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path))
    monkeypatch.delenv("BFTEMBED_MIRROR", raising=False)
    with pytest.raises(InputError, match="bftembed data fetch genes"):
        known_genes()
