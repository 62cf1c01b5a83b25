"""The report of results that are made up."""

from bftembed.studies.objectives.report import make_page
from bftembed.studies.page import html_text, markdown_text
from tests.studies.objectives.made import LOSS, configuration, results


def page(config=None, **options):
    config = config or configuration()
    return make_page(config, results(config, **options))


def row(text, *begin):
    return next(line for line in text.splitlines() if line.startswith("| " + " | ".join(begin)))


def test_tables_of_rates_and_of_the_whole():
    text = markdown_text(page(noise=0))
    assert "(chosen)" in row(text, "sft", "4.").split(" | ")[2]  # that at 1e-3 is chosen
    assert "diverged (3 of 3)" in row(text, "dft", "6.")
    assert "At the edge of the grid, so that a better rate may lie beyond it: `bft`, `dft`." in text
    assert len([line for line in text.splitlines() if line.startswith("| bft | ")]) >= 3
    assert row(text, "sft → bft, all steps").count("[") == 4


def test_three_seeds_say_what_they_can_tell():
    assert "exceeds 2.5 of its standard deviations over seeds" in markdown_text(page())


def test_one_seed_has_no_interval_and_says_so():
    text = markdown_text(page(configuration(seeds=[4])))
    assert "Uninformative: there is one seed" in text
    assert "there are no intervals, and no claim about an objective" in text
    assert "[" not in row(text, "sft (0.001)")


def test_all_diverged():
    text = markdown_text(page(loss=LOSS | {"dft": (None, None, None)}))
    assert "| dft (diverged) | - |" in text


def test_the_page_is_whole_and_the_same_each_time():
    one, other = (html_text(page()) for _ in range(2))
    assert one == other
    assert one.count("<svg") == 2
    assert "e.g." not in one or "nan" not in one
    assert "nan" not in markdown_text(page())


def test_medical_questions_and_profiles_stand_in_columns_of_their_own():
    config = configuration(medical={}, profiles={})
    given = results(config)
    for name, run in given.items():
        if not run["diverged"]:
            better = 0.1 * name.startswith("sft")
            run["medical"] = {"items": ["a", "b"], "right": [1.0, 0.0], "gold": [-1.0, -2.0], "among": [-1.0, -1.5]}
            run["profiles"] = {
                group: {
                    "genes": ["A", "B", "C"],
                    **{
                        name: [0.1, 0.2, 0.3]
                        for name in ("percentile, names kept", "chromosome right", "repetition", "words")
                    },
                    "percentile": [0.5 + better, 0.6, None],
                    "ROUGE-L over others": [0.1, 0.0, None],
                }
                for group in ("genes in the corpus", "genes of held-out families")
            }
    text = markdown_text(make_page(config, given))
    head = next(line for line in text.splitlines() if "genes of held-out families: percentile" in line)
    assert "genes in the corpus: percentile" in head
    assert "-0.0500" in text  # of the two genes with an annotation, sft is 0.1 better in one
