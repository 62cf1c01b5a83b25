import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftembed.errors import InputError
from bftembed.tune.diagnosis.lexicon import COMMON_WORDS, default_lexicons, gene_lexicon, pattern_lexicon, token_counts

SYMBOLS = ["TP53", "EGFR", "HLA-A", "HLA-DRB1", "B2M", "C9orf72", "NKX2-5", "STAT3", "AR", "WAS", "KIT"]


def found(lexicon, text):
    return [text[first:last] for first, last in lexicon.find(text)]


@pytest.fixture(scope="module")
def lexicons(mirror):
    return {lexicon.name: lexicon for lexicon in default_lexicons()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TP53 and (EGFR), STAT3.", ["TP53", "EGFR", "STAT3"]),
        ("HLA-A and HLA-DRB1; NKX2-5", ["HLA-A", "HLA-DRB1", "NKX2-5"]),
        ("TP53-dependent, anti-EGFR, HLA-A-B2M", ["TP53", "EGFR", "HLA-A", "B2M"]),
        ("tp53 TP53BP XTP53 TP532 C9ORF72", []),
        ("AR is short; WAS and KIT are words", []),
        ("JAK/STAT3 C9orf72_x", ["STAT3", "C9orf72"]),
        ("", []),
    ],
)
def test_gene_symbols_are_whole_words_in_their_own_case(text, expected):
    assert found(gene_lexicon(SYMBOLS), text) == expected


def test_the_default_symbols_are_hgncs_without_common_words(lexicons, mirror):
    table = pd.read_csv(mirror / "gene_text" / "hgnc_genes.tsv", sep="\t", dtype=str, keep_default_na=False)
    symbols = set(table["Approved symbol"])
    assert symbols > COMMON_WORDS
    matched = {symbol for symbol in symbols if found(lexicons["genes"], f"of {symbol} in") == [symbol]}
    missed = symbols - matched - COMMON_WORDS
    # Three symbols are not of letters, digits and hyphens.
    assert {symbol for symbol in missed if len(symbol) > 2 and symbol.replace("-", "").isalnum()} == set()


@pytest.mark.parametrize(
    "mutation",
    [
        *("p.V600E", "p.Val600Glu", "p.(Arg248*)", "p.Lys76fs", "p.R213X", "V600E", "L858R", "F508del", "Arg248Trp"),
        *("c.123A>G", "c.35delG", "c.76_77insT", "c.88+1G>T", "c.1521_1523del", "185delAG", "IVS14+1delG"),
        *("E746_A750del", "Q61fs", "rs12345", "ΔF508", "indel", "frameshift"),
    ],
)
def test_mutations_are_found_whole(lexicons, mutation):
    assert found(lexicons["mutations"], f"carriers of {mutation}, and others") == [mutation]


@pytest.mark.parametrize("text", ["H1N1", "B12", "A549 K562 T47D", "S100A4", "page 123", "Boeing 747", "CD62L", "rs1"])
def test_what_only_looks_like_a_mutation_is_none(lexicons, text):
    assert found(lexicons["mutations"], text) == []


def test_pathway_words_and_connectives(lexicons):
    text = "NF-κB signaling activates Wnt; because the Notch of a notch leads to TGF-beta1, it is re-phosphorylated."
    assert found(lexicons["pathway words"], text) == [
        *("NF-κB", "signaling", "Wnt", "Notch", "TGF-beta1", "phosphorylated")
    ]
    assert found(lexicons["causal connectives"], text) == ["activates", "because", "leads to"]
    assert found(lexicons["causal connectives"], "the cause of unrest, thusly; results show") == []


def test_a_bad_pattern_is_named():
    with pytest.raises(InputError, match="lexicon `mine` is no regular expression"):
        pattern_lexicon("mine", "(")


@given(st.data())
def test_every_match_counts_once_in_the_token_of_its_last_character(data):
    lengths = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=12))
    start = data.draw(st.integers(0, 5))
    borders = start + np.cumsum([0, *lengths])
    spans = np.stack([borders[:-1], borders[1:]], axis=1)
    ends = data.draw(st.lists(st.integers(1, int(borders[-1]) + 5), max_size=8))
    matches = np.asarray([[0, end] for end in ends], dtype=np.int64).reshape(-1, 2)
    counts = token_counts(matches, spans)
    expected = [sum(first < end <= last for end in ends) for first, last in spans]
    assert counts.tolist() == expected


def test_counts_of_a_text_without_tokens():
    assert token_counts(np.array([[0, 4]]), np.empty((0, 2), dtype=np.int64)).tolist() == []
