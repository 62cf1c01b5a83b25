import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import bftembed as bft
from bftembed.errors import InputError

mpl.use("Agg")


@pytest.fixture
def table():
    rows = [
        ("b", "text", "own", 0.8, 0.7, 0.9),
        ("a", "text", "own", 0.6, np.nan, np.nan),
        ("b", "random", "own", 0.5, 0.4, 0.6),
        ("b", "text", "shared", 0.9, 0.8, 1.0),
        ("b", "broken", "own", np.nan, np.nan, np.nan),
    ]
    return pd.DataFrame(rows, columns=["task", "embedding", "subset", "score", "low", "high"]).assign(metric="auroc")


def drawn(ax):
    """By label: score and limits."""
    labels = [label.get_text() for label in ax.get_yticklabels()]
    limits = [tuple(path.vertices[:, 0]) for path in ax.collections[0].get_paths()]
    return {label: (x, *ends) for label, x, ends in zip(labels, ax.lines[0].get_xdata().tolist(), limits, strict=True)}


def test_scores_and_intervals_by_task(table):
    first, second = bft.pl.scores(table, show=False)
    assert (first.get_title(), first.get_xlabel(), second.get_title()) == ("b", "auroc", "a")
    assert drawn(first) == {"text": (0.8, 0.7, 0.9), "random": (0.5, 0.4, 0.6)}
    assert first.lines[0].get_ydata().tolist() == [0, 1]
    assert first.yaxis_inverted()
    assert second.lines[0].get_xdata().tolist() == [0.6]
    assert [ax.get_title() for ax in bft.pl.scores(table, ["a", "b"], show=False)] == ["a", "b"]
    (shared,) = bft.pl.scores(table, subset="shared", show=False)
    assert drawn(shared) == {"text": (0.9, 0.8, 1.0)}


def test_results_of_a_run_are_taken_as_they_are():
    task = bft.bench.find_tasks(names=["gene_property.dosage"])[0]
    score = {"method": "logistic", "metric": "auroc", "mean": 0.75, "values": [[0.75]]}
    score |= {"interval_items": None, "interval_folds": (0.7, 0.8)}
    given = {"key": "k", "task": task.info, "spec": "", "description": {}, "subset": "own", "status": "ok"}
    results = bft.bench.Results([bft.bench.Result(**given, embedding="text", scores=[score])])
    (ax,) = bft.pl.scores(results, show=False)
    assert drawn(ax) == {"text": (0.75, 0.7, 0.8)}


def test_axes_and_files(table, tmp_path):
    own = plt.subplots()[1]
    assert bft.pl.scores(table, "b", ax=own, show=False, save=tmp_path / "x.png") == [own]
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    for wrong, match in (
        ({"ax": own}, "1 axes for 2 tasks"),
        ({"tasks": "c"}, "no result of `c`"),
        ({"tasks": "a", "subset": "shared"}, "None of the 5"),
        ({"subset": "both"}, "subset"),
        ({"results": table.drop(columns="low")}, "low"),
        ({"results": [1]}, "bft.bench.run"),
    ):
        with pytest.raises(InputError, match=match):
            bft.pl.scores(**{"results": table, "show": False, **wrong})
