import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftembed.profiles import clean
from bftembed.profiles.clean import repeated_share

TEXT = "TP53 encodes a transcription factor. It halts the cell cycle after DNA damage, and its loss drives tumours."


@pytest.mark.parametrize(
    ("raw", "issue"),
    [
        (f"<think>Let me see.\n\nHm.</think>\n{TEXT}", "think"),
        (f"Okay, the user wants TP53.\n</think>\n\n{TEXT}", "think"),
        (f"{TEXT}<|im_end|>\n<|endoftext|>", "remnants"),
        (f"assistant\n{TEXT}</s>", "remnants"),
        (f"[INST] {TEXT} [/INST]", "remnants"),
        (f"{TEXT}\n\n## Key references\n1. Smith et al. 2010", "references"),
        (f"{TEXT}\n\n**References:**\n- doi:10.1/abc", "references"),
        (f"{TEXT}\nReferences: Smith 2010; Jones 2011", "references"),
        (f"{TEXT}\n\n10. Further reading\n[1] A book.", "references"),
        (f"{TEXT}\n\nReferences\n1. A. Smith\n2. Jones B, Lee C. Nature 2011;3:4", "references"),
        (f"{TEXT}\n\n### Literature\n* Smith et al. (2010)\n* https://a.org/b", "references"),
        (f"{TEXT}\n\nReferences:", "references"),
        (
            TEXT.replace(" damage,", " damage (PMIDs: 1905840, 8875929),").replace("tumours", "tumours [PubMed ID 12]"),
            "citations",
        ),
        (f"analysisUser wants a gene profile. Keep it brief.assistantfinal{TEXT}", "think"),
        (f"[THINK]Hm. </think> is no end.[/THINK]{TEXT}", "think"),
        (f"commentaryHm.assistantfinal{TEXT}", "think"),
        (f"final{TEXT}", "remnants"),
        (f"<bos>{TEXT}<eos><pad>[EOS]", "remnants"),
        (f"\ufeff{TEXT}\u200b", "remnants"),
        (f"{TEXT}\n\nSources:\n- PMID: 123", "references"),
    ],
)
def test_what_is_not_profile_is_stripped_and_counted(raw, issue):
    cleaned = clean(raw)
    assert cleaned.text == TEXT
    assert cleaned.status == "ok"
    assert cleaned.issues == (issue,)


@pytest.mark.parametrize(
    "end",
    [
        "Literature: it is among the best studied genes, and regulates the cell cycle.\nIt lies on chromosome 17.",
        "References\n1. A. Smith\n\n## Clinical relevance\nMutated in half of all cancers.",
        "Literature\nThe gene was cloned in 1984 and lies on chromosome 17.",
        "Citations: many.",
        "Further reading:\n- It halts the cell cycle.\n- It binds Cyclin A. It binds DNA.",
        "Key references are kept in the nucleus.",
        "Literature: the gene is well studied (2010).",
        "References\nThe gene was found by Smith et al. in 1990.",
        "References\n1. Smith A. (2010) Nature.\n\nFunction\nIt binds DNA and acts in the nucleus.",
        "Sources: muscle and liver.",
    ],
)
def test_content_under_a_heading_like_references_is_kept(end):
    text = f"{TEXT}\n{end}"
    assert clean(text).text == text
    assert clean(text).issues == ()


@pytest.mark.parametrize("reason", ["stop", "length"])
def test_an_unfinished_thought_is_no_profile(reason):
    cleaned = clean(
        "<think>\nOkay, so I need to write a profile of TP53. It is a tumour suppressor.", finish_reason=reason
    )
    assert cleaned.status == "empty"
    assert cleaned.issues == ("think", "unfinished_thought")


def test_answers_are_unwrapped():
    assert clean(f"<think>\nHm.\n</think>\n<answer>\n{TEXT}\n</answer>").text == TEXT
    assert clean(f"<|START_THINKING|>Hm.<|END_THINKING|><|START_RESPONSE|>{TEXT}<|END_RESPONSE|>").text == TEXT


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("A gene \ud83e that acts.", "A gene \ufffd that acts."),
        ("A gene that acts\udd16", "A gene that acts\ufffd"),
        ("A gene \ud83e\udd16 that acts.", "A gene \U0001f916 that acts."),
        ("A gene\x00 that acts.", "A gene\ufffd that acts."),
    ],
)
def test_characters_that_no_file_can_hold_are_replaced_and_counted(raw, text):
    assert clean(raw).text == text
    assert clean(raw).issues == ("characters",)


def test_a_list_cut_at_the_token_limit_loses_its_last_item_only():
    items = "- It halts the cell cycle\n- It binds DNA\n- It is mutated in cancer"
    cleaned = clean(f"{TEXT}\n\n{items}\n- Its part", finish_reason="length")
    assert cleaned.text == f"{TEXT}\n\n{items}"
    assert cleaned.issues == ("cut",)


def test_good_text_stays_as_it_is():
    text = "**Function.** It references no one. Literature-based evidence: 3 < 5.\n\n- item [a](b)\n- item 2"
    assert clean(text) == clean(clean(text).text)
    assert clean(text).text == text
    assert clean(text).issues == ()


def test_a_text_cut_at_the_token_limit_ends_with_its_last_whole_sentence():
    cleaned = clean(TEXT + " Its partners include MD", finish_reason="length")
    assert cleaned.text == TEXT
    assert cleaned.issues == ("cut",)
    assert clean(TEXT, finish_reason="length").issues == ()


def test_a_cut_text_without_a_sentence_is_kept_and_said_so():
    cleaned = clean("It. And then a very long sentence that never came to an end because", finish_reason="length")
    assert cleaned.issues == ("unfinished",)
    assert cleaned.text.endswith("because")


@pytest.mark.parametrize(
    "raw", ["", "  \n ", "<think>and so on without end", "...!", "<|im_end|>", "References:\n1. a"]
)
def test_nothing_left_is_empty(raw):
    assert clean(raw).status == "empty"


@pytest.mark.parametrize(
    "raw",
    [
        "gene " * 40,
        "It is a protein. " * 12,
        "The protein encoded by this gene is a member of the family of proteins that bind. " * 4,
        "!" * 200 + " a",
        "x" * 400,
    ],
)
def test_repetition_over_half_of_the_text_is_degenerate(raw):
    assert clean(raw).status == "degenerate"
    assert clean(raw, generated=False).status == "ok"  # annotation may repeat itself


def test_repetition_of_less_than_half_is_not():
    assert clean(TEXT + " " + TEXT[:50]).status == "ok"


@given(st.lists(st.text(alphabet="abcdefgh", min_size=1, max_size=5), min_size=10, max_size=60))
def test_repeated_share_against_a_direct_count(words):
    n = 5
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    covered = {j for i, gram in enumerate(grams) if gram in grams[:i] for j in range(i, i + n)}
    assert repeated_share(" ".join(words)) == pytest.approx(len(covered) / len(words))


@given(st.text(st.characters(exclude_categories=[])))
def test_whatever_comes_out_can_be_written(text):
    clean(text).text.encode()
    assert "\x00" not in clean(text).text


@given(st.text())
def test_cleaning_twice_changes_nothing_more(text):
    once = clean(text)
    assert clean(once.text).text == once.text
