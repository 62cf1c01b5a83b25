"""The samples of the study: what is learned and what is read afterwards."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bftembed._files import replacing
from bftembed.errors import InputError
from bftembed.studies.samples import noted
from bftembed.studies.window.config import Traces
from bftembed.tune.data.samples import read_samples

if TYPE_CHECKING:
    from bftembed.studies.window.config import Files

#: Validation sets of the package's own corpora; the verdict is on the first.
BIOMEDICAL, GENERAL = "medical reasoning", "general instructions"
_SHARES = (0.75, 0.25, 0.0)


@dataclass(frozen=True)
class Prepared:
    """Files of samples: to train on, and for validation by name."""

    train: Path
    validation: dict[str, Path]

    @property
    def digests(self) -> dict[str, str]:
        """Begin of the SHA-256 of the samples of each file."""
        return {name: _digest(path) for name, path in {"train": self.train, **self.validation}.items()}


def prepare(data: Traces | Files, directory: Path) -> Prepared:
    """Write the samples that a study reads, or find those of the user.

    Raises
    ------
    DataError
        If a file or a data set is missing, empty or broken.
    InputError
        If there are fewer samples than asked for.
    """
    if isinstance(data, Traces):
        made = _written(data, directory)
    else:
        validation = {name: Path(path).expanduser() for name, path in data.validation.items()}
        made = Prepared(Path(data.train).expanduser(), validation)
    for path in (made.train, *made.validation.values()):
        next(read_samples(path))  # refuses what is missing, empty or broken at its beginning
    return made


def _written(data: Traces, directory: Path) -> Prepared:
    files = {name: directory / f"{name}.jsonl" for name in ("train", "validation", "general")}
    asked, note = data.model_dump(), directory / "samples.json"
    if not (noted(note, asked) and all(path.exists() for path in files.values())):
        rows = _rows(directory)
        for name, path in files.items():
            if len(rows[name]) < asked[name]:
                msg = f"`data.{name}` asks for {asked[name]:,} samples, and there are {len(rows[name]):,}."
                raise InputError(msg)
            with replacing(path) as made:
                made.write_text("".join(json.dumps(row) + "\n" for row in rows[name][: asked[name]]))
        with replacing(note) as made:
            made.write_text(json.dumps(asked))
    return Prepared(files["train"], {BIOMEDICAL: files["validation"], GENERAL: files["general"]})


def _rows(directory: Path) -> dict[str, list[dict[str, Any]]]:
    import bftembed.data
    from bftembed.tune import build_corpus

    if not (directory / "medical" / "corpus.json").exists():
        build_corpus("medical", directory / "medical", shares=_SHARES)
    told = [
        {"prompt": f"{row['instruction']}\n{row['input']}".strip(), "response": row["output"]}
        for row in bftembed.data.load("alpaca")
        if row["output"].strip()
    ]
    lines = {
        split: (directory / "medical" / f"{split}.jsonl").read_text().splitlines() for split in ("train", "validation")
    }
    return {**{split: [json.loads(line) for line in found] for split, found in lines.items()}, "general": told}


def _digest(path: Path) -> str:
    samples = json.dumps([sample for _, sample in read_samples(path)])
    return hashlib.sha256(samples.encode()).hexdigest()[:16]
