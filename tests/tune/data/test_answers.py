"""What a gene's profile says, and how much of a text stands in another."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftembed.tune.data.answers import gene_profile_text, repeated_shares, tidy_summary

FACTS = {
    "full_name": "tumor protein p53",
    "locus": "17p13.1",
    "gene_type": "protein-coding",
    "summary": "This gene encodes a tumor suppressor. [provided by RefSeq, Jul 2008]",
    "biological_process": "apoptotic process; transport, vesicle",
    "molecular_function": "DNA binding",
}
TEXTS = st.lists(st.text("abAB .,&()", max_size=30), max_size=5)


def test_a_profile_in_sentences():
    assert gene_profile_text("TP53", FACTS) == (
        "TP53 (tumor protein p53) is a human protein-coding gene at 17p13.1. This gene encodes a tumor suppressor. "
        "Biological processes: apoptotic process; transport, vesicle. Molecular functions: DNA binding."
    )


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({}, ""),
        ({"summary": "Unknown function"}, "Unknown function."),
        ({"full_name": "x  y"}, "X (x y) is a human gene."),
        ({"full_name": "x", "gene_type": "unknown"}, "X (x) is a human gene."),
        ({"full_name": "x", "gene_type": "pseudo"}, "X (x) is a human pseudogene."),
        ({"full_name": "x", "gene_type": "ncRNA"}, "X (x) is a human non-coding RNA gene."),
        ({"full_name": "x", "locus": "1p3|1p3|2q1"}, "X (x) is a human gene at 1p3 or 2q1."),
        ({"cellular_component": "nucleus", "summary": ""}, "Cellular components: nucleus."),
    ],
)
def test_what_is_not_known_is_left_out(facts, text):
    assert gene_profile_text("X", facts) == text


@pytest.mark.parametrize(
    ("summary", "tidy"),
    [
        ("It binds DNA. [provided by RefSeq, Jul 2008]", "It binds DNA."),
        ("It binds DNA.[supplied by OMIM, Jan 2010].", "It binds DNA."),
        ("It binds DNA. provided by RefSeq, Jul 2020]. Sequence Note: The RefSeq transcript.", "It binds DNA."),
        ("It hydrolyzes ceramides (Xu et al., 2006.", "It hydrolyzes ceramides."),
        ("It moves granules (Starcevic and Dell'Angelica, 2004.", "It moves granules."),
        ("Its allele is null (summary by Casals et al. (2009).", "Its allele is null."),
        ("It is lost in humans. Stedman et al. (2004).", "It is lost in humans."),
        ("It regulates ataxia proteins (Parfitt et al.). It is old.", "It regulates ataxia proteins. It is old."),
        ("It binds AKT (MIM 164730) and YWHAH.", "It binds AKT and YWHAH."),
        ("Amelogenin (AMELX; MIM 300391) is bound.", "Amelogenin (AMELX) is bound."),
        ("A GTPase (see RHOA; MIM 165390) is bound.", "A GTPase (see RHOA) is bound."),
        ("A receptor (see MIM 190180) is bound.", "A receptor is bound."),
        ("Known (PMIDs: 18621654, 15146457), and rare.", "Known, and rare."),
        ("Found (PubMed IDs: 16344562 and 17623810), later not.", "Found, later not."),
        ("Other localization, here (no localization, PMID:15004329).", "Other localization, here (no localization)."),
        ("It is a kinase. It regulates nuclear factor-&", "It is a kinase."),
        ("nuclear factor &", ""),
        ("It is made of chains.This gene is one.", "It is made of chains. This gene is one."),
        ("A receptor family . It binds , loosely, the factor ( I and II ).", None),
        ("Cancers, etc.. It is rare..", "Cancers, etc. It is rare."),
        ("An enzyme (EC 3.4.11.18) of 2.5 kb in S. cerevisiae", "An enzyme (EC 3.4.11.18) of 2.5 kb in S. cerevisiae."),
        ("One of four, one of which is supplied by v-SNARE.", "One of four, one of which is supplied by v-SNARE."),
        ("", ""),
    ],
)
def test_summaries_are_tidied(summary, tidy):
    assert tidy_summary(summary) == (
        tidy or "A receptor family. It binds, loosely, the factor (I and II)." * (tidy is None)
    )


@given(st.text("aZ .,;&()[]0129", max_size=60))
def test_tidied_texts_end_as_sentences(text):
    tidy = tidy_summary(text)
    assert tidy == "" or tidy.endswith((".", "!", "?"))
    assert not re.search(r"\s{2}|^\s|\s$|\.\.", tidy)


@given(TEXTS, TEXTS)
def test_repeated_shares_against_sets(texts, others):
    def sequences(text):
        words = re.findall(r"\w+", text.lower())
        return {tuple(words[i : i + 2]) for i in range(len(words) - 1)} or {tuple(words)}

    expected = [
        max((len(sequences(text) & sequences(other)) / len(sequences(text)) for other in others), default=0.0)
        for text in texts
    ]
    np.testing.assert_allclose(repeated_shares(texts, others, n=2), expected)


def test_repeated_shares_of_one_other_text_at_a_time():
    text = "one two three four five six"
    assert repeated_shares([text], ["one two three four five", "two three four five six"]).tolist() == [0.5]
    assert repeated_shares([text, "seven"], [f"Zero, {text}!"]).tolist() == [1.0, 0.0]
    assert repeated_shares([text], []).tolist() == [0.0]
    assert repeated_shares([], [text]).shape == (0,)
