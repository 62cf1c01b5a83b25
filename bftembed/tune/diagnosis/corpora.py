"""Texts to diagnose: built-in corpora and files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from bftembed import data
from bftembed._near import did_you_mean
from bftembed.errors import DataError, InputError
from bftembed.tune.data.answers import tidy_summary
from bftembed.tune.data.samples import read_samples

if TYPE_CHECKING:
    from collections.abc import Callable

_HUMAN = 9606
# The file joins the paragraphs of an article without a space, which no model expects.
_JOINT = re.compile(r"(?<=[a-z0-9)][.!?])(?=[A-Z])")
_TABLES = {".jsonl", ".parquet"}


def _refseq() -> list[str]:
    frame = data.load("refseq_gene_summary")
    return list(map(tidy_summary, frame.loc[frame["Taxon_ID"] == _HUMAN, "Gene_summary"].dropna()))


def _pubmedqa() -> list[str]:
    return [" ".join(entry["CONTEXTS"]) for entry in data.load("pubmedqa", "questions").values()]


def _huatuogpt() -> list[str]:
    return [entry["Complex_CoT"] for entry in data.load("huatuogpt_o1")]


def _alpaca() -> list[str]:
    return [entry["output"] for entry in data.load("alpaca")]


def _wiki() -> list[str]:
    return [_JOINT.sub("\n", article) for article in data.load("wiki")]


#: Built-in corpora: summaries of human genes, abstracts, reasoning on medical questions, answers of a language model,
#: articles of an encyclopedia.
CORPORA: dict[str, Callable[[], list[str]]] = {
    "refseq": _refseq,
    "pubmedqa": _pubmedqa,
    "huatuogpt_o1": _huatuogpt,
    "alpaca": _alpaca,
    "wiki": _wiki,
}
BIOMEDICAL = ("refseq", "pubmedqa", "huatuogpt_o1")


def read_corpora(sources: list[str]) -> dict[str, list[str]]:
    """Texts of built-in corpora and of files, by name; a file's name is that without its ending.

    Parameters
    ----------
    sources
        Names in `CORPORA`, and paths: text with a text per line, or what `read_samples` reads (of a chat, the last
        turn is taken). Repeated texts and empty ones are left out: the texts of a corpus are taken to be independent.

    Raises
    ------
    InputError
        If there is no such corpus or file, or two have the same name.
    DataError
        If a file cannot be read or holds no text.
    """
    corpora: dict[str, list[str]] = {}
    for source in sources:
        name, texts = _read(source)
        if name in corpora:
            msg = f"Two corpora are called `{name}`; rename a file."
            raise InputError(msg)
        corpora[name] = list(dict.fromkeys(text for text in map(str.strip, texts) if text))
        if not corpora[name]:
            msg = f"`{source}` holds no text."
            raise DataError(msg)
    return corpora


def _read(source: str) -> tuple[str, list[str]]:
    if source in CORPORA:
        return source, CORPORA[source]()
    path = Path(source).expanduser()
    if not path.exists():
        built_in = f"built in are {', '.join(CORPORA)}.{did_you_mean(source, CORPORA)}"
        msg = f"`{source}` is neither a file nor a built-in corpus; {built_in}"
        raise InputError(msg)
    if path.suffix in _TABLES or path.is_dir():
        samples = (sample for _, sample in read_samples(path))
        return path.stem, [sample if isinstance(sample, str) else sample[-1]["content"] for sample in samples]
    try:
        return path.stem, path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"`{path}` cannot be read as lines of UTF-8 text: {error}."
        raise DataError(msg) from error
