"""Questions of the reinforcement and of the test: the same words in both, and no evidence that could be copied."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed.errors import InputError
from bftembed.tune.data.samples import read_rows
from bftembed.tune.grpo.questions import checked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from bftembed.studies.grpo.config import Questions

log = logging.getLogger("bftembed")
#: Above it a constant answer is worth learning.
MOST_FOR_A_CONSTANT = 0.6
_OF_EACH = 4


@dataclass(frozen=True)
class Item:
    """One question.

    Attributes
    ----------
    id
        Unique among the questions of its set.
    prompt
        Messages.
    answer, choices
        The right answer and all possible ones.
    group
        Within which answers are compared, e.g. the read-out gene; empty where the question stands alone.
    genes
        Perturbed gene and read-out gene, where there are such.
    """

    id: str
    prompt: list[dict[str, str]]
    answer: str
    choices: tuple[str, ...]
    group: str = ""
    genes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exam:
    """Questions to train on, and sets of test questions by name, the main one first.

    `rates` has, by group, the share of training answers that are the first choice, before balancing.
    """

    train: list[Item]
    test: dict[str, list[Item]]
    rates: dict[str, float] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Begin of a SHA-256 of all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    @property
    def main(self) -> list[Item]:
        """The main test."""
        return next(iter(self.test.values()))

    def rows(self, *, answer: int | None = None) -> list[dict[str, Any]]:
        """Training questions as GRPO takes them; with `answer`, the choice of that number is right in all."""
        return [
            {
                "prompt": item.prompt,
                "answer": item.answer if answer is None else item.choices[answer],
                "choices": list(item.choices),
            }
            for item in self.train
        ]


def best_constant(items: Sequence[Item]) -> tuple[str, float]:
    """The answer that is right most often, and how often.

    Examples
    --------
    >>> from bftembed.studies.grpo.questions import Item, best_constant
    >>> best_constant([Item(str(n), [], answer, ("yes", "no")) for n, answer in enumerate(["yes", "no", "yes", "yes"])])
    ('yes', 0.75)
    """
    answer, count = min(Counter(item.answer for item in items).items(), key=lambda found: (-found[1], found[0]))
    return answer, count / len(items)


def gene_rate(items: Sequence[Item], rates: Mapping[str, float]) -> float | None:
    """Accuracy of the answer that is more frequent in training for the group; None without groups.

    Where the two are as frequent, or a group has no training answers, half an answer is right.
    """
    if not rates:
        return None
    right = [_right(item, rates.get(item.group, 0.5)) for item in items]
    return sum(right) / len(right)


def _right(item: Item, rate: float) -> float:
    return 0.5 if rate == 0.5 else float((rate > 0.5) == (item.answer == item.choices[0]))


def prepare(settings: Questions, directory: Path) -> Exam:
    """Read and check the questions.

    Parameters
    ----------
    settings
        See `Questions`.
    directory
        For what is made on the way.

    Raises
    ------
    DataError
        If data are missing or broken.
    InputError
        If a constant answer earns more than 0.6 of the rewards in training, and that is not allowed.
    """
    if settings.source in ("dir", "de"):
        exam = _perturbqa(settings)
    elif settings.source == "pubmedqa":
        exam = _pubmedqa(settings, directory)
    else:
        train, test = (_read(path) for path in (settings.source, str(settings.test)))
        exam = Exam(train[: settings.n_train], {"test": test[: settings.n_test]})
    answer, share = best_constant(exam.train)
    if share > MOST_FOR_A_CONSTANT and settings.unbalanced == "refuse":
        msg = (
            f"Who always answers `{answer}` earns {share:.2f} of the rewards of these questions, and would be paid for "
            f"a constant. Balance them, or set `questions.unbalanced: allow`."
        )
        raise InputError(msg)
    log.info("Who always answers `%s` earns %.2f of the rewards of %d questions.", answer, share, len(exam.train))
    return exam


def _read(path: str | Path) -> list[Item]:
    """Questions of a file, see `bftembed.tune.grpo.questions.read_questions`; rows may have a `group`."""
    found = []
    for number, (place, row) in enumerate(read_rows(Path(path).expanduser(), "train")):
        question = checked(place, row)
        prompt = question["prompt"]
        chat = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        group = str(row.get("group", ""))
        found.append(Item(f"{number}", chat, question["answer"], tuple(question["choices"]), group))
    if not found:
        msg = f"`{path}` holds no questions."
        raise InputError(msg)
    return found


def _pubmedqa(settings: Questions, directory: Path) -> Exam:
    from bftembed.tune import build_corpus

    place = directory / "pubmedqa"
    if not (place / "corpus.json").exists():
        build_corpus("pubmedqa", place)
    train = [item for split in ("train", "validation") for item in _read(place / f"{split}.jsonl")]
    return Exam(train[: settings.n_train], {"official test": _read(place / "test.jsonl")[: settings.n_test]})


def _perturbqa(settings: Questions) -> Exam:
    """K562, balanced within the gene, at most four of each answer; tested on new perturbations, and on RPE1."""
    from bftembed import data
    from bftembed.bench import gene_summaries
    from bftembed.bench.language.perturbations.pairs import balanced, checked_pairs
    from bftembed.bench.language.perturbations.prompts import Wording

    effect = settings.source
    own = checked_pairs(_unseen(data.load("perturbqa", f"k562_{effect}").assign(cell="K562")))
    other = checked_pairs(_unseen(data.load("perturbqa", f"rpe1_{effect}").assign(cell="RPE1")))
    learned, tested = own[own["split"] == "train"], own[own["split"] == "test"]
    rates = learned.groupby("gene")["label"].mean()
    train = learned[balanced(learned, most=_OF_EACH)]
    # Of the other cell line, perturbations that were not trained on under whatever name.
    seen = set(_symbols(train["pert"]))
    other = other[(other["split"] == "test") & ~_symbols(other["pert"]).isin(seen)]
    chosen = {
        "train": _few(train, settings.n_train),
        "K562, new perturbations": _few(tested[balanced(tested)], settings.n_test),
        "RPE1, another cell line": _few(other[balanced(other)], settings.n_test),
    }
    texts: dict[str, str] = {}
    if settings.described:
        texts = gene_summaries(sorted({name for rows in chosen.values() for name in (*rows["pert"], *rows["gene"])}))
    wording = Wording(effect, "crispri", texts, texts)  # type: ignore[arg-type]
    items = {name: _items(rows, wording, described=settings.described) for name, rows in chosen.items()}
    return Exam(items.pop("train"), items, {str(gene): float(rate) for gene, rate in rates.items()})


def _symbols(names: pd.Series[str]) -> pd.Series[str]:
    """Symbols of genes, by whatever name; the name itself where there is none."""
    from bftembed.entities import canonical

    unique = names.unique()
    known = {name: symbol or name for name, symbol in zip(unique, canonical(unique), strict=True)}
    return names.map(known)


def _unseen(pairs: pd.DataFrame) -> pd.DataFrame:
    """Pairs without training pairs of a perturbation that is tested under another name."""
    symbols = _symbols(pairs["pert"])
    tested = set(symbols[pairs["split"] == "test"])
    return pairs[(pairs["split"] == "test") | ~symbols.isin(tested)]


def _few(pairs: pd.DataFrame, n: int) -> pd.DataFrame:
    """Whole genes in the order of their digests, as long as there are at most `n` pairs; at least one gene."""
    sizes = pairs.groupby("readout").size()
    order = sorted(sizes.index, key=lambda name: hashlib.sha256(str(name).encode()).hexdigest())
    taken = np.cumsum([sizes[name] for name in order]) <= n
    kept = {name for name, is_taken in zip(order, taken, strict=True) if is_taken} or set(order[:1])
    return pairs[pairs["readout"].isin(kept)].reset_index(drop=True)


def _items(rows: pd.DataFrame, wording: Any, *, described: bool) -> list[Item]:
    from bftembed.bench.language.perturbations.pairs import ids_of
    from bftembed.bench.language.perturbations.prompts import ANSWERS, SYSTEM, Asked

    choices = ANSWERS[wording.effect]
    found = []
    for name, row in zip(ids_of(rows), rows.itertuples(index=False), strict=True):
        asked = Asked(str(row.pert), str(row.gene), str(row.cell))
        prompt = wording.prompt(asked, described=described, reason=True)
        chat = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": prompt}]
        found.append(Item(name, chat, choices[not row.label], choices, asked.gene, (asked.pert, asked.gene)))
    return found
