"""Prompts say what they should, whatever stands in texts and names."""

import pytest

from bftembed.bench.language.perturbations.evidence import Outcome
from bftembed.bench.language.perturbations.prompts import Asked, Wording

ASKED = Asked("P", "G", "K562")


def wording(effect="de", perturbation="crispri", pert="About P.", gene="About G."):
    return Wording(effect, perturbation, {"P": pert}, {"G": gene})


def test_bare_questions():
    assert wording().prompt(ASKED) == (
        "The gene P is knocked down by CRISPR interference in K562 cells. Does the expression of the gene G change, "
        "compared with control cells? Answer with one word: yes or no."
    )
    assert wording("dir", "drug").prompt(Asked("aspirin", "G", "")) == (
        "Human cells are treated with aspirin. The expression of the gene G changes, compared with control cells. Does "
        "it increase or decrease? Answer with one word: increase or decrease."
    )


def test_a_cell_line_that_is_not_known_has_no_sentence():
    assert len(wording().prompt(ASKED, described=True).split("\n\n")[0].splitlines()) == 3
    for cell in ("my line", ""):
        lines = wording().prompt(ASKED._replace(cell=cell), described=True).split("\n\n")[0].splitlines()
        assert lines == ["Perturbed gene P: About P.", "Read-out gene G: About G."]
    for cell in ("RPE1", "hTERT", "HepG2/C3A", "Hs 766T", "PANC-1", "rpe-1"):
        known = f"\n{cell} is a" in wording().prompt(ASKED._replace(cell=cell), described=True)
        assert known == (cell != "hTERT")


def test_a_gene_without_a_text_is_said_to_have_none_and_of_a_drug_nothing_is_said():
    prompt = wording(pert="", gene=" ").prompt(ASKED, described=True)
    assert prompt.startswith("Perturbed gene P: no summary is known.\nRead-out gene G: no summary is known.\nK562 is")
    assert wording(perturbation="drug", pert="").prompt(ASKED, described=True).startswith("Read-out gene G: About G.\n")
    assert wording(perturbation="drug").prompt(ASKED, described=True).startswith("Drug P: About P.\n")


@pytest.mark.parametrize("text", ["{gene} binds {0} and {}", "100 %s {{x}} \\1 $", "{pert.__class__}"])
def test_braces_and_other_marks_stay_what_they_are(text):
    asked = Asked(f"P {text}", f"G {text}", text)
    words = Wording("dir", "crispri", {asked.pert: text}, {asked.gene: f"two\n lines of\t{text}"})
    prompt = words.prompt(asked, described=True, outcomes=[Outcome(text, text, "", True)], steps=True)
    assert f"Perturbed gene P {text}: {text}\nRead-out gene G {text}: two lines of {text}\n" in prompt
    assert f"- knocking down {text}: {text} rose" in prompt
    assert f"1. What does P {text} do in these cells" in prompt


@pytest.mark.parametrize(
    ("effect", "perturbation", "label", "line"),
    [
        ("de", "crispri", True, "- knocking down Q: H changed"),
        ("de", "crispri", False, "- knocking down Q: H did not change"),
        ("dir", "drug", True, "- treatment with Q: H rose"),
        ("dir", "drug", False, "- treatment with Q: H fell"),
    ],
)
def test_outcomes(effect, perturbation, label, line):
    outcome = Outcome("Q", "H", "RPE1", label)
    words = wording(effect, perturbation)
    assert f"\n\nMeasured in RPE1 cells:\n{line}\n\n" in words.prompt(ASKED, described=True, outcomes=[outcome])
    mixed = words.prompt(ASKED, outcomes=[outcome, outcome._replace(cell="K562")])
    assert mixed.startswith(
        f"Measured:\n{line.replace('Q:', 'Q in RPE1 cells:')}\n{line.replace('Q:', 'Q in K562 cells:')}"
    )
    assert words.prompt(ASKED, outcomes=[outcome._replace(cell="")]).startswith(f"Measured:\n{line}\n\n")


@pytest.mark.parametrize(("effect", "n"), [("de", 5), ("dir", 7)])
def test_steps_end_with_the_line_that_is_read(effect, n):
    prompt = wording(effect).prompt(ASKED, steps=True)
    assert f"\n{n}. Weigh" in prompt
    yes, no = (option.strip() for option in wording(effect).options)
    assert prompt.endswith(f"`Answer: {yes}`, `Answer: {no}`, or `Answer: unknown` if this cannot be told.")
    assert "one word" not in prompt


@pytest.mark.parametrize("perturbation", ["crispri", "drug"])
def test_the_prior_names_nothing(perturbation):
    prompt = wording("dir", perturbation).prior()
    assert "increase or decrease" in prompt
    assert not {"P", "G", "K562"} & set(prompt.replace(".", " ").split())
