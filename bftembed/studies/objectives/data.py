"""The samples of the study: what is learned, by what the learning rate is chosen, and what is read afterwards."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bftembed._files import replacing
from bftembed.errors import InputError
from bftembed.studies.objectives.config import SETS, Samples
from bftembed.studies.samples import digest_of, noted
from bftembed.tune.data.samples import read_rows, read_samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bftembed.studies.objectives.config import Files, ObjectivesConfig

#: Of an article, at most.
_CHARACTERS = 1500
#: Where profiles are written, by the name of the column.
CORPUS, HELD_OUT = "genes in the corpus", "genes of held-out families"


@dataclass(frozen=True)
class Prepared:
    """Files of samples, and genes to be written about.

    Attributes
    ----------
    train, validation
        Files.
    sets
        Evaluation files by name.
    genes
        Symbols, of the corpus and of families that are not in it; none without profiles.
    """

    train: Path
    validation: Path
    sets: dict[str, Path]
    genes: dict[str, list[str]] = field(default_factory=dict)

    @property
    def digests(self) -> dict[str, str]:
        """What tells the samples of each file from others."""
        files = {"train": self.train, "validation": self.validation, **self.sets}
        return {name: digest_of(path) for name, path in files.items()}

    def tokens(self, path: Path, max_length: int) -> list[int]:
        """About how many tokens a model reads of each sample: a quarter of its characters, at most `max_length`."""
        found = []
        for _, sample in read_samples(path):
            turns = [sample] if isinstance(sample, str) else [turn["content"] for turn in sample]
            found.append(min(max_length, sum(map(len, turns)) // 4 + 8 * len(turns)))
        return found


def prepare(config: ObjectivesConfig, directory: Path) -> Prepared:
    """Write the samples that a study reads, or find those of the user.

    Parameters
    ----------
    config
        Of the study.
    directory
        For the files.

    Raises
    ------
    DataError
        If a file or a data set is missing, empty or broken.
    InputError
        If there are fewer samples than asked for, or profiles are asked for and rows name no genes.
    """
    made = _written(config.data, directory) if isinstance(config.data, Samples) else _given(config.data)
    for path in (made.train, made.validation, *made.sets.values()):
        next(read_samples(path))  # refuses what is missing, empty or broken at its beginning
    if config.profiles is None:
        return made
    held_out = made.sets[config.explained or config.sets[0]]
    genes = {name: _genes(path, config.profiles.genes) for name, path in ((CORPUS, made.train), (HELD_OUT, held_out))}
    return Prepared(made.train, made.validation, made.sets, genes)


def _given(files: Files) -> Prepared:
    sets = {name: Path(path).expanduser() for name, path in files.evaluation.items()}
    return Prepared(Path(files.train).expanduser(), Path(files.validation).expanduser(), sets)


def _genes(path: Path, n: int) -> list[str]:
    """Genes that the first rows of a file are about."""
    rows = [row for _, row in read_rows(path, "train")]
    genes = [row["id"] for row in rows if isinstance(row, dict) and row.get("kind") == "gene" and row.get("id")]
    if len(genes) < n:
        msg = (
            f"Profiles of {n} genes are wanted, and `{path}` has rows of {len(genes)}. Rows as `bftembed corpus build "
            "genes` writes them name their gene: lower `profiles.genes`, or leave `profiles` out."
        )
        raise InputError(msg)
    return genes[:n]


def _written(samples: Samples, directory: Path) -> Prepared:
    """The package's own corpora, as much of each as is asked for."""
    names = {"train": "train", "validation": "validation", **{name: name.replace(" ", "-") for name in SETS}}
    files = {name: directory / f"{stem}.jsonl" for name, stem in names.items()}
    asked, note = samples.model_dump(mode="json"), directory / "samples.json"
    if not (noted(note, asked) and all(path.exists() for path in files.values())):
        for name, rows in _rows(samples, directory).items():
            with replacing(files[name]) as made:
                made.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        with replacing(note) as made:
            made.write_text(json.dumps(asked))
    return Prepared(files["train"], files["validation"], {name: files[name] for name in SETS})


def _rows(samples: Samples, directory: Path) -> dict[str, list[dict[str, Any]]]:
    import bftembed.data
    from bftembed.tune import build_corpus

    for kind in ("genes", "pubmedqa"):
        if not (directory / kind / "corpus.json").exists():
            build_corpus(kind, directory / kind)
    train = _first("genes to train on", _split(directory, "genes", "train"), samples.train)
    asked = [
        {"prompt": row["question"], "response": row["messages"][-1]["content"]}
        for row in _split(directory, "pubmedqa", "test")
    ]
    told = [
        {"prompt": f"{row['instruction']}\n{row['input']}".strip(), "response": row["output"]}
        for row in bftembed.data.load("alpaca")
        if row["output"].strip()
    ]
    texts = [{"text": text[:_CHARACTERS]} for text in bftembed.data.load("wiki") if len(text) > _CHARACTERS // 2]
    return {
        "train": train,
        "validation": _first("validation genes", _split(directory, "genes", "validation"), samples.validation),
        "unseen genes": _first("unseen genes", _split(directory, "genes", "test"), samples.unseen),
        "genes in the corpus": _first("genes of the corpus", train, samples.recall),
        "medical QA": _first("medical questions", asked, samples.medical_qa),
        "general QA": _first("instructions", told, samples.general_qa),
        "general text": _first("articles", texts, samples.general_text),
    }


def _split(directory: Path, kind: str, split: str) -> list[dict[str, Any]]:
    lines = (directory / kind / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _first(what: str, rows: Sequence[dict[str, Any]], n: int) -> list[dict[str, Any]]:
    if len(rows) < n:
        msg = f"{n:,} {what} are asked for, and there are {len(rows):,}; ask for fewer in `data`."
        raise InputError(msg)
    return list(rows[:n])
