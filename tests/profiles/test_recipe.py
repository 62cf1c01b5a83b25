from dataclasses import dataclass, fields

import pytest

from bftembed.engines import Sampling
from bftembed.profiles import Recipe, load_template, recipe

GENE = load_template("gene")
ENGINE = {"engine": "transformers", "weights": "sha256:ab", "adapter": "sha256:cd", "dtype": "float32"}
ORIGIN = {"model": "some/model", "adapter_name": "tuned", "version": "torch 2"}


def test_provenance_is_no_part_of_the_digest_and_survives():
    made = Recipe.of(ENGINE, GENE, Sampling(), ORIGIN)
    assert made.digest == Recipe.of(ENGINE, GENE, Sampling(), {}).digest
    assert Recipe.parse(made.json) == made


def test_a_field_of_sampling_that_is_added_changes_no_key_where_it_is_its_default(monkeypatch):
    @dataclass(frozen=True)
    class Later(Sampling):
        novelty: float = 1.0
        words: tuple[str, ...] = ()

    before = Recipe.of(ENGINE, GENE, Sampling(seed=3)).digest
    monkeypatch.setattr(recipe, "Sampling", Later)
    assert Recipe.of(ENGINE, GENE, Later(seed=3)).digest == before
    others = {Recipe.of(ENGINE, GENE, Later(seed=3, **more)).digest for more in ({"novelty": 1.1}, {"words": ("x",)})}
    assert len({before, *others}) == 3


def test_keys_hold_the_first_fields_and_no_default_of_the_others():
    assert list(Recipe.of(ENGINE, GENE, Sampling()).sampling) == ["max_new_tokens", "temperature", "top_p", "seed"]
    assert {"max_new_tokens", "temperature", "top_p", "seed"} <= {field.name for field in fields(Sampling)}


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (
            Recipe.of(ENGINE, GENE, Sampling(max_new_tokens=64), ORIGIN),
            "transformers some/model with adapter tuned, float32; template gene; at most 64 tokens, greedy",
        ),
        (
            Recipe.of(
                {"engine": "openai", "model": "m", "server": "http://h/v1"}, GENE, Sampling(temperature=0.7, seed=2)
            ),
            "openai m, http://h/v1; template gene; at most 512 tokens, temperature 0.7, seed 2",
        ),
        (
            Recipe.of({"engine": "annotation"}, load_template("annotation"), Sampling()),
            "annotation; template annotation",
        ),
    ],
)
def test_words(made, words):
    assert made.words == words


def test_differences_are_those_of_the_key():
    here = Recipe.of(ENGINE, GENE, Sampling(), ORIGIN)
    assert here.differences(Recipe.of(ENGINE, GENE, Sampling(), {"model": "renamed"})) == []
    other = Recipe.of(
        {**ENGINE, "weights": "sha256:ef", "adapter": ""}, load_template("drug"), Sampling(seed=1), ORIGIN
    )
    assert here.differences(other) == [
        "other contents of model some/model",
        "template drug",
        "seed 1 (here 0)",
        "adapter none (here cd)",
    ]
