import json
import subprocess
import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

import bftembed as bft
from bftembed.errors import InputError

mpl.use("Agg")


def run(path, entries):
    path.mkdir(parents=True)
    (path / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


@pytest.fixture
def supervised(tmp_path):
    steps = [{"step": n, "loss": 3 / n, "mean_confidence": 0.1 * n, "grad_norm": 1.0} for n in (1, 2, 3)]
    evaluated = [
        {"step": 0, "eval_loss": 2.5},
        *steps,
        {"step": 3, "eval_loss": 1.5},
        {"step": 3, "train_runtime": 9.0},
    ]
    return run(tmp_path / "a" / "sft", evaluated)


def test_no_tick_is_between_two_steps(supervised):
    for ax in bft.pl.training(supervised, show=False):
        ticks = ax.get_xticks()
        assert len(ticks) > 1
        np.testing.assert_array_equal(ticks, np.round(ticks))


def curves(ax):
    return {line.get_label(): line.get_xydata().tolist() for line in ax.lines}


def test_the_curves_are_those_of_the_log(supervised):
    panels = bft.pl.training(supervised, show=False)
    assert [panel.get_title() for panel in panels] == ["loss", "eval_loss", "mean_confidence"]
    assert curves(panels[0]) == {"sft": [[1, 3], [2, 1.5], [3, 1]]}
    assert curves(panels[1]) == {"sft": [[0, 2.5], [3, 1.5]]}
    assert panels[0].get_xlabel() == "step"
    assert panels[-1].get_legend() is None


def test_several_runs_have_labels_that_differ_and_one_colour_each(supervised, tmp_path):
    tuned = run(tmp_path / "b" / "sft", [{"step": 1, "reward": 0.5, "kl": None}, {"step": 2, "reward": 1, "kl": 0.1}])
    panels = bft.pl.training([supervised, str(tuned)], ["loss", "reward", "kl"], show=False)
    assert list(curves(panels[0])) == ["a/sft", "b/sft"]
    assert curves(panels[0])["b/sft"] == []
    assert curves(panels[1]) == {"a/sft": [], "b/sft": [[1, 0.5], [2, 1]]}
    assert curves(panels[2])["b/sft"] == [[2, 0.1]]
    assert len({panel.lines[1].get_color() for panel in panels}) == 1
    assert [text.get_text() for text in panels[-1].get_legend().get_texts()] == ["a/sft", "b/sft"]
    named = bft.pl.training({"SFT": supervised, "GRPO": tuned}, "loss", show=False)
    assert list(curves(named[0])) == ["SFT", "GRPO"]


def test_axes_and_files(supervised, tmp_path):
    own = plt.subplots(1, 2)[1]
    panels = bft.pl.training(supervised, ["loss", "grad_norm"], ax=own, show=False, save=tmp_path / "x.png")
    assert panels == list(own)
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    one = plt.subplots()[1]
    assert bft.pl.training(supervised, "loss", ax=one, show=False) == [one]
    with pytest.raises(InputError, match="2 axes for 3 metrics"):
        bft.pl.training(supervised, ax=own, show=False)


def test_a_run_that_goes_on_is_drawn_as_far_as_it_is(supervised):
    with (supervised / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    assert len(curves(bft.pl.training(supervised, "loss", show=False)[0])["sft"]) == 3


def test_what_is_no_run(supervised, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "log.jsonl").write_text("")
    for wrong, match in (
        ({"runs": tmp_path / "none"}, "holds no `log.jsonl`"),
        ({"runs": tmp_path / "a"}, "Below it are those of sft"),
        ({"runs": tmp_path / "new"}, "no step yet"),
        ({"runs": []}, "empty"),
        ({"runs": supervised, "metrics": "lose"}, "Did you mean `?loss"),
        ({"runs": supervised, "metrics": []}, "empty"),
        ({"runs": run(tmp_path / "odd", [{"step": 1, "kl": 1.0}])}, "`metrics` can be kl"),
    ):
        with pytest.raises(InputError, match=match):
            bft.pl.training(**wrong, show=False)


def test_no_model_library_is_needed(supervised):
    code = (
        "import sys, matplotlib; matplotlib.use('Agg'); import bftembed as bft; "
        f"bft.pl.training({str(supervised)!r}, show=False); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_values_that_are_not_finite_leave_a_gap(tmp_path):
    made = run(tmp_path / "r", [{"step": 1, "loss": 1.0}, {"step": 2, "loss": float("nan")}, {"step": 3, "loss": 2.0}])
    drawn = bft.pl.training(made, show=False)[0].lines[0].get_ydata()
    np.testing.assert_array_equal(drawn, [1, np.nan, 2])
