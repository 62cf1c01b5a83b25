import json

import matplotlib as mpl
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from bftembed.cli.diagnose import diagnose
from bftembed.errors import BftembedError

mpl.use("Agg")
app = typer.Typer()
app.command()(diagnose)


def invoke(*arguments):
    result = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    genes = [
        f"BRCA{i} and TP53 encode kinases; V600E leads to growth of cells in culture dishes. " * 4 for i in (1, 2, 3)
    ]
    news = [f"The committee met on day {i} to discuss the long bridge over the wide river. " * 4 for i in range(4)]
    (tmp_path / "genes.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in genes))
    (tmp_path / "news.txt").write_text("\n".join(news))
    (tmp_path / "word.txt").write_text("word\n")
    (tmp_path / "empty.txt").write_text("")
    return tmp_path


def test_files_and_a_built_in_corpus(mirror, tiny_model, files):
    options = ["--model", tiny_model, "--biomedical", "genes", "-o", "out", "--length", 40, "--limit", 4, "--run", 3]
    said = invoke("genes.jsonl", "news.txt", "pubmedqa", *options)
    for text in ("genes", "news", "pubmedqa", "biomedical - general", "causal connectives", "settings", "wrote"):
        assert text in said
    out = files / "out"
    written = {"table.tsv", "enrichment.tsv", "diagnosis.json", "confidence.png"}
    assert {path.name for path in out.iterdir()} == written
    table = pd.read_csv(out / "table.tsv", sep="\t")
    assert set(table["corpus"]) == {"genes", "news", "pubmedqa", "biomedical - general"}
    assert len(table) == 4 * 4 * 3 * 5
    content = json.loads((out / "diagnosis.json").read_text())
    assert content["settings"]["run"] == 3
    assert {row["corpus"]: row["biomedical"] for row in content["corpora"]} == {
        "genes": True,
        "pubmedqa": True,
        "news": False,
    }
    assert (out / "confidence.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["news.txt", "wikki"], "Did you mean `wiki`"),
        (["empty.txt"], "`empty.txt` holds no text"),
        (["word.txt"], "No text of `word` has 32 tokens to predict: the longest has 0"),
        (["news.txt", "--window", "0"], "`window` is 0"),
        (["news.txt", "--low", "1.5"], "`low` has the value 1.5; it has to lie between 0 and 1"),
        (["news.txt", "--density", "2"], "`density` has the value 2"),
        (["news.txt", "--run", "0"], "`run` is 0"),
        (["news.txt", "--biomedical", "gene"], "`gene` is called biomedical but is not one of the corpora: news"),
        (["news.txt", "--length", "9999"], "10000 tokens cannot be read at once"),
        (["news.txt", "--model", "./none"], "There is no model directory `./none`"),
        (["news.txt", "-o", "news.txt/out"], "The directory `news.txt/out` cannot be made"),
    ],
)
def test_bad_input_is_one_sentence(mirror, tiny_model, files, arguments, message):
    defaults = {"--model": str(tiny_model), "-o": "out"}
    options = [text for name, value in defaults.items() if name not in arguments for text in (name, value)]
    with pytest.raises(BftembedError) as caught:
        invoke(*arguments, *options)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
