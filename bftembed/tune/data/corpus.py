"""Corpora to train on: profiles of genes from annotation, PubMed questions, and medical questions with reasoning."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed import data
from bftembed._files import refuse_nul
from bftembed._html import Shown
from bftembed._near import did_you_mean
from bftembed.datasets import FACT_SOURCES, NAME_SOURCES, gene_facts
from bftembed.errors import DataError, InputError
from bftembed.profiles import Entity
from bftembed.profiles.template import load_template
from bftembed.tune.data.answers import gene_profile_text, repeated_shares, tidy_summary

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["SPLITS", "CorpusReport", "build_corpus", "gene_profile_text"]

Shares = tuple[float, float, float]
#: Rows with their split, what was left out, checksums of the sources.
Rows = tuple[list[dict[str, Any]], dict[str, int], dict[str, str]]
SPLITS = ("train", "validation", "test")
FILES = (*(f"{split}.jsonl" for split in SPLITS), "corpus.json")
_TERMS = 6  # of a GO domain
#: A summary that more genes have (microRNAs, olfactory receptors) tells nothing about any of them.
_MOST_SHARED = 20
#: Of the five-word sequences of a held-out summary, the most that may stand in one summary of another split.
_MOST_REPEATED = 0.5


@dataclass(frozen=True)
class CorpusReport(Shown):
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
        ``"genes"``: asked as `tl.embed_genes` asks with ``facts="none"``, answered from full name, locus, gene type,
        RefSeq summary and GO terms; genes with a summary of their own only. ``"pubmedqa"``: PubMedQA's question and
        abstract, answered by the conclusion and a last line ``Answer: yes``; rows also have ``question``, ``answer``
        and ``choices``. ``"medical"``: the 198 medical questions of HuatuoGPT-o1's demonstration data, answered by
        reasoning and a conclusion: answers of several hundred tokens.
    output
        Directory; it is put in place as a whole.
    limit
        So many samples at most, the same ones for the same seed.
    shares
        Of train, validation and test. PubMedQA's official test questions are always the test split, and the shares of
        the others are those of train and validation. A gene's split follows from a hash of the letters its symbol
        begins with, so that more genes never move others, and most of a family stays together; what is held out and
        still has half of its summary (of the five-word sequences) in one summary of another split is left out.
    seed
        Of the hash.
    overwrite
        Replace the files of a corpus. A directory with any other file is refused all the same.

    Returns
    -------
    What was written, and what was left out and why; it is in ``corpus.json`` too.

    Raises
    ------
    InputError
        If there is no such kind, `limit` or `shares` cannot be, or the directory is not empty.
    DataError
        If the sources are not available, or the corpus cannot be written.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from bftembed.tune import build_corpus
    >>> with TemporaryDirectory() as directory:
    ...     report = build_corpus("medical", f"{directory}/medical", limit=20)
    >>> report.samples
    {'train': 18, 'validation': 2, 'test': 0}
    """
    kinds = {"genes": _genes, "pubmedqa": _pubmedqa, "medical": _medical}
    if kind not in kinds:
        msg = f"There is no corpus `{kind}`; there are {', '.join(kinds)}.{did_you_mean(kind, kinds)}"
        raise InputError(msg)
    output = Path(output).expanduser().resolve()
    _check(limit, shares)
    _check_output(output, overwrite=overwrite)
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


def _check(limit: int | None, shares: Shares) -> None:
    if limit is not None and limit < 1:
        msg = f"`limit` is {limit}; a corpus needs at least one sample."
        raise InputError(msg)
    # Written so that NaN is refused too.
    if len(shares) != len(SPLITS) or not (shares[0] > 0 and min(shares) >= 0 and abs(sum(shares) - 1) < 1e-9):
        msg = f"The shares of train, validation and test are {shares}; they have to sum to 1, and train needs some."
        raise InputError(msg)


def _check_output(output: Path, *, overwrite: bool) -> None:
    if not output.exists():
        return
    if not output.is_dir():
        msg = f"`{output}` is a file; name a directory for the corpus."
        raise InputError(msg)
    found = sorted(path.name for path in output.iterdir())
    foreign = [name for name in found if name not in FILES]
    if foreign or (found and not overwrite):
        what = f"it holds `{foreign[0]}`" if foreign else "it holds a corpus"
        advice = "Choose another directory" + ("" if foreign else ", or overwrite the corpus")
        msg = f"`{output}` is not empty: {what}. {advice}."
        raise InputError(msg)


def _genes(limit: int | None, seed: int, shares: Shares) -> Rows:
    known = gene_facts()
    if known is None or not (known.frame["summary"] != "").any():
        msg = "Gene summaries are not available: `bftembed data fetch genes` brings them, or set BFTEMBED_MIRROR."
        raise DataError(msg)
    frame = known.frame.assign(summary=known.frame["summary"].map(tidy_summary))
    described = frame[frame["summary"] != ""]
    own = described[described.groupby("summary")["symbol"].transform("size") <= _MOST_SHARED]
    splits = np.array([_split(f"{seed}/{_family(symbol)}", shares) for symbol in own["symbol"]])
    repeats = _repeats(own["summary"], splits)
    split_of = dict(zip(own["symbol"][~repeats], splits[~repeats].tolist(), strict=True))
    template = load_template("gene")
    rows = []
    for symbol in _drawn(split_of, limit, seed):
        request = template.render(Entity("gene", symbol))
        messages = [
            {"role": "system", "content": request.system},
            {"role": "user", "content": request.user},
            {"role": "assistant", "content": gene_profile_text(symbol, known.of(symbol, max_terms=_TERMS))},
        ]
        rows.append({"id": symbol, "kind": "gene", "messages": messages, "split": split_of[symbol]})
    left_out = {
        "no summary": len(frame) - len(described),
        f"a summary that more than {_MOST_SHARED} genes have": len(described) - len(own),
        "held out, but mostly in a summary of another split": int(repeats.sum()),
        "beyond the limit": len(split_of) - len(rows),
    }
    used = dict.fromkeys((*NAME_SOURCES, *FACT_SOURCES))
    return rows, left_out, _sources(filter(data.available, used)) | {"template/gene": template.digest}


def _family(symbol: str) -> str:
    """The letters a symbol begins with, which most members of a gene family share."""
    found = re.match(r"[A-Za-z]+", symbol)
    return found[0] if found else symbol


def _repeats(summaries: pd.Series[str], splits: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Which held-out genes have most of their summary in one summary of a split before theirs."""
    texts = summaries.to_numpy(dtype=object)
    repeats = np.zeros(len(texts), dtype=bool)
    for place in range(1, len(SPLITS)):
        asked, known = splits == SPLITS[place], np.isin(splits, SPLITS[:place]) & ~repeats
        repeats[asked] = repeated_shares(texts[asked].tolist(), texts[known].tolist()) > _MOST_REPEATED
    return repeats


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


def _medical(limit: int | None, seed: int, shares: Shares) -> Rows:
    questions = {_hash(entry["Question"])[:12]: entry for entry in data.load("huatuogpt_o1")}
    rows = []
    for identifier in _drawn(questions, limit, seed):
        entry = questions[identifier]
        messages = [
            {"role": "user", "content": entry["Question"]},
            {"role": "assistant", "content": f"{entry['Complex_CoT']}\n\n{entry['Response']}"},
        ]
        split = _split(f"{seed}/{identifier}", shares)
        rows.append({"id": identifier, "kind": "reasoning", "messages": messages, "split": split})
    return rows, {"beyond the limit": len(questions) - len(rows)}, _sources(["huatuogpt_o1"])


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
    try:
        refuse_nul(output)
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent) as temporary:
            made = Path(temporary) / "corpus"
            made.mkdir()
            for split, rows in splits.items():
                (made / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            about = {key: value for key, value in asdict(report).items() if key != "path"}  # a corpus can be moved
            (made / "corpus.json").write_text(json.dumps(about, indent=2) + "\n")
            if output.exists():
                output.rename(Path(temporary) / "before")
            made.rename(output)
    except OSError as error:
        msg = f"The corpus cannot be written to `{output}`: {error}. Free some space, or choose another directory."
        raise DataError(msg) from error
