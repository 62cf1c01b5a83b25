"""Scores of benchmarks with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from bftembed._near import check_choice, did_you_mean
from bftembed.errors import InputError
from bftembed.pl._finish import check_save, finish

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

_COLUMNS = ("task", "embedding", "subset", "metric", "score", "low", "high")


def scores(
    results: Any,
    tasks: str | Sequence[str] | None = None,
    *,
    subset: Literal["own", "shared"] = "own",
    ax: Axes | Sequence[Axes] | None = None,
    show: bool = True,
    save: str | Path | None = None,
) -> list[Axes]:
    """Plot scores of benchmarks and their 95 % intervals: a panel for each task, a line for each embedding.

    Whether two embeddings differ cannot be read from intervals that overlap: the report
    (:func:`bftembed.bench.write_report`) compares them on the same items.

    Parameters
    ----------
    results
        Of :func:`bftembed.bench.run` or :func:`bftembed.bench.read_results`, or their ``table()``, a DataFrame.
    tasks
        Names of the tasks to draw; by default all.
    subset
        ``"own"``: each embedding on all that it has; ``"shared"``: on what all of them have.
    ax
        Where to draw: as many as there are tasks.
    show
        Show the figure.
    save
        File to write.

    Returns
    -------
    list of matplotlib.axes.Axes
        One for each task; the first embedding of the table stands at the top.

    Raises
    ------
    InputError
        If there is no score of such a task and subset, there are other than as many axes as tasks, or the file
        cannot be written.

    Examples
    --------
    >>> import pandas as pd
    >>> import bftembed as bft
    >>> found = {"embedding": ["text", "random"], "score": [0.8, 0.5], "low": [0.7, 0.4], "high": [0.9, 0.6]}
    >>> table = pd.DataFrame({"task": "dosage", "subset": "own", "metric": "auroc", **found})
    >>> (ax,) = bft.pl.scores(table, show=False)
    >>> ax.get_title(), ax.get_xlabel(), [label.get_text() for label in ax.get_yticklabels()]
    ('dosage', 'auroc', ['text', 'random'])
    """
    import matplotlib.pyplot as plt

    check_save(save)
    check_choice("subset", subset, ("own", "shared"))
    table = _table(results, tasks, subset)
    groups = list(table.groupby("task", sort=False))
    if ax is None:
        most = max(len(rows) for _, rows in groups)
        size = (4 * len(groups), 1 + 0.3 * most)
        ax = plt.subplots(1, len(groups), figsize=size, layout="constrained", squeeze=False)[1][0]
    panels: list[Axes] = list(np.atleast_1d(np.asarray(ax, dtype=object)))
    if len(panels) != len(groups):
        msg = f"There are {len(panels)} axes for {len(groups)} tasks: give one for each."
        raise InputError(msg)
    for panel, (task, rows) in zip(panels, groups, strict=True):
        _draw(panel, str(task), rows)
    finish(panels[0], show=show, save=save)
    return panels


def _draw(panel: Axes, task: str, rows: pd.DataFrame) -> None:
    places = np.arange(len(rows))
    panel.hlines(places, rows["low"].to_numpy(float), rows["high"].to_numpy(float), color="0.5")
    panel.plot(rows["score"].to_numpy(float), places, "o")
    panel.set_yticks(places, rows["embedding"].astype(str))
    panel.invert_yaxis()
    panel.set(title=task, xlabel=str(rows["metric"].iloc[0]))


def _table(results: Any, tasks: str | Sequence[str] | None, subset: str) -> pd.DataFrame:
    """Rows with a score, of the tasks that are asked for, in their order."""
    table = results.table() if hasattr(results, "table") else results
    if not isinstance(table, pd.DataFrame) or not set(_COLUMNS) <= set(table.columns):
        msg = f"`results` are those of bft.bench.run or read_results, or a table with {', '.join(_COLUMNS)}."
        raise InputError(msg)
    known = list(dict.fromkeys(table["task"]))
    wanted = known if tasks is None else [tasks] if isinstance(tasks, str) else list(tasks)
    if unknown := [name for name in wanted if name not in known]:
        msg = f"There is no result of `{unknown[0]}`; there are those of {', '.join(known)}."
        raise InputError(msg + did_you_mean(unknown[0], known))
    rows = table[(table["subset"] == subset) & table["score"].notna() & table["task"].isin(wanted)]
    if rows.empty:
        msg = f"None of the {len(table)} results is a score on the subset {subset!r} of these tasks."
        raise InputError(msg)
    return rows.sort_values("task", key=lambda names: names.map(wanted.index), kind="stable")
