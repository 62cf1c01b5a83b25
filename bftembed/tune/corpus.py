"""Corpora to train on: profiles of genes written from annotation, and PubMed questions with their answers."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import shutil
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bftembed import data
from bftembed.datasets import gene_facts
from bftembed.datasets._genes import FACT_SOURCES, NAME_SOURCES
from bftembed.errors import DataError, InputError
from bftembed.profiles import Entity
from bftembed.profiles.template import load_template

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Shares = tuple[float, float, float]
#: Rows with their split, what was left out, checksums of the sources.
Rows = tuple[list[dict[str, Any]], dict[str, int], dict[str, str]]
SPLITS = ("train", "validation", "test")
_TERMS = 6  # of a GO domain
_PROVENANCE = re.compile(r"\s*(?:\[[^\[\]]*)?\b(?:provided|supplied|adapted|contributed) (?:by|from)[^\[\]]*\]\.?")
_GO = {
    "biological_process": "Biological processes",
    "molecular_function": "Molecular functions",
    "cellular_component": "Cellular components",
}


@dataclass(frozen=True)
class CorpusReport:
    """What was built: samples per split, what was left out and why, and what it was made of."""

    kind: str
    path: str
    samples: dict[str, int]
    left_out: dict[str, int]
    shares: tuple[float, float, float]
    seed: int
    sources: dict[str, str]
    version: str


def build_corpus(
    kind: str,
    output: str | Path,
    *,
    limit: int | None = None,
    shares: tuple[float, float, float] = (0.9, 0.05, 0.05),
    seed: int = 0,
    overwrite: bool = False,
) -> CorpusReport:
    """Write a corpus as ``train.jsonl``, ``validation.jsonl``, ``test.jsonl`` and ``corpus.json``.

    Parameters
    ----------
    kind
        ``"genes"``: asked as `tl.embed_genes` asks with ``facts="none"``, answered from full name, locus, RefSeq
        summary and GO terms; genes with a summary only. ``"pubmedqa"``: PubMedQA's question and abstract, answered by
        the conclusion and a last line ``Answer: yes``; rows also have ``question``, ``answer`` and ``choices``.
    output
        Directory; it is put in place as a whole.
    limit
        So many samples at most, the same ones for the same seed.
    shares
        Of train, validation and test. PubMedQA's official test questions are always the test split, and the shares of
        the others are those of train and validation. Each sample's split follows from a hash of its name, so that more
        genes never move others; genes with the same summary are in the same split.
    seed
        Of the hash.
    overwrite
        Replace a directory that holds a corpus.

    Raises
    ------
    InputError
        If there is no such kind, the shares do not sum to 1, or the directory is not empty.
    DataError
        If the sources are not at hand.
    """
    kinds = {"genes": _genes, "pubmedqa": _pubmedqa}
    if kind not in kinds:
        near = difflib.get_close_matches(kind, kinds, n=1)
        msg = f"There is no corpus `{kind}`; {f'did you mean `{near[0]}`' if near else 'there are genes and pubmedqa'}."
        raise InputError(msg)
    if min(shares) < 0 or shares[0] == 0 or abs(sum(shares) - 1) > 1e-9:
        msg = f"The shares of train, validation and test are {shares}; they have to sum to 1, and train needs some."
        raise InputError(msg)
    output = Path(output).expanduser()
    if output.exists() and any(output.iterdir()) and not (overwrite and (output / "corpus.json").exists()):
        msg = f"`{output}` is not empty; choose another directory{'' if overwrite else ', or overwrite the corpus'}."
        raise InputError(msg)
    rows, left_out, sources = kinds[kind](limit, seed, shares)
    splits: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    for row in rows:
        splits[row.pop("split")].append(row)
    report = CorpusReport(
        kind,
        str(output),
        {split: len(values) for split, values in splits.items()},
        left_out,
        shares,
        seed,
        sources,
        version("bftembed"),
    )
    _write(output, splits, report)
    return report


def gene_profile_text(symbol: str, facts: Mapping[str, str]) -> str:
    """A profile in sentences from a gene's facts (see `bftembed.genes.GeneFacts.of`)."""
    sentences = []
    name = facts.get("full_name", "")
    locus = " or ".join(dict.fromkeys(facts.get("locus", "").split("|")))
    if name:
        sentences.append(f"{symbol} ({name}) is a human gene{f' at {locus}' if locus else ''}.")
    if summary := _PROVENANCE.sub("", facts.get("summary", "")).strip():
        sentences.append(summary if summary.endswith((".", "!", "?")) else f"{summary}.")
    for domain, heading in _GO.items():
        if facts.get(domain):
            sentences.append(f"{heading}: {facts[domain]}.")
    return re.sub(r"\s+", " ", " ".join(sentences))


def _genes(limit: int | None, seed: int, shares: Shares) -> Rows:
    known = gene_facts()
    if known is None or not (known.frame["summary"] != "").any():
        msg = "Gene summaries are not at hand: `bftembed data fetch genes` brings them, or set BFTEMBED_MIRROR."
        raise DataError(msg)
    template = load_template("gene")
    frame = known.frame[known.frame["summary"] != ""]
    rows = []
    symbols = _drawn(frame["symbol"], limit, seed)
    for symbol in symbols:
        facts = known.of(symbol, max_terms=_TERMS)
        request = template.render(Entity("gene", symbol))
        messages = [
            {"role": "system", "content": request.system},
            {"role": "user", "content": request.user},
            {"role": "assistant", "content": gene_profile_text(symbol, facts)},
        ]
        split = _split(f"{seed}/{_family(facts['summary'])}", shares)
        rows.append({"id": symbol, "kind": "gene", "messages": messages, "split": split})
    used = dict.fromkeys((*NAME_SOURCES, *FACT_SOURCES))
    left_out = {"no summary": len(known.frame) - len(frame), "beyond the limit": len(frame) - len(symbols)}
    return rows, left_out, _sources(filter(data.available, used))


def _family(summary: str) -> str:
    """A summary without the numbers that tell members of a family apart, which must not be in different splits."""
    return re.sub(r"\W*\d[\w-]*", "", _PROVENANCE.sub("", summary)).casefold()


def _pubmedqa(limit: int | None, seed: int, shares: Shares) -> Rows:
    others = (shares[0] / (shares[0] + shares[1]), shares[1] / (shares[0] + shares[1]), 0.0)
    files = data.load("pubmedqa")
    rows = []
    questions = files["questions"]
    for identifier in _drawn(questions, limit, seed):
        entry = questions[identifier]
        prompt = (
            f"{' '.join(entry['CONTEXTS'])}\n\nQuestion: {entry['QUESTION']}\n\nAnswer in a few sentences and end with "
            "a line that says `Answer: yes`, `Answer: no` or `Answer: maybe`."
        )
        answer = entry["final_decision"]
        messages = [
            {"role": "user", "content": prompt},
            {"role": "assistant", "content": f"{entry['LONG_ANSWER']}\nAnswer: {answer}"},
        ]
        row = {"id": identifier, "kind": "question", "messages": messages, "question": entry["QUESTION"]}
        split = "test" if identifier in files["test"] else _split(f"{seed}/{identifier}", others)
        rows.append(row | {"answer": answer, "choices": ["yes", "no", "maybe"], "split": split})
    return rows, {"beyond the limit": len(questions) - len(rows)}, _sources(["pubmedqa"])


def _drawn(names: Iterable[str], limit: int | None, seed: int) -> list[str]:
    """The first `limit` names in an order that follows from the seed and each name alone."""
    return sorted(names, key=lambda name: _hash(f"{seed}/order/{name}"))[:limit]


def _split(key: str, shares: Shares) -> str:
    place = int(_hash(key)[:12], 16) / 16**12
    return SPLITS[0] if place < shares[0] else SPLITS[1] if place < shares[0] + shares[1] else SPLITS[2]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _sources(names: Iterable[str]) -> dict[str, str]:
    """SHA-256 of every file, by data set and name."""
    return {f"{name}/{file.name}": file.sha256 for name in names for file in data.get_manifest(name).files}


def _write(output: Path, splits: dict[str, list[dict[str, Any]]], report: CorpusReport) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as temporary:
        made = Path(temporary) / "corpus"
        made.mkdir()
        for split, rows in splits.items():
            lines = (json.dumps(row) + "\n" for row in rows)
            (made / f"{split}.jsonl").write_text("".join(lines))
        (made / "corpus.json").write_text(json.dumps(asdict(report), indent=2) + "\n")
        if output.exists():
            shutil.rmtree(output)
        made.rename(output)
