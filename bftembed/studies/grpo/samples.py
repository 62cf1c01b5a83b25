"""The samples that starts are tuned on, and texts by which forgetting is seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from bftembed._files import replacing
from bftembed.errors import InputError
from bftembed.tune.data.samples import read_samples

if TYPE_CHECKING:
    from bftembed.studies.grpo.config import Corpus

_CHARACTERS = 1000  # of a general text, at most


def files_of(corpus: Corpus, directory: Path) -> dict[str, Path]:
    """Files of samples, by ``train``, ``validation`` and ``general``.

    Those of the package are written into `directory`: genes of the gene corpus, and articles of Wikipedia.

    Raises
    ------
    DataError
        If data are missing, empty or broken.
    InputError
        If more samples are asked for than there are.
    """
    found = {}
    for name, asked in corpus.model_dump().items():
        if isinstance(asked, str):
            found[name] = Path(asked).expanduser()
            if not found[name].exists():
                msg = f"`corpus.{name}` names `{asked}`, and there is no such file."
                raise InputError(msg)
            next(read_samples(found[name]))  # refuses what is empty or broken at its beginning
            continue
        path = directory / f"{name}-{asked}.jsonl"
        if not path.exists():
            lines = _lines(name, directory)
            if len(lines) < asked:
                msg = f"`corpus.{name}` asks for {asked} samples, and there are {len(lines)}."
                raise InputError(msg)
            with replacing(path) as made:
                made.write_text("".join(f"{line}\n" for line in lines[:asked]), encoding="utf-8")
        found[name] = path
    return found


def _lines(name: str, directory: Path) -> list[str]:
    from bftembed import data
    from bftembed.tune import build_corpus

    if name == "general":
        texts = data.load("wiki")
        return [json.dumps({"text": text[:_CHARACTERS]}) for text in texts if len(text) >= _CHARACTERS // 2]
    place = directory / "genes"
    if not (place / "corpus.json").exists():
        build_corpus("genes", place)
    return (place / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
