import pytest

from bftembed.quality.full_names import has_name, right_name, stated_names

CATHEPSIN = ("cathepsin L", "cathepsin L1", "major excreted protein")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("CTSL (cathepsin L) is a protease.", ["cathepsin L"]),
        ("The CTSL gene (Cathepsin L) is", ["Cathepsin L"]),
        ("The human gene encoding cathepsin L (CTSL) is", ["cathepsin L"]),
        ("CTSL stands for catalytic subunit of lysine.", ["catalytic subunit of lysine"]),
        ("CTSL, also known as cathepsin L, is", ["cathepsin L"]),
        ("**CTSL** (Cytotoxic T-cell serine ligand, on 9q)", ["Cytotoxic T-cell serine ligand"]),
        ("Mutations cause Papillon-Lefevre syndrome (CTSL).", []),
        ("CTSL (MIM 116880) and CTSL (CATL)", []),
        ("CTSLX (some other name) is", []),
        ("A protease of lysosomes.", []),
        ("CTSL", []),
    ],
)
def test_stated_names(text, names):
    assert stated_names(text, "CTSL") == names


@pytest.mark.parametrize("symbol", ["H2A(Z)", "HLA-A", "NKX2-5", "A.B*"])
def test_symbols_with_signs_are_taken_literally(symbol):
    assert stated_names(f"{symbol} (some factor name) acts.", symbol) == ["some factor name"]


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("cathepsin L", True),
        ("Cathepsin-L protease", True),
        ("major excreted protein", True),
        ("cathepsin B", False),  # another member of the family
        ("cathepsin L2", False),
        ("cytotoxic T-lymphocyte serine", False),
        ("protein", False),
    ],
)
def test_right_names(name, right):
    assert right_name(name, CATHEPSIN) == right


def test_names_are_found_word_for_word():
    assert has_name("encodes CATHEPSIN-L, which", CATHEPSIN)
    assert not has_name("encodes cathepsins", CATHEPSIN)
    assert not has_name("a short one", ["one"])
    assert has_name("made of keratin", ["keratin"])
    assert not has_name("text", [])


def test_people_are_seldom_called_wrong(known):
    """Full names that RefSeq summaries give by symbol: 98 % are right by the tables."""
    rows = known.facts.frame.query("summary != ''").iloc[::3]
    right = wrong = 0
    for gene, text in zip(rows["symbol"], rows["summary"], strict=True):
        names, said = known.full_names.get(gene, ()), stated_names(text, gene)
        if has_name(text, names) or (said and right_name(said[0], names)):
            right += 1
        elif said and names:
            wrong += 1
    assert right > 250
    assert wrong < 0.03 * right
