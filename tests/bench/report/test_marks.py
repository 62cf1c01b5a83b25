import pytest

from bftembed.bench.report.marks import best_baseline, few, interval_of, not_better, scale, shade


@pytest.mark.parametrize(
    ("higher", "mean", "baseline", "marked"),
    [
        (True, 0.8, 0.6, False),
        (True, 0.62, 0.6, True),  # the interval reaches the baseline
        (True, 0.5, 0.6, True),
        (False, 0.4, 0.6, False),
        (False, 0.58, 0.6, True),
        (False, 0.8, 0.6, True),
    ],
)
def test_not_better_in_both_directions(higher, mean, baseline, marked, result, info):
    task = info(main_score="m", higher_is_better=higher)
    assert not_better(result(info=task, mean=mean, baseline=baseline)) == marked


@pytest.mark.parametrize("higher", [True, False])
def test_at_the_limit_it_is_not_better(higher, result, info, score):
    main = score(0.75, metric="m", half=0.25)
    task = info(main_score="m", higher_is_better=higher)
    assert not_better(result(info=task, main=main, baseline=0.5 if higher else 1.0))


def test_without_an_interval_the_score_decides(result, score):
    assert not not_better(result(main=score(0.7, half=None), baseline=0.6))
    assert not_better(result(main=score(0.6, half=None), baseline=0.6))
    assert not not_better(result(baseline=None))
    assert not not_better(result(main=score(None)))


def test_the_best_baseline_is_of_the_main_metric_and_to_beat(result, info, score):
    baselines = [
        score(0.5, method="constant"),
        score(0.7, method="spelling"),
        score(0.99, method="spelling", metric="accuracy"),
        score(0.98, method="node prior, random split", to_beat=False),
        score(None, method="broken"),
    ]
    assert best_baseline(result(baselines=baselines)).mean == 0.7
    assert best_baseline(result(baselines=baselines, info=info(higher_is_better=False))).mean == 0.5


def test_which_interval(score):
    assert interval_of(score(0.5, half=0.1, folds=0.2)) == ((0.4, 0.6), "items")
    assert interval_of(score(0.5, half=None, folds=0.25)) == ((0.25, 0.75), "folds")
    assert interval_of(score(0.5, half=None)) == (None, "")


def test_coverage(result):
    assert few(result(found=79))
    assert not few(result(found=80))
    assert not few(result(asked=0, found=0))


@pytest.mark.parametrize(
    ("changes", "limits"),
    [
        ({}, (0.5, 1.0)),
        ({"main_score": "balanced accuracy", "chance": 0.25}, (0.25, 1.0)),
        ({"chance": None}, (0.6, 0.9)),
        ({"chance": None, "higher_is_better": False}, (0.9, 0.6)),
        ({"main_score": "mse", "chance": 1.0, "higher_is_better": False, "best": 0.0}, (1.0, 0.0)),
        ({"main_score": "fold enrichment of auroc", "chance": 0.1, "best": None}, (0.1, 0.9)),
        ({"main_score": "1 - FOSCTTM"}, (0.5, 1.0)),
    ],
)
def test_scale(changes, limits, info):
    assert scale(info(**changes), [0.6, 0.9, 0.7]) == limits


def test_shade_stays_on_the_scale(info):
    assert [shade(value, (0.5, 1.0)) for value in (0.4, 0.75, 1.0)] == [0, 0.5, 1]
    assert [shade(value, (1.0, 0.0)) for value in (1.5, 0.25)] == [0, 0.75]
    assert shade(0.5, scale(info(chance=None), [0.5, 0.5])) is None
    assert scale(info(), []) is None
