"""Corpora: what a profile says, and that nothing of the test split was seen in training."""

import json
import re
from collections import Counter, defaultdict

import pytest

import bftembed as bft
from bftembed.errors import DataError, InputError
from bftembed.profiles import Entity
from bftembed.profiles.template import load_template
from bftembed.tune.data.answers import gene_profile_text, tidy_summary
from bftembed.tune.data.corpus import build_corpus
from bftembed.tune.grpo.questions import read_questions
from bftembed.tune.grpo.rewards import YES_NO_MAYBE, parse_answer


def rows(folder):
    return {
        split: [json.loads(line) for line in (folder / f"{split}.jsonl").read_text().splitlines()]
        for split in ("train", "validation", "test")
    }


@pytest.fixture(scope="module")
def genes(mirror, tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus") / "genes"
    return folder, build_corpus("genes", folder)


def test_gene_corpus_is_asked_as_the_library_asks(genes):
    folder, report = genes
    samples = rows(folder)
    assert {split: len(values) for split, values in samples.items()} == report.samples
    assert sum(report.samples.values()) > 12_000
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
    wrong = re.compile(
        r"provided by RefSeq|: None|\bnan\b|\|| {2}|\.\.|^\s|\s$|&\.|\(\)|\bet al\., \d|\([^()]*\bMIM ?:?\d"
    )
    assert [text for text in texts if wrong.search(text) or not text.endswith((".", "!", "?"))] == []


def test_no_gene_and_no_summary_is_in_two_splits(genes):
    seen = {}
    for split, values in rows(genes[0]).items():
        for row in values:
            assert seen.setdefault(row["id"], split) == split
    frame = bft.datasets.gene_facts().frame.set_index("symbol")
    of_summary = {}
    for symbol, split in seen.items():
        assert of_summary.setdefault(frame.loc[symbol, "summary"], split) == split
    shares = {split: count / len(seen) for split, count in genes[1].samples.items()}
    assert shares["train"] == pytest.approx(0.9, abs=0.03)
    assert shares["test"] == pytest.approx(0.05, abs=0.02)


def test_summaries_of_families_do_not_leak(genes):
    """A held-out summary against every training summary, word by word, by another way of counting."""
    summaries = bft.datasets.gene_facts().frame.set_index("symbol")["summary"]
    samples = {split: [row["id"] for row in values] for split, values in rows(genes[0]).items()}

    def sequences(symbol):
        words = re.findall(r"\w+", tidy_summary(summaries[symbol]).casefold())
        return {" ".join(words[at : at + 5]) for at in range(len(words) - 4)}

    holders = defaultdict(list)
    for symbol in samples["train"]:
        for sequence in sequences(symbol):
            holders[sequence].append(symbol)
    for symbol in samples["test"]:
        own = sequences(symbol)
        most = Counter(holder for sequence in own for holder in holders[sequence]).most_common(1)
        assert not most or most[0][1] <= len(own) / 2, (symbol, most)
    assert genes[1].left_out["held out, but mostly in a summary of another split"] > 0
    assert not {"MIR21", "OR1A1"} & {symbol for values in samples.values() for symbol in values}


def test_fewer_genes_keep_their_splits(genes, tmp_path):
    build_corpus("genes", tmp_path / "small", limit=500)
    large, small = rows(genes[0]), rows(tmp_path / "small")
    assert sum(map(len, small.values())) == 500
    for split, values in small.items():
        assert {row["id"] for row in values} <= {row["id"] for row in large[split]}
    build_corpus("genes", tmp_path / "other", limit=500, seed=1)
    assert rows(tmp_path / "other") != small


def test_the_report_says_what_it_was_made_of(genes):
    folder, report = genes
    saved = json.loads((folder / "corpus.json").read_text())
    assert saved["samples"] == report.samples
    assert saved["left_out"] == report.left_out
    known = bft.datasets.gene_facts()
    assert sum(report.samples.values()) + sum(report.left_out.values()) == len(known)
    assert "path" not in saved
    for name, sha256 in saved["sources"].items():
        manifest, file = name.split("/")
        if manifest == "template":
            assert sha256 == load_template(file).digest
            continue
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


def test_medical_questions_are_answered_by_reasoning_and_conclusion(mirror, tmp_path):
    report = build_corpus("medical", tmp_path / "medical")
    assert sum(report.samples.values()) == 198
    assert min(report.samples.values()) > 0
    source = {entry["Question"]: entry for entry in bft.data.load("huatuogpt_o1")}
    for row in rows(tmp_path / "medical")["train"]:
        messages = row["messages"]
        entry = source.pop(messages[0]["content"])
        assert messages[1]["content"].startswith(entry["Complex_CoT"])
        assert messages[1]["content"].endswith(entry["Response"])
    assert len(source) == 198 - report.samples["train"]


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("gene", {}, r"no corpus `gene`; there are genes, pubmedqa, medical. Did you mean `genes`\?"),
        ("zzz", {}, "there are genes, pubmedqa, medical"),
        ("genes", {"shares": (0.9, 0.1, 0.1)}, "have to sum to 1"),
        ("genes", {"shares": (0.0, 0.5, 0.5)}, "train needs some"),
        ("genes", {"shares": (1.5, -0.5, 0.0)}, "have to sum to 1"),
        ("genes", {"shares": (float("nan"), 0.5, 0.5)}, "have to sum to 1"),
        ("genes", {"limit": 0}, "at least one sample"),
        ("genes", {"limit": -3}, "`limit` is -3"),
    ],
)
def test_bad_arguments(tmp_path, kind, options, message):
    with pytest.raises(InputError, match=message):
        build_corpus(kind, tmp_path / "a", **options)
    assert not (tmp_path / "a").exists()


def test_directories_of_others_are_left_alone(mirror, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    (tmp_path / "full" / "corpus.json").write_text("{}")
    for overwrite in (False, True):
        with pytest.raises(InputError, match=r"is not empty: it holds `thesis\.tex`\. Choose another directory\."):
            build_corpus("pubmedqa", tmp_path / "full", overwrite=overwrite)
    assert (tmp_path / "full" / "thesis.tex").read_text() == "mine"
    with pytest.raises(InputError, match="is a file"):
        build_corpus("pubmedqa", tmp_path / "full" / "thesis.tex", overwrite=True)
    with pytest.raises(DataError, match="cannot be written"):
        build_corpus("pubmedqa", tmp_path / "full" / "thesis.tex" / "qa")
    (tmp_path / "empty").mkdir()
    assert build_corpus("pubmedqa", tmp_path / "empty", limit=20).samples["test"] > 0


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


def test_a_full_disk_leaves_the_older_corpus(mirror, tmp_path, monkeypatch):
    build_corpus("pubmedqa", tmp_path / "qa", limit=10)
    before = rows(tmp_path / "qa")

    def full_disk(report):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bftembed.tune.data.corpus.asdict", full_disk)
    with pytest.raises(DataError, match="No space left on device"):
        build_corpus("pubmedqa", tmp_path / "qa", overwrite=True)
    assert rows(tmp_path / "qa") == before
    assert [path.name for path in tmp_path.iterdir()] == ["qa"]


def test_questions_are_read_as_questions(mirror, tmp_path):
    build_corpus("pubmedqa", tmp_path / "qa")
    for split, values in rows(tmp_path / "qa").items():
        read = read_questions(tmp_path / "qa" / f"{split}.jsonl")
        assert [question["answer"] for question in read] == [row["answer"] for row in values]
        for row in values:
            assert parse_answer(row["messages"][-1]["content"], YES_NO_MAYBE) == row["answer"]
