"""How much of the questions of a task stands in a corpus that a model was trained on."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from bftembed._html import Shown
from bftembed.bench.registry import find_tasks
from bftembed.bench.results import read_results
from bftembed.bench.scoring.proportions import wilson
from bftembed.bench.scoring.scores import digest_of
from bftembed.data import given_files
from bftembed.errors import InputError
from bftembed.tune.data.texts import corpus_texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from bftembed.bench.base import LanguageProblem, Task
    from bftembed.bench.results import Result
    from bftembed.engines import Request

    Gram = tuple[str, ...]

SIZES = (8, 13)
#: Share of its sequences of 8 words from which on an item is flagged.
FLAGGED = 0.3
#: What more items than this have in common is wording of the task.
_MOST_SHARED = 10
_LETTER = re.compile(r"(?<!\w)\(?[A-J][.):](?=\s)")


@dataclass(frozen=True, eq=False)
class Overlap(Shown):
    """What of the items of a task stands in a corpus.

    Attributes
    ----------
    task, corpus
        Name and path.
    items
        A row for each item, see `shares`.
    scores
        A row for each model and for all items, those that are not flagged and those that are: ``model``, ``items``
        (which), ``n``, ``share`` right, ``low``, ``high`` (95 % interval, Wilson).
    notes
        Why a result has no row there.

    Examples
    --------
    >>> import pandas as pd
    >>> from bftembed.bench import Overlap
    >>> items = pd.DataFrame({"flagged": [True, False]}, index=["q1", "q2"])
    >>> found = Overlap("medical.medqa", "train.jsonl", items, pd.DataFrame())
    >>> found.items.index[found.items["flagged"]].tolist()
    ['q1']
    """

    task: str
    corpus: str
    items: pd.DataFrame
    scores: pd.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many items there are, how many are flagged, have a sequence in the corpus, or are too short to tell."""
        share = self.items[f"share_{SIZES[0]}"]
        return {
            "items": len(share),
            "flagged": int(self.items["flagged"].sum()),
            **{f"with {n} words in a row in the corpus": int((self.items[f"share_{n}"] > 0).sum()) for n in SIZES},
            f"without {SIZES[0]} words in a row of their own": int(share.isna().sum()),
        }

    def _parts(self) -> dict[str, Any]:
        known = {"task": self.task, "corpus": self.corpus, **self.counts}
        flagged = self.items[self.items["flagged"]]
        return {**known, "scores": self.scores, "flagged items": flagged, "notes": "\n".join(self.notes)}


def overlap(
    corpus: str | Path,
    task: str | Task,
    *,
    results: str | Path | None = None,
    split: str = "train",
    fast: bool = False,
    files: Mapping[str, str | Path] | None = None,
) -> Overlap:
    """How much of each question of a language task stands in a corpus that a model was trained on.

    Compared are sequences of 8 and of 13 words, as those who trained GPT-3 did (Brown et al. 2020, appendix C). An item
    is flagged if 30 % of its sequences of 8 words occur. What the task says of every item does not count, and nor do
    case, punctuation and the letters of options. Words are what stands between blanks and signs: a language that has
    none is not compared in a useful way.

    Parameters
    ----------
    corpus
        File or directory, see `bftembed.tune.data.texts.corpus_texts`; it is read once, text by text.
    task
        Name of a language task, or the task.
    results
        Directory of `run`: the scores of its models with and without the flagged items, where the main score is a
        share of right items.
    split
        Of a corpus with several.
    fast
        The small part of the task, and the results of that.
    files
        Files of your own that the task reads, by name.

    Raises
    ------
    InputError
        If there is no such task, or it asks no model.
    DataError
        If the corpus, the data of the task or the results are not there, or damaged.

    Examples
    --------
    >>> import json
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import bftembed as bft
    >>> sample = {"prompt": "What is the capital of France?", "response": "Paris."}
    >>> with TemporaryDirectory() as corpus:
    ...     path = Path(corpus) / "train.jsonl"
    ...     _ = path.write_text(json.dumps(sample))
    ...     found = bft.bench.overlap(path, "medical.pubmedqa")
    >>> bool(found.items["flagged"].any())
    False
    """
    task = _named(task) if isinstance(task, str) else task
    if task.info.kind != "language":
        msg = f"`{task.name}` asks no language model; overlap is of questions."
        raise InputError(msg)
    with given_files(files or {}):
        problem = cast("LanguageProblem", task.load(fast))
    known = [] if results is None else [r for r in read_results(results, fast=fast) if r.task.name == task.name]
    items = shares(_texts(problem), corpus_texts(corpus, split=split))
    scores, notes = _scores(known, items["flagged"])
    if results is not None and not known:
        notes = (f"`{results}` has no result of {task.name}.",)
    return Overlap(task.name, str(corpus), items, scores, notes)


def _named(name: str) -> Task:
    found = {task.name: task for task in find_tasks(names=[name])}
    if name not in found:
        msg = f"`{name}` is no single task; there are {', '.join(found)}."
        raise InputError(msg)
    return found[name]


def _texts(problem: LanguageProblem) -> dict[str, str]:
    """What is particular to each item; where the problem does not say it, what the user's turns of its prompt say."""
    asked: dict[str, str] = {}
    if not all(item.text for item in problem.items):
        for question in problem.questions():
            if not question.row:
                asked.setdefault(question.item, _said(question.request))
    return {item.id: item.text or asked.get(item.id, "") for item in problem.items}


def _said(request: Request) -> str:
    return request.raw or "\n".join(turn["content"] for turn in request.chat if turn["role"] == "user")


def _scores(results: Iterable[Result], flagged: pd.Series[bool]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    rows: list[dict[str, Any]] = []
    notes = []
    for result in results:
        if result.status != "ok":
            notes.append(f"{result.embedding}: {result.status}.")
        elif result.items_digest != digest_of([str(item) for item in flagged.index]):
            notes.append(f"{result.embedding}: its result is of other items than the task has now; run it again.")
        elif result.right is None:
            notes.append(f"{result.embedding}: the main score of the task is no share of right items.")
        else:
            right = pd.Series(result.right, index=flagged.index)
            for part, of in (("all", right), ("not flagged", right[~flagged]), ("flagged", right[flagged])):
                if len(of):
                    low, high = wilson(int(of.sum()), len(of))
                    row = {"model": result.embedding, "items": part, "n": len(of), "share": of.mean()}
                    rows.append(row | {"low": low, "high": high})
    return pd.DataFrame(rows, columns=["model", "items", "n", "share", "low", "high"]), tuple(notes)


def shares(texts: Mapping[str, str], corpus: Iterable[str]) -> pd.DataFrame:
    """Which share of the word sequences of each text occurs in a corpus, which is read once.

    Parameters
    ----------
    texts
        Text by item. Lines, and sequences of words, that more than 10 of the texts (or more than half of them) have
        are wording of the task and not counted. Case, punctuation and the letters of options do not count.
    corpus
        Texts; of it only what stands in `texts` too is kept.

    Returns
    -------
    Table with a row for each item: ``share_8``, ``share_13``, the share of its distinct sequences of so many words that
    occur in the corpus, NaN for one that has none of its own; and ``flagged``, whether ``share_8`` is 0.3 or more.

    Examples
    --------
    >>> texts = {"a": "Which nerve is damaged if the uvula is drawn to the left?", "b": "Name the largest organ."}
    >>> shares(texts, ["Q: which nerve is damaged if the uvula is drawn upwards?"])["share_8"].round(2).to_dict()
    {'a': 0.4, 'b': nan}
    """
    parts = _own_parts(texts)
    grams = {n: _own_grams(parts.values(), n) for n in SIZES}
    found: dict[int, set[Gram]] = {n: set() for n in SIZES}
    for text in corpus:
        words = _words(text)
        for n in SIZES:
            found[n] |= grams[n].intersection(_sequences(words, n))
    columns = {f"share_{n}": [_share(item, n, grams[n], found[n]) for item in parts.values()] for n in SIZES}
    table = pd.DataFrame(columns, index=pd.Index(list(parts), name="item"), dtype="float64")
    return table.assign(flagged=table[f"share_{SIZES[0]}"] >= FLAGGED)


def _most_shared(n_texts: int) -> int:
    return max(1, min(_MOST_SHARED, n_texts // 2))


def _own_parts(texts: Mapping[str, str]) -> dict[str, list[list[str]]]:
    """Words by item, in parts between the lines that many items have."""
    lines = {item: text.splitlines() for item, text in texts.items()}
    counts = Counter(chain.from_iterable(map(set, lines.values())))
    most = _most_shared(len(texts))
    parts = {}
    for item, given in lines.items():
        text = "\0".join(line if counts[line] <= most else "\0\0" for line in given)
        parts[item] = [_words(part) for part in re.split("\0{3,}", text)]
    return parts


def _own_grams(items: Iterable[list[list[str]]], n: int) -> set[Gram]:
    counts: Counter[Gram] = Counter()
    n_items = 0
    for parts in items:
        counts.update(_distinct(parts, n))
        n_items += 1
    most = _most_shared(n_items)
    return {gram for gram, count in counts.items() if count <= most}


def _share(parts: list[list[str]], n: int, own: set[Gram], found: set[Gram]) -> float:
    grams = _distinct(parts, n) & own
    return len(grams & found) / len(grams) if grams else float("nan")


def _distinct(parts: list[list[str]], n: int) -> set[Gram]:
    return {gram for words in parts for gram in _sequences(words, n)}


def _sequences(words: list[str], n: int) -> Iterator[Gram]:
    return zip(*(words[start:] for start in range(n)), strict=False)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", _LETTER.sub(" ", text).casefold())
