"""Stores of texts held against the tables; bad input."""

import pandas as pd
import pytest

from bftembed.engines import AnnotationEngine, Completion, Engine
from bftembed.entities import gene_entities
from bftembed.errors import InputError, StoreError
from bftembed.profiles import Entity, ProfileStore, write_profiles
from bftembed.quality import check_profiles, check_texts

GENES = ["CTSL", "TP53", "GATA1", "INS", "ALB", "EGFR"]


class Writer(Engine):
    """Writes one sentence about every gene."""

    name = "writer"

    def __init__(self, sentence):
        self.sentence = sentence

    def describe(self):
        return {"engine": self.name, "sentence": self.sentence}

    def _generate(self, requests, sampling):
        yield [Completion(each.id, self.sentence, "stop", n_prompt_tokens=1, n_tokens=1) for each in requests]

    def count_tokens(self, requests):
        return len(requests)


def store_of(path, engine, genes=GENES, *, facts="none", kind="gene"):
    entities = gene_entities(genes, facts=facts)[0] if kind == "gene" else [Entity(kind, name) for name in genes]
    with ProfileStore(path) as store:
        write_profiles(entities, engine, store=store, template=None if kind == "gene" else kind, progress=False)
    return path


def value(checked, measure, profiles="profiles"):
    rows = checked.summary.query("measure == @measure and profiles == @profiles")
    return rows["value"].item()


def test_annotation_is_right_and_another_genes_is_not(known, tmp_path):
    path = store_of(tmp_path / "a.sqlite", AnnotationEngine(), facts="auto")
    checked = check_profiles(path, progress=False)
    label = "a.sqlite"
    assert value(checked, "masked percentile (TF-IDF)", label) > 0.99
    assert value(checked, "chromosome right, in prompt", label) == 1
    assert value(checked, "full name right", label) == 1
    assert value(checked, "copied", label) > 0.9
    assert (checked.genes["flags"] == "").all()
    assert value(checked, "masked percentile (TF-IDF)", "(bare symbol)") == 0.5
    assert value(checked, "first (TF-IDF)", "(the facts)") == 1
    assert value(checked, "chromosome right", "(another gene's)") <= 0.2
    assert value(checked, "masked percentile (TF-IDF)", "(another gene's)") < 0.9


def test_two_stores_are_compared_on_the_genes_of_both(known, tmp_path):
    right = store_of(tmp_path / "right.sqlite", AnnotationEngine(), facts="auto")
    wrong = store_of(tmp_path / "wrong.sqlite", Writer("It is a ZQXR7 ligand on chromosome 13."), GENES[:4])
    checked = check_profiles([right, wrong], progress=False)
    found = checked.differences.set_index("measure")
    assert set(checked.differences["first"]) == {"right.sqlite"}
    assert found.loc["chromosome wrong", "value"] == -1
    assert found.loc["chromosome wrong", "n"] == 4
    assert found.loc["unknown symbols", "value"] == -1
    flags = checked.genes.query("profiles == 'wrong.sqlite'")["flags"]
    assert set(flags) == {"wrong chromosome; wrong family; unknown symbols ZQXR7"} or set(flags) == {
        "wrong chromosome; unknown symbols ZQXR7"
    }
    assert value(checked, "chromosome wrong, not in prompt", "wrong.sqlite") == 1


def test_stores_without_a_common_gene_say_so(known, tmp_path):
    first = store_of(tmp_path / "1" / "s.sqlite", Writer("It acts."), GENES[:2])
    second = store_of(tmp_path / "2" / "s.sqlite", Writer("It acts."), GENES[2:4])
    checked = check_profiles([first, second], controls=False, progress=False)
    assert checked.differences.empty
    assert "have no gene in common" in checked.notes[0]
    assert set(checked.genes["profiles"]) == {str(first), str(second)}


def test_texts_of_any_kind_are_counted_not_guessed(known):
    texts = {
        "CTSL": "CTSL",
        "Trp53_mouse": "A mouse gene.",
        "no gene at all": "Nothing.",
        "TP53": "基因 \U0001f9ec \ud83e",
        "ALB": "word " * 30_000,
        "INS": None,
    }
    checked = check_profiles(texts, controls=False, progress=False)
    rows = checked.genes.set_index("gene")
    assert sorted(rows.index) == ["ALB", "CTSL", "TP53"]
    assert rows.loc["ALB", "flags"] == "loop"
    assert rows.loc["ALB", "n_words"] == 30_000
    assert rows.loc["CTSL", "tfidf_rank"] == 1
    assert rows.loc["CTSL", "tfidf_rank_masked"] == (rows.loc["CTSL", "n_ranked"] + 1) / 2
    assert checked.notes == [
        "profiles: left out 2 names that stand for no known human gene, or for one that another name stands for",
        "profiles: left out 1 names without a usable text (empty, failed or degenerate)",
    ]


def test_one_text_has_no_control_of_another_gene(known):
    checked = check_profiles({"CTSL": "A protease."}, progress=False)
    assert set(checked.summary["profiles"]) == {"profiles", "(the facts)", "(bare symbol)"}


def test_empty_stores_and_such_of_cells_are_refused(known, tmp_path):
    with ProfileStore(tmp_path / "empty.sqlite"):
        pass
    cells = store_of(tmp_path / "cells.sqlite", Writer("Round."), ["T cell"], kind="cell_type")
    for path in (tmp_path / "empty.sqlite", cells):
        with pytest.raises(InputError, match=r"`\w+.sqlite` holds no usable text of a gene .*\(0 texts of genes"):
            check_profiles(path, progress=False)
    with pytest.raises(InputError, match=r"\(1 texts of genes"):
        check_profiles({"nothing": "text"}, progress=False)
    with pytest.raises(InputError, match="There is no file"):
        check_profiles(tmp_path / "absent.sqlite", progress=False)


def test_a_damaged_store_is_named(known, tmp_path):
    path = tmp_path / "bad.sqlite"
    path.write_bytes(b"SQLite format 3\0" + b"x" * 4096)
    with pytest.raises(StoreError, match=r"bad\.sqlite"):
        check_profiles(path, progress=False)


def test_failed_texts_are_counted(known, tmp_path):
    path = store_of(tmp_path / "loops.sqlite", Writer("It is it is it is it is it is it is it is. " * 9), GENES[:2])
    with pytest.raises(InputError, match="no usable text"):
        check_profiles(path, progress=False)
    store_of(path, Writer("A protease."), ["INS"])
    checked = check_profiles(path, controls=False, progress=False)
    assert checked.notes == ["loops.sqlite: left out 2 names without a usable text (empty, failed or degenerate)"]


def test_controls_are_the_same_every_time(known):
    texts = {gene: known.annotations[gene] for gene in GENES}
    first, second = (check_profiles(texts, progress=False).summary for _ in range(2))
    pd.testing.assert_frame_equal(first, second)


def test_the_table_of_texts_needs_no_prompt(known):
    found = check_texts(pd.DataFrame({"gene": ["CTSL"], "text": ["As an AI, I cannot say."]}))
    assert found["flags"].tolist() == ["refusal"]
    assert found["copied"].isna().all()
