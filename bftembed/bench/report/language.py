"""Tables of language models, mode by mode: what is ranked and what is written never stand in one column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bftembed.bench.report.controls import control_tables
from bftembed.bench.report.index import is_language
from bftembed.bench.report.ranks import mean_ranks
from bftembed.bench.report.score_tables import own_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bftembed.bench.base import Mode
    from bftembed.bench.report.comparisons import Pair
    from bftembed.bench.report.controls import ControlTable
    from bftembed.bench.report.index import Index
    from bftembed.bench.report.ranks import Ranks
    from bftembed.bench.report.score_tables import ScoreTable

_TITLES: dict[Mode, str] = {
    "rank": "Options ranked by their log-probabilities",
    "generate": "Written answers",
    "": "Texts",
}


@dataclass(frozen=True)
class ModeTables:
    """Scores of the models in the tasks of one mode, that may rank and the others; mean ranks; controls by task."""

    mode: Mode
    title: str
    models: list[str]
    ranked: ScoreTable
    unranked: ScoreTable
    ranks: list[Ranks]
    controls: list[ControlTable]


def mode_tables(index: Index, pairs: Sequence[Pair]) -> list[ModeTables]:
    """One for each mode in which there is a result of a language task; `pairs` compare its models."""
    parts = [
        (mode, title, index.part(lambda info, mode=mode: is_language(info) and info.mode == mode))  # type: ignore[misc]
        for mode, title in _TITLES.items()
    ]
    return [
        ModeTables(
            mode,
            title,
            part.embeddings,
            own_scores(part, ranked=True),
            own_scores(part, ranked=False),
            mean_ranks(part),
            control_tables(part, pairs),
        )
        for mode, title, part in parts
        if part.results
    ]
