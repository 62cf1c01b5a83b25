"""Corpora: what a profile says, and that nothing of the test split was seen in training."""

import json
import re

import pytest

import bftembed as bft
from bftembed.errors import DataError, InputError
from bftembed.profiles import Entity
from bftembed.profiles.template import load_template
from bftembed.tune.corpus import build_corpus, gene_profile_text

FACTS = {
    "full_name": "tumor protein p53",
    "locus": "17p13.1",
    "gene_type": "protein-coding",
    "summary": "This gene encodes a tumor suppressor. [provided by RefSeq, Jul 2008]",
    "biological_process": "apoptotic process; transport, vesicle",
    "molecular_function": "DNA binding",
}


def rows(folder):
    return {
        split: [json.loads(line) for line in (folder / f"{split}.jsonl").read_text().splitlines()]
        for split in ("train", "validation", "test")
    }


def test_a_profile_in_sentences():
    assert gene_profile_text("TP53", FACTS) == (
        "TP53 (tumor protein p53) is a human gene at 17p13.1. This gene encodes a tumor suppressor. Biological "
        "processes: apoptotic process; transport, vesicle. Molecular functions: DNA binding."
    )
    assert gene_profile_text("X", {"summary": "Unknown function"}) == "Unknown function."
    assert gene_profile_text("X", {}) == ""
    assert gene_profile_text("X", {"full_name": "x", "locus": "1p3|1p3|2q1"}) == "X (x) is a human gene at 1p3 or 2q1."
    assert gene_profile_text("X", {"full_name": "x  y"}) == "X (x y) is a human gene."


@pytest.fixture(scope="module")
def genes(mirror, tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus") / "genes"
    return folder, build_corpus("genes", folder)


def test_gene_corpus_is_asked_as_the_library_asks(genes):
    folder, report = genes
    samples = rows(folder)
    assert {split: len(values) for split, values in samples.items()} == report.samples
    assert sum(report.samples.values()) > 14_000
    known = bft.datasets.gene_facts()
    template = load_template("gene")
    for row in samples["test"][:50]:
        request = template.render(Entity("gene", row["id"]))
        system, user, assistant = row["messages"]
        assert (system["content"], user["content"]) == (request.system, request.user)
        assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]
        assert assistant["content"] == gene_profile_text(row["id"], known.of(row["id"], max_terms=6))


def test_texts_read_well(genes):
    texts = [row["messages"][-1]["content"] for values in rows(genes[0]).values() for row in values]
    wrong = re.compile(r"provided by RefSeq|: None|\bnan\b|\|| {2}|\.\.$|^\s|\s$")
    assert [text for text in texts if wrong.search(text) or not text.endswith((".", "!", "?"))] == []


def test_no_gene_and_no_family_is_in_two_splits(genes):
    seen = {}
    for split, values in rows(genes[0]).items():
        for row in values:
            assert seen.setdefault(row["id"], split) == split
    summaries = bft.datasets.gene_facts().frame.set_index("symbol")["summary"]
    of_summary = {}
    for symbol, split in seen.items():
        assert of_summary.setdefault(summaries[symbol], split) == split
    shares = {split: count / len(seen) for split, count in genes[1].samples.items()}
    assert shares["train"] == pytest.approx(0.9, abs=0.03)
    assert shares["test"] == pytest.approx(0.05, abs=0.02)


def test_fewer_genes_keep_their_splits(genes, tmp_path):
    build_corpus("genes", tmp_path / "small", limit=500)
    large, small = rows(genes[0]), rows(tmp_path / "small")
    assert sum(map(len, small.values())) == 500
    for split, values in small.items():
        assert {row["id"] for row in values} <= {row["id"] for row in large[split]}
    build_corpus("genes", tmp_path / "again", limit=500)
    assert rows(tmp_path / "again") == small
    build_corpus("genes", tmp_path / "other", limit=500, seed=1)
    assert rows(tmp_path / "other") != small


def test_the_report_says_what_it_was_made_of(genes):
    folder, report = genes
    saved = json.loads((folder / "corpus.json").read_text())
    assert saved["samples"] == report.samples
    assert saved["left_out"]["no summary"] > 0
    for name, sha256 in saved["sources"].items():
        manifest, file = name.split("/")
        assert {part.name: part.sha256 for part in bft.data.get_manifest(manifest).files}[file] == sha256
    assert {name.split("/")[0] for name in saved["sources"]} >= {"hgnc_genes", "refseq_gene_summary", "go_annotations"}


def test_pubmedqa_keeps_the_official_test_split(mirror, tmp_path):
    report = build_corpus("pubmedqa", tmp_path / "qa")
    samples = rows(tmp_path / "qa")
    official = bft.data.load("pubmedqa", "test")
    assert {row["id"] for row in samples["test"]} == set(official)
    assert report.samples["train"] + report.samples["validation"] == 500
    assert report.samples["validation"] == pytest.approx(26, abs=15)
    for row in samples["test"]:
        assert row["answer"] == official[row["id"]]
        assert row["messages"][-1]["content"].splitlines()[-1] == f"Answer: {row['answer']}"
        assert row["question"] in row["messages"][0]["content"]


def test_bad_arguments(mirror, tmp_path):
    with pytest.raises(InputError, match=r"no corpus `gene`; did you mean `genes`"):
        build_corpus("gene", tmp_path / "a")
    with pytest.raises(InputError, match="have to sum to 1"):
        build_corpus("genes", tmp_path / "a", shares=(0.9, 0.1, 0.1))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(InputError, match="is not empty"):
            build_corpus("pubmedqa", tmp_path / "full", overwrite=overwrite)
    assert (tmp_path / "full" / "thesis.tex").read_text() == "mine"


def test_overwriting_a_corpus(mirror, tmp_path):
    build_corpus("pubmedqa", tmp_path / "qa")
    with pytest.raises(InputError, match="or overwrite the corpus"):
        build_corpus("pubmedqa", tmp_path / "qa")
    assert sum(build_corpus("pubmedqa", tmp_path / "qa", limit=10, overwrite=True).samples.values()) == 10
    assert sum(map(len, rows(tmp_path / "qa").values())) == 10


def test_without_data(monkeypatch, tmp_path):
    monkeypatch.delenv("BFTEMBED_MIRROR", raising=False)
    monkeypatch.setenv("BFTEMBED_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DataError, match="bftembed data fetch genes"):
        build_corpus("genes", tmp_path / "genes")
