import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftembed.naming import Named, clean_name, parse_name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Process: DNA repair\nConfidence: 0.85\nBecause", ("DNA repair", 0.85, False)),
        ("**Process:** DNA repair\n**Confidence:** 0.9", ("DNA repair", 0.9, False)),
        ("## **Process**: *DNA repair*.\n", ("DNA repair", None, False)),
        ("Here is my answer.\n\n- PROCESS : DNA  repair (0.7)\nProcess: globins", ("DNA repair", 0.7, False)),
        ("Process: DNA repair (NER) [confidence: 85 %]", ("DNA repair (NER)", 0.85, False)),
        ("Process: DNA repair (GO:0006281)\nConfidence score:\n\n1.00", ("DNA repair (GO:0006281)", 1.0, False)),
        ("\nDNA repair\nof many genes", ("DNA repair", None, False)),
        ("The genes of this set are known to have many and quite different roles in cells.", ("none", None, False)),
        ("Process:\nConfidence: 0.2", ("none", 0.2, False)),
        ("Process: (unclear)", ("none", None, False)),
        ("", ("none", None, False)),
        ("<think>Process: a guess\n0.1</think>\nProcess: DNA repair\nConfidence: 0.6", ("DNA repair", 0.6, False)),
        ("<think>Process: a guess\nConfidence: 0.1", ("none", None, False)),
        ("Process: System of unrelated proteins\nConfidence: 0.00", ("System of unrelated proteins", 0.0, True)),
        ("Process: No clear process", ("No clear process", None, True)),
        ("Process: no single function, apparently", ("no single function, apparently", None, True)),
        ("Process: DNA repair\nThe genes are unrelated.", ("DNA repair", None, False)),
    ],
)
def test_answers(text, expected):
    assert parse_name(text) == Named(*expected)


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("Confidence: 0.00-1.00", None),
        ("Confidence: 0 to 1", None),
        ("Confidence: 85", None),
        ("Confidence: high", None),
        ("Confidence: -0.5", None),
        ("Confidence: high\nConfidence: .8", 0.8),
        ("Confidence: 8/10", 0.8),
        ("Confidence: 0,75", 0.75),
        ("confidence 95%", 0.95),
        ("My confidence is 0.4, since 3 of 5 genes fit", 0.4),
        ("Confidence: 3 of 5 genes fit\n1. TP53", None),
    ],
)
def test_confidence(words, value):
    assert parse_name(f"Process: DNA repair\n{words}").confidence == pytest.approx(value)


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("Nucleotide-excision repair, DNA incision", "nucleotide excision repair dna incision"),
        ('PI3K/AKT "signaling"  (mTOR [and so on])', "pi3k akt signaling"),
        ("DNA_repair", "dna repair"),
        ("(GO:0006281)", "none"),
        ("", "none"),
    ],
)
def test_cleaned_names(name, cleaned):
    assert clean_name(name) == cleaned


@given(st.text(max_size=80))
def test_any_text_is_read(text):
    named = parse_name(text)
    assert named.name
    assert named.confidence is None or 0 <= named.confidence <= 1
    assert clean_name(clean_name(text)) == clean_name(text)
