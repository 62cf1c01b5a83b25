"""Stated places on chromosomes: sentences of models and of people."""

import pytest

from bftembed.quality.loci import Site, agrees, known_sites, stated_sites

STATED = {
    "CTSL is located on chromosome 9q22.": [Site("9", 0.22, 0.23)],
    "It lies at 17p13.1.": [Site("17", -0.132, -0.131)],
    "on chromosome X": [Site("X")],
    "found on the X chromosome": [Site("X")],
    "on the long arm of chromosome 1": [Site("1", 0.0, 1.0)],
    "on the short arm of human chromosome 12": [Site("12", -1.0, 0.0)],
    "on the q arm of chromosome X": [Site("X", 0.0, 1.0)],
    "on chromosome 19, long arm": [Site("19", 0.0, 1.0)],
    "on chromosome 9, band q21.3, in": [Site("9", 0.213, 0.214)],
    "a chromosomal location of chr7: 7q31": [Site("7"), Site("7", 0.31, 0.32)],
    "clustered at chromosome 6p21.3-p21.2": [Site("6", -0.214, -0.212)],
    "in the 1q23-q25 region": [Site("1", 0.23, 0.26)],
    "at 19pter": [Site("19", -1.0, 0.0)],
    "CTSL. cathepsin L. 9q21.33. protein-coding.": [Site("9", 0.2133, 0.2134)],
}
NOT_STATED = [
    "A pseudogene of this gene is found on chromosome 5.",
    "A related pseudogene, which is also located on chromosome 17, has been identified.",
    "The translocation t(9;22)(q34;q11) fuses it.",
    "Deletions of 22q11 cause a syndrome.",
    "It was originally mapped to chromosome 18.",
    "The mouse gene lies on chromosome 4.",
    "It is a target of miR-21-5p and 14-3-3 proteins.",
    "It condenses chromosome 23.",
    "See C9orf72, X11 and 5-HT.",
    "染色体 9 上的基因 \U0001f9ec",
    "",
]


@pytest.mark.parametrize("text", STATED)
def test_stated(text):
    found = stated_sites(text)
    assert [site.chromosome for site in found] == [site.chromosome for site in STATED[text]]
    for site, expected in zip(found, STATED[text], strict=True):
        assert site[1:] == pytest.approx(expected[1:])


@pytest.mark.parametrize("text", NOT_STATED)
def test_not_stated(text):
    assert stated_sites(text) == []


def test_what_is_said_beside_something_else_counts():
    assert stated_sites("It lies on chromosome 11, and a pseudogene is on chromosome 1.") == [Site("11")]


@pytest.mark.parametrize(
    ("locus", "sites"),
    [
        ("9q21.33", [("9", 0.2133, 0.2134)]),
        ("15q", [("15", 0.0, 1.0)]),
        ("19", [("19", -1.0, 1.0)]),
        ("Xp22.3 or Yp11.3", [("X", -0.224, -0.223), ("Y", -0.114, -0.113)]),
        ("11cen-q22.3", [("11", 0.0, 0.224)]),
        ("12p13-q14", [("12", -0.14, 0.15)]),
        ("18p11.21|18", [("18", -0.1122, -0.1121), ("18", -1.0, 1.0)]),
        ("", []),
        ("unplaced", []),
    ],
)
def test_loci_of_the_table(locus, sites):
    found = known_sites(locus)
    assert [site.chromosome for site in found] == [chromosome for chromosome, *_ in sites]
    for site, (_, low, high) in zip(found, sites, strict=True):
        assert site[1:] == pytest.approx((low, high))


def test_nearly_every_locus_of_the_table_is_read(known):
    loci = [locus for locus in known.facts.frame["locus"] if locus]
    assert len(loci) > 34_000
    assert [locus for locus in loci if not known_sites(locus)] == ["17q12b", "1p356.32"]


@pytest.mark.parametrize(
    ("text", "worth"),
    [
        ("CTSL is located on chromosome 1p36.33.", ("wrong", "wrong")),
        ("CTSL is located on chromosome 1.", ("wrong", "absent")),
        ("CTSL is located on chromosome 9.", ("right", "absent")),
        ("CTSL is located on chromosome 9q21.", ("right", "right")),
        ("CTSL is located on the long arm of chromosome 9.", ("right", "right")),
        ("CTSL is located on chromosome 9q22.", ("right", "wrong")),
        ("CTSL is located on chromosome 9p21.", ("right", "wrong")),
        ("CTSL is a protease.", ("absent", "absent")),
        ("CTSL lies on chromosome 9. The gene is at 9q21.33.", ("right", "right")),
        ("CTSL lies on chromosome 1, not on chromosome 9.", ("wrong", "absent")),  # the first counts
    ],
)
def test_worth_of_what_is_stated_of_ctsl(text, worth):
    assert agrees(stated_sites(text), known_sites("9q21.33")) == worth


def test_a_gene_in_both_pseudoautosomal_regions_may_be_on_either():
    known_both = known_sites("Xp22.3 or Yp11.3")
    assert agrees(stated_sites("on chromosome Y"), known_both)[0] == "right"
    assert agrees(stated_sites("at Yp11.3"), known_both) == ("right", "right")


def test_people_are_seldom_called_wrong(known):
    """RefSeq summaries: what people wrote of chromosomes agrees with the table in 97 % of cases."""
    rows = known.facts.frame.query("summary != '' and locus != ''")
    worth = [agrees(stated_sites(t), known_sites(s))[0] for t, s in zip(rows["summary"], rows["locus"], strict=True)]
    assert worth.count("right") > 800
    assert worth.count("wrong") < 0.03 * worth.count("right")
