"""The report as Markdown: tables that GitHub shows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bftembed.bench.report.text import DASH, count, interval, number, p_value, span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bftembed.bench.report.controls import Control, ControlTable
    from bftembed.bench.report.language import ModeTables
    from bftembed.bench.report.ranks import Ranks
    from bftembed.bench.report.score_tables import Cell, ScoreTable
    from bftembed.bench.report.tables import Report

_SPECIAL = re.compile(r"([\\|`*<>\[\]~]|(?<!\w)_|_(?!\w))")
_MARKS = (
    "Main score with its 95 % interval (over items, else the mere spread over folds). † not better than the best "
    "baseline; ‡ less than 80 % of the entities found."
)

_UNRANKED = "Not ranked (too noisy, nearly solved, or superseded):"
_VISIBLE, _PUBLISHED = "smallest visible difference", "published elsewhere, not measured here"
_LANGUAGE = (
    "Ranked and written answers stand apart, and each preset of the prompts is a task of its own. The smallest visible "
    "difference is what a test of two of the models on these items would find in 80 % of cases, the median over all "
    "pairs; of one model, what it would between two independent ones."
)
_CONTROLS = (
    "Main score of each model, then what is had on the same items without it or without what it is asked. † the model "
    "does not leave it behind: the interval of its score reaches it (of its base model: the paired test shows no gain)."
)


def markdown_text(report: Report) -> str:
    """Scores, comparisons, published figures and failures; the rest is in the HTML page only."""
    blocks = [*_head(report), *_scores(report), *_ranks(report.ranks, report.embeddings, "## Mean rank")]
    blocks += [*_language(report), *_comparisons(report), *_published(report)]
    blocks += [*_failures(report), *_provenance(report)]
    return "\n\n".join(blocks) + "\n"


def escape(text: object) -> str:
    """Plain text in a cell: nothing of it is markup."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def _head(report: Report) -> list[str]:
    blocks = ["# Benchmark report"]
    if report.n_fast:
        blocks.append(f"**Fast subset: not for publication** ({report.n_fast} of {report.n_results} results).")
    of = [(report.embeddings, "embedding"), (report.models, "language model")]
    counted = [count(len(names), what) for names, what in of if names]
    counted += [count(len(report.sections), "task"), count(report.n_results, "result")]
    blocks.append(f"{', '.join(counted)}, {len(report.failures)} failed.")
    return blocks


def _scores(report: Report) -> list[str]:
    if not report.sections:
        return ["There are no results."]
    if not report.embeddings:
        return []
    blocks = ["## Scores", _MARKS, *_score_tables(report.own, report.own_unranked), "## On the same items"]
    if len(report.embeddings) < 2:
        return blocks[:-1]
    if report.is_same:
        return [*blocks, "All embeddings were scored on the same items in every task: see above."]
    tables = _score_tables(report.same, report.same_unranked)
    return [*blocks, *(tables or ["No two embeddings were scored on the same items."])]


def _score_tables(ranked: ScoreTable, unranked: ScoreTable) -> list[str]:
    blocks = [_score_table(ranked)] if ranked.columns else []
    if unranked.columns:
        blocks += [_UNRANKED, _score_table(unranked)]
    return blocks


def _score_table(table: ScoreTable) -> str:
    rows = []
    for column in table.columns:
        info = column.info
        task = escape(info.name)
        if info.superseded_by:
            task += f" (superseded by {escape(info.superseded_by)})"
        metric = f"{escape(info.main_score)} {'↑' if info.higher_is_better else '↓'}"
        best = DASH if column.baseline is None else f"{number(column.baseline[1])} {escape(column.baseline[0])}"
        more = [best, number(column.visible), span(column.n_items)]
        rows.append([task, metric, *map(_cell, column.cells), *more])
    return _table(["task", "score", *map(escape, table.embeddings), "best trivial baseline", _VISIBLE, "n"], rows)


def _cell(cell: Cell) -> str:
    if cell.value is None:
        return "failed" if cell.status == "failed" else DASH
    marks = ("†" if cell.not_better else "") + ("‡" if cell.few else "")
    return f"{number(cell.value)}{marks} {interval(cell.limits)}".strip()


def _ranks(every: Sequence[Ranks], embeddings: Sequence[str], title: str) -> list[str]:
    if not every:
        return []
    about = "Over the ranked tasks of a family, of those that have all of them (1 is best)."
    header = [f"{ranks.family} ({count(len(ranks.tasks), 'task')})" for ranks in every]
    rows = [[escape(name), *(number(ranks.rows[i].mean, 2) for ranks in every)] for i, name in enumerate(embeddings)]
    return [title, about, _table(["name", *header], rows)]


def _language(report: Report) -> list[str]:
    if not report.language:
        return []
    blocks = ["## Language models", _LANGUAGE]
    for mode in report.language:
        blocks += [f"### {mode.title}", *_mode_scores(mode), *_ranks(mode.ranks, mode.models, "#### Mean rank")]
        if mode.controls:
            blocks += ["#### Beside the controls", _CONTROLS, *map(_control_table, mode.controls)]
    return blocks


def _mode_scores(mode: ModeTables) -> list[str]:
    blocks = [_mode_table(mode.ranked)] if mode.ranked.columns else []
    return [*blocks, _UNRANKED, _mode_table(mode.unranked)] if mode.unranked.columns else blocks


def _mode_table(table: ScoreTable) -> str:
    rows = [
        [
            escape(column.info.name),
            escape(column.info.preset) or DASH,
            f"{escape(column.info.main_score)} {'↑' if column.info.higher_is_better else '↓'}",
            *map(_cell, column.cells),
            number(column.visible),
            span(column.n_items),
            "; ".join(f"{escape(p.model)}: {_spread(p.value, p.spread)}" for p in column.info.published) or DASH,
        ]
        for column in table.columns
    ]
    head = ["task", "preset", "score", *map(escape, table.embeddings), _VISIBLE, "n", _PUBLISHED]
    return _table(head, rows)


def _control_table(table: ControlTable) -> str:
    info = table.info
    asked = ", ".join(filter(None, (info.name, info.preset)))
    rows = [
        [
            escape(row.model),
            f"{number(row.value)} {interval(row.limits)}".strip(),
            *(_control(row.controls.get(name)) for name in table.controls),
            escape(row.trouble),
        ]
        for row in table.rows
    ]
    return _table([escape(asked), escape(info.main_score), *map(escape, table.controls), "not answered, flips"], rows)


def _control(control: Control | None) -> str:
    return DASH if control is None else number(control.value) + ("†" if control.not_better else "")


def _comparisons(report: Report) -> list[str]:
    if not report.pairs:
        return []
    rows = [
        [
            escape(row.first),
            escape(row.second),
            escape(row.info.name),
            row.subset,
            number(row.difference.mean),
            interval((row.difference.low, row.difference.high)) or DASH,
            p_value(row.difference.p_value),
            p_value(row.adjusted),
            number(row.visible),
            row.test,
            escape(row.better) or DASH,
        ]
        for pair in report.pairs
        for row in pair.rows
    ]
    head = "first, second, task, items, first − second, 95 % interval, p, adjusted p, smallest visible, test, better"  # noqa: RUF001
    about = "P-values are adjusted (Holm) over the tasks of a pair; better is who is so at an adjusted p below 0.05."
    return ["## Comparisons", about, _table(head.split(", "), rows)]


def _published(report: Report) -> list[str]:
    rows = [
        [escape(s.info.name), escape(p.model), escape(p.metric), _spread(p.value, p.spread), escape(p.source)]
        for s in report.sections
        for p in s.info.published
    ]
    if not rows:
        return []
    about = "By others, by their protocols: not to be compared with the scores above number by number."
    table = _table(["task", "model", "metric", "value", "source"], rows)
    return ["## Published elsewhere, not measured here", about, table]


def _spread(value: float, spread: float | None) -> str:
    return number(value) if spread is None else f"{number(value)} ± {number(spread)}"


def _failures(report: Report) -> list[str]:
    blocks = []
    if report.failures:
        rows = [[escape(r.task), escape(r.embedding), r.subset, escape(r.reason)] for r in report.failures]
        blocks += ["## Failed", _table(["task", "embedding", "items", "reason"], rows)]
    if report.not_applicable:
        lines = [f"{escape(e.embedding)}: {escape(e.reason)} ({', '.join(e.tasks)})" for e in report.not_applicable]
        blocks += ["## Not applicable", _list(lines)]
    if report.stale:
        blocks += ["## Out of date, and left out", _list(map(escape, report.stale))]
    return blocks


def _provenance(report: Report) -> list[str]:
    differing = report.provenance.differing
    return ["## Not the same in all results", _list(map(escape, differing))] if differing else []


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
