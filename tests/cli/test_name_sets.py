import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from bftembed.cli.main import app
from bftembed.errors import InputError

T_CELL, REPAIR = ["CD3E", "CD3D", "CD3G", "LCK"], ["BRCA1", "BRCA2", "RAD51"]


def invoke(*arguments):
    result = CliRunner().invoke(app, ["name-sets", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def files(tmp_path):
    """Gene sets, and processes."""
    rest = [f"GENE{i}" for i in range(30)]
    (tmp_path / "sets.gmt").write_text(
        "".join("\t".join(row) + "\n" for row in (["first", "", *T_CELL], ["second", "http://x", *REPAIR]))
    )
    sets = {"T cell receptor signaling": [*T_CELL, "ZAP70"], "DNA repair": [*REPAIR, "ATM"], "rest": rest}
    (tmp_path / "terms.gmt").write_text("".join("\t".join([name, "", *genes]) + "\n" for name, genes in sets.items()))
    return tmp_path / "sets.gmt", "--terms", tmp_path / "terms.gmt", "--store", tmp_path / "a.sqlite"


def test_names_without_a_model(files, tmp_path):
    shown = invoke(*files, "--engine", "annotation")
    assert "first: T cell receptor signaling\n    agrees: T cell receptor signaling, q = " in shown
    assert "wrote 2 gene sets" in invoke(*files, "--engine", "annotation", "-o", tmp_path / "names.tsv")
    table = pd.read_csv(tmp_path / "names.tsv", sep="\t", index_col=0, keep_default_na=False)
    assert table["name"].tolist() == ["T cell receptor signaling", "DNA repair"]
    assert table.loc["second", "terms"].startswith("DNA repair (q=")
    assert table.loc["second", "genes"] == "BRCA1; BRCA2; RAD51"
    invoke(*files, "--engine", "annotation", "-o", tmp_path / "names.json")
    made = json.loads((tmp_path / "names.json").read_text())
    assert made["about"]["counts"]["gene sets"] == 2
    rows = made["sets"]
    assert [row["gene_set"] for row in rows] == ["first", "second"]
    assert rows[1]["terms"][0]["overlap"] == REPAIR
    assert rows[1]["confidence"] is None


def test_names_of_a_model_are_kept_and_asked_for_once(files, tiny_model, tmp_path, monkeypatch):
    options = [
        "--engine",
        f"transformers:{tiny_model}",
        "--max-new-tokens",
        8,
        "-o",
        tmp_path / "names.json",
        "--cascade",
    ]
    invoke(*files, *options)
    first = json.loads((tmp_path / "names.json").read_text())["sets"]
    monkeypatch.setattr(
        "bftembed.engines.TransformersEngine._generate", lambda *_: (_ for _ in ()).throw(AssertionError("asked again"))
    )
    invoke(*files, *options)
    assert json.loads((tmp_path / "names.json").read_text())["sets"] == first


@pytest.mark.parametrize("name", ["names.csv", "nowhere/names.tsv"])
def test_a_table_that_cannot_be_written_is_refused_before_any_work(files, tmp_path, name):
    with pytest.raises(InputError, match=r"give a \.tsv or \.json file in a directory that exists"):
        invoke(*files, "--engine", "annotation", "-o", tmp_path / name)


def test_blanks_in_place_of_tabs_are_refused_with_the_line(files, tmp_path):
    (tmp_path / "sets.gmt").write_text("first http://x CD3E CD3D\n")
    with pytest.raises(InputError, match="line 1 has no genes after a tab"):
        invoke(*files, "--engine", "annotation")
