import pytest

from bftembed.quality.families import family_evidence, stated_family, supports


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("ACOX1 is a transcription factor that binds DNA.", ("class", "transcription factor")),
        ("It encodes a serine/threonine protein kinase.", ("class", "kinase")),
        ("It is a receptor tyrosine kinase.", ("class", "kinase")),
        ("It encodes a G protein-coupled receptor for glucagon.", ("class", "G protein-coupled receptor")),
        ("The protein functions as a voltage-gated ion channel.", ("class", "channel")),
        ("SOD3 is a serpin that detoxifies.", ("class", "serine protease inhibitor")),
        ("It is a small noncoding RNA molecule.", ("class", "RNA")),
        ("It is a kinase inhibitor.", None),
        ("It is a regulator of a kinase.", None),
        ("It interacts with kinases and binds a receptor.", None),
        ("It is a member of the peptidase C1 family.", ("family", "peptidase C1")),
        ("It belongs to the ATP-binding cassette (ABC) transporter superfamily.", ("family", "ATP-binding cassette")),
        ("A member of the superfamily of ATP-binding transporters.", ("family", "ATP-binding transporters")),
        ("It is a member of the protein family and a kinase.", None),
        ("", None),
    ],
)
def test_stated_families(text, stated):
    assert stated_family(text) == stated


def test_the_first_counts():
    assert stated_family("It is a kinase. It is a member of the cyclin family.") == ("class", "kinase")


def test_a_family_that_repeats_the_symbol_is_none():
    assert stated_family("It is a member of the SLC family.", "SLC13A3") is None
    assert stated_family("It is a member of the SLC family.", "NADC3") == ("family", "SLC")


def test_evidence():
    oxidase = family_evidence(
        {
            "molecular_function": "FAD binding; protein kinase binding; acyl-CoA oxidase activity",
            "summary": "An enzyme.",
        },
        ["acyl-CoA oxidase 1"],
        ["ACOX1"],
    )
    assert supports(oxidase, ("class", "oxidoreductase"))
    assert supports(oxidase, ("family", "acyl-CoA oxidase"))
    assert not supports(oxidase, ("class", "kinase"))  # what it binds
    assert not supports(oxidase, ("class", "transcription factor"))
    assert not supports(oxidase, ("family", "Wnt ligand"))
    spoken_of = family_evidence({"summary": "It activates a kinase."}, ["activator 1"], [])
    assert not supports(spoken_of, ("class", "kinase"))
    said = family_evidence({"summary": "The protein is a kinase."}, ["activator 1"], [])
    assert supports(said, ("class", "kinase"))


def test_own_facts_support_what_others_do_not(known):
    """Families of RefSeq summaries, by names and GO terms alone (the summary left out): own gene, and another one."""
    rows = known.facts.frame.query("summary != '' and molecular_function != ''").sample(2000, random_state=0)
    genes, texts = rows["symbol"].tolist(), rows["summary"]

    def evidence(gene):
        facts = {name: text for name, text in known.of(gene).items() if name != "summary"}
        return family_evidence(facts, known.full_names.get(gene, ()), known.symbols.get(gene, ()))

    stated = [stated_family(text, gene) for gene, text in zip(genes, texts, strict=True)]
    chosen = [i for i, family in enumerate(stated) if family]
    own, others = ([supports(evidence(genes[i - shift]), stated[i]) for i in chosen] for shift in (0, 1))
    assert len(chosen) > 500
    assert sum(own) > 0.8 * len(chosen)
    assert sum(others) < 0.15 * len(chosen)
