"""``bftembed profiles`` and ``embed --profiles``, in this process."""

import re

import anndata
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from bftembed.cli.main import app
from bftembed.engines import Sampling, TransformersEngine
from bftembed.errors import InputError
from bftembed.profiles import Entity, ProfileStore, write_profiles


def invoke(*arguments):
    """Run in this process; errors of the package come out as they are."""
    result = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def no_tables(monkeypatch, tmp_path):
    """A cache of its own and no mirror: gene tables are not available."""
    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BFTEMBED_MIRROR", raising=False)


@pytest.fixture
def store(tiny_model, tmp_path):
    """Texts of three genes by two recipes of one model, one of them with facts, and a gene set's."""
    engine = TransformersEngine(str(tiny_model))
    genes = [Entity("gene", "TP53", {"summary": "It acts."}), Entity("gene", "CD3E"), Entity("gene", "NA")]
    with ProfileStore(tmp_path / "s.sqlite") as opened:
        for most in (6, 8):
            write_profiles(genes, engine, store=opened, sampling=Sampling(max_new_tokens=most, temperature=1.0))
        write_profiles([Entity("gene_set", "S")], engine, store=opened, sampling=Sampling(6, temperature=1.0))
        return opened


@pytest.fixture
def recipes(store):
    """Beginning of each recipe's digest by its token limit, for genes."""
    with ProfileStore(store.path) as opened:
        return {int(made.sampling["max_new_tokens"]): digest[:8] for digest, made in opened.recipes().items()}


def test_stats_and_show_say_how_texts_were_made(store, recipes):
    said = invoke("profiles", "stats", "--store", store.path)
    line = "transformers tiny, float32; template gene; at most 6 tokens, temperature 1"
    assert f"{recipes[8]}  {line.replace('6', '8')}" in said
    assert line in said
    assert "3 x gene: 3 ok" in said
    assert "facts in 1 prompts" in said
    shown = invoke("profiles", "show", "tp53", "--store", store.path)
    assert shown.count("--- gene TP53: ok (cut at the token limit") == 2
    assert line in shown
    only = invoke("profiles", "show", "TP53", "--store", store.path, "--recipe", recipes[8])
    assert only.count("---") == 1


def test_an_unknown_name_names_the_nearest(store):
    with pytest.raises(InputError, match=r"no profile of `CD3F`\. Did you mean `CD3E`\?"):
        invoke("profiles", "show", "CD3F", "--store", store.path)


def test_export_of_a_part_in_the_form_that_is_asked_for(store, recipes, tmp_path):
    out, names = tmp_path / "out.csv", tmp_path / "names.txt"
    names.write_text("NA\nTP53\n")
    options = ["--kind", "gene", "--recipe", recipes[8], "--names", names, "--store", store.path]
    assert "wrote 2 names" in invoke("profiles", "export", out, *options)
    assert pd.read_csv(out, keep_default_na=False)["entity"].tolist() == ["NA", "TP53"]
    with pytest.raises(InputError, match="exported to"):
        invoke("profiles", "export", tmp_path / "out.xlsx", "--store", store.path)


def test_the_summary_of_a_run_is_printed_once(tiny_model, no_tables, tmp_path, caplog):
    names = tmp_path / "names.txt"
    names.write_text("TP53\n")
    options = ["--engine", f"transformers:{tiny_model}", "--max-new-tokens", 6, "--store", tmp_path / "s.sqlite"]
    with caplog.at_level("INFO", logger="bftembed"):
        done = CliRunner().invoke(app, ["profiles", "write", str(names), "--facts", "none", *map(str, options)])
    assert len([message for message in caplog.messages if "1 unique, 1 generated" in message]) == 1
    assert done.stdout == f"store: {tmp_path / 's.sqlite'}\n"


@pytest.mark.filterwarnings("ignore::bftembed.errors.BftembedWarning")
def test_embed_takes_texts_in_place_of_an_engine(tiny_model, store, recipes, no_tables, tmp_path):
    names, out = tmp_path / "names.txt", tmp_path / "out.h5ad"
    names.write_text("TP53\nCD3E\n")
    options = ["embed", names, "-o", out, "--facts", "none"]
    with pytest.raises(InputError, match=f"--recipe {recipes[8]}"):
        invoke(*options, "--profiles", store.path)
    planned = invoke(*options, "--dry-run", "--engine", f"transformers:{tiny_model}", "--store", store.path)
    assert f"texts of 2 of 2 missing names by recipe {recipes[8]}" in planned
    invoke(*options, "--profiles", store.path, "--recipe", recipes[8][:5])
    made = anndata.read_h5ad(out)
    assert np.isfinite(made.X).all()
    (tmp_path / "own.csv").write_text('gene,text\nTP53,"Guards, and halts."\nCD3E,Part of a receptor.\n')
    invoke(*options, "--profiles", tmp_path / "own.csv")
    assert anndata.read_h5ad(out).obs["X_bft_text"].tolist() == ["Guards, and halts.", "Part of a receptor."]
    with pytest.raises(InputError, match="nothing is generated"):
        invoke(*options, "--profiles", store.path, "--engine", "annotation")


def test_check_prints_and_writes_what_it_finds(mirror, tmp_path):
    texts = tmp_path / "texts.csv"
    texts.write_text(
        "gene,text\nCTSL,CTSL is a protease on chromosome 1p36.33.\nTP53,It binds ZQXR7.\nNOGENE,It acts.\n"
    )
    arguments = (texts, "--no-controls", "-o", tmp_path / "r.md", "--genes-output", tmp_path / "g.tsv")
    said = invoke("profiles", "check", *arguments)
    assert "texts.csv: left out 1 names that stand for no known human gene" in said
    assert re.search(r"chromosome wrong +0\.500", said)
    assert "| chromosome wrong | 0.500 [" in (tmp_path / "r.md").read_text()
    flags = pd.read_csv(tmp_path / "g.tsv", sep="\t", index_col="gene")["flags"]
    assert flags.to_dict() == {"CTSL": "wrong chromosome; wrong band", "TP53": "unknown symbols ZQXR7"}


def test_check_refuses_a_place_before_it_begins(mirror, tmp_path):
    texts = tmp_path / "texts.csv"
    texts.write_text("gene,text\nCTSL,It acts.\n")
    with pytest.raises(InputError, match=r"a report is written to"):
        invoke("profiles", "check", texts, "-o", tmp_path / "r.xlsx")


def test_check_without_tables_says_how_to_get_them(no_tables, tmp_path):
    texts = tmp_path / "texts.csv"
    texts.write_text("gene,text\nCTSL,It acts.\n")
    with pytest.raises(InputError, match="bftembed data fetch genes"):
        invoke("profiles", "check", texts)
