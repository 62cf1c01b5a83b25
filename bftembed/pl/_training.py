"""Curves of tuning runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bftembed._near import did_you_mean
from bftembed.errors import InputError
from bftembed.pl._finish import check_save, finish
from bftembed.tune.logs import LOG, read_log

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What is drawn of a run, as far as it was logged.
_METRICS = ("loss", "eval_loss", "mean_confidence", "reward", "answered", "entropy")
_MARKED = 40

Entries = list[dict[str, Any]]


def training(
    runs: str | Path | Sequence[str | Path] | Mapping[str, str | Path],
    metrics: str | Sequence[str] | None = None,
    *,
    ax: Axes | Sequence[Axes] | None = None,
    show: bool = True,
    save: str | Path | None = None,
) -> list[Axes]:
    r"""Plot the curves of tuning runs, also of one that still goes on: a panel for each metric, a line for each run.

    Parameters
    ----------
    runs
        Output directory of :func:`bftembed.tune.tune` (its ``log.jsonl`` is read), several, or labels and directories.
    metrics
        Names in the log; by default those of ``loss``, ``eval_loss``, ``mean_confidence`` (of the supervised tokens)
        and, of GRPO, ``reward``, ``answered`` and ``entropy`` that were logged.
    ax
        Where to draw: as many as there are metrics.
    show
        Show the figure.
    save
        File to write.

    Returns
    -------
    list of matplotlib.axes.Axes
        One for each metric; optimizer steps are on x.

    Raises
    ------
    InputError
        If a directory has no log, no step or none of the metrics was logged, there are other than as many axes as
        metrics, or the file cannot be written.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> import bftembed as bft
    >>> with tempfile.TemporaryDirectory() as run:
    ...     lines = [json.dumps({"step": step, "loss": 3 / step}) for step in (1, 2, 3)]
    ...     _ = pathlib.Path(run, "log.jsonl").write_text("\n".join(lines))
    ...     (ax,) = bft.pl.training({"first": run}, show=False)
    >>> ax.lines[0].get_label(), ax.lines[0].get_ydata().tolist()
    ('first', [3.0, 1.5, 1.0])
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    check_save(save)
    logs = {label: _entries(path) for label, path in _labelled(runs).items()}
    wanted = _wanted(metrics, logs)
    if ax is None:
        ax = plt.subplots(1, len(wanted), figsize=(4 * len(wanted), 3), layout="constrained", squeeze=False)[1][0]
    panels: list[Axes] = list(ax) if isinstance(ax, Sequence | np.ndarray) else [ax]
    if len(panels) != len(wanted):
        msg = f"There are {len(panels)} axes for {len(wanted)} metrics ({', '.join(wanted)}): give one for each."
        raise InputError(msg)
    for panel, metric in zip(panels, wanted, strict=True):
        for label, entries in logs.items():
            curve = [(entry["step"], entry[metric]) for entry in entries if entry.get(metric) is not None]
            # A run that lacks the metric keeps its colour for the others.
            steps, values = np.array(curve, dtype=float).reshape(-1, 2).T
            panel.plot(steps, values, marker="." if len(curve) < _MARKED else None, label=label)
        panel.set(xlabel="step", title=metric)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(logs) > 1:
        panels[-1].legend(fontsize="small")
    finish(panels[0], show=show, save=save)
    return panels


def _labelled(runs: str | Path | Sequence[str | Path] | Mapping[str, str | Path]) -> dict[str, Path]:
    """Directories by label: the shortest ends of their paths that differ."""
    if isinstance(runs, Mapping):
        labelled = {str(label): Path(path).expanduser() for label, path in runs.items()}
    else:
        paths = [Path(path).expanduser() for path in ([runs] if isinstance(runs, str | Path) else runs)]
        paths = list(dict.fromkeys(paths))
        ends = [tuple(path.resolve().parts) for path in paths]
        n = next((n for n in range(1, 99) if len({end[-n:] for end in ends}) == len(ends)), 99)
        labelled = {"/".join(end[-n:]): path for end, path in zip(ends, paths, strict=True)}
    if not labelled:
        msg = "`runs` is empty: give the output directory of a tuning run."
        raise InputError(msg)
    return labelled


def _entries(path: Path) -> Entries:
    if not (path / LOG).is_file():
        below = [each.parent.name for each in sorted(path.glob(f"*/{LOG}"))]
        there = f" Below it are those of {', '.join(below)}." if below else ""
        msg = f"`{path}` holds no `{LOG}`: give the output directory of a tuning run.{there}"
        raise InputError(msg)
    if not (entries := read_log(path / LOG)):
        msg = f"The run in `{path}` has logged no step yet: wait for its first one."
        raise InputError(msg)
    return entries


def _wanted(metrics: str | Sequence[str] | None, logs: Mapping[str, Entries]) -> list[str]:
    known = dict.fromkeys(name for entries in logs.values() for entry in entries for name in entry if name != "step")
    if metrics is None:
        if not (found := [name for name in _METRICS if name in known]):
            msg = f"None of {', '.join(_METRICS)} was logged; `metrics` can be {', '.join(known)}."
            raise InputError(msg)
        return found
    wanted = [metrics] if isinstance(metrics, str) else list(metrics)
    if missing := [name for name in wanted if name not in known]:
        msg = f"`{missing[0]}` was not logged; there are {', '.join(known)}.{did_you_mean(missing[0], known)}"
        raise InputError(msg)
    if not wanted:
        msg = f"`metrics` is empty: name some of {', '.join(known)}, or None."
        raise InputError(msg)
    return wanted
