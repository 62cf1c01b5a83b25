from hypothesis import given
from hypothesis import strategies as st

from bftembed.quality.words import four_grams, padded, words


def test_greek_letters_signs_and_spelling():
    assert words("TGF-\u03b21 (NF-\u03baB) TUMOUR\u2014\u03b12") == [
        "tgf",
        "beta",
        "1",
        "nf",
        "kappa",
        "b",
        "tumor",
        "alpha",
        "2",
    ]
    assert words("ﬁbrin Ⅱ") == ["fibrin", "ii"]  # ligature and Roman numeral of their own
    assert words("  ... ") == []


def test_whole_words_are_found():
    assert padded(["tumor", "protein"]) in padded(words("the tumor protein p53"))
    assert padded(["tumor"]) not in padded(words("tumors"))


@given(st.text())
def test_any_text_has_words_without_blanks(text):
    found = words(text)
    assert all(word and not any(map(str.isspace, word)) for word in found)
    assert len(four_grams(found)) == max(len(found) - 3, 0)
