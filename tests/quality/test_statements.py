import pytest

from bftembed.quality.statements import STATEMENTS, statements


def test_the_published_answer_about_ctsl(known):
    """Its kind of sentence: the wrong chromosome, told with certainty."""
    text = "CTSL (Cathepsin L) is located on chromosome 1p36.33 and encodes a lysosomal cysteine protease."
    found = statements(text, "CTSL", known)
    assert [found[name] for name in STATEMENTS] == ["wrong", "wrong", "right", "right"]
    assert found["said_family"] == "protease"
    assert all(found[f"{name}_in_prompt"] is None for name in STATEMENTS)


def test_all_wrong(known):
    text = "CTSL (cytotoxic serine ligand) is a transcription factor on chromosome X."
    found = statements(text, "CTSL", known, prompt="Describe the human gene CTSL.")
    assert [found[name] for name in STATEMENTS] == ["wrong", "absent", "wrong", "wrong"]
    assert found["said_name"] == "cytotoxic serine ligand"
    assert not any(found[f"{name}_in_prompt"] for name in STATEMENTS)


def test_facts_of_the_prompt_are_told_apart(known):
    prompt = "- full name: cathepsin L\n- locus: 9q21.33\n- summary: " + known.of("CTSL")["summary"]
    found = statements("", "CTSL", known, prompt=prompt)
    assert all(found[f"{name}_in_prompt"] for name in STATEMENTS)
    assert [found[name] for name in STATEMENTS] == ["absent"] * 4
    found = statements("", "CTSL", known, prompt="The locus is 9q21.33")
    assert [found[f"{name}_in_prompt"] for name in STATEMENTS] == [True, True, False, False]


@pytest.mark.parametrize("gene", ["NOGENE", "Trp53", "\u57fa\u56e0"])
def test_of_a_gene_that_no_table_knows_nothing_is_judged(gene, known):
    found = statements(f"{gene} (strange full name) is a kinase on chromosome 3.", gene, known)
    assert [found[name] for name in STATEMENTS] == ["absent"] * 4
