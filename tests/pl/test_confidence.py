import matplotlib as mpl
import numpy as np
import pytest

import bftembed as bft
from bftembed.errors import InputError
from bftembed.tune.diagnosis.analysis import DiagnosisSettings, analyse
from bftembed.tune.diagnosis.confidences import TokenTrack

mpl.use("Agg")


def track(document, low):
    confidence = np.full(40, 0.8, dtype=np.float32)
    confidence[low] = 0.01
    spans = np.stack([np.arange(40) * 3, np.arange(40) * 3 + 2], axis=1)
    text = " ".join(f"{chr(97 + i // 10)}{i % 10}" for i in range(40))
    return TokenTrack(document, 0, text, np.arange(40), spans, confidence)


@pytest.fixture(scope="module")
def diagnosis():
    runs = [track(0, [20, 22, 24, 26, 28]), track(1, list(range(18, 25)) + list(range(30, 38)))]
    scattered = [track(0, [17, 20, 23, 26, 29]), track(1, [0, 1, 2, 3, 4, 5, 6, 7])]
    return analyse({"runs": runs, "none": scattered}, biomedical=["runs"], settings=DiagnosisSettings(), lexicons=[])


@pytest.fixture(autouse=True)
def closed():
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


def test_low_runs_of_the_most_telling_text_are_marked(diagnosis, tmp_path):
    top, bottom = bft.pl.confidence(diagnosis, show=False, save=tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000
    marked = [(patch.get_x(), patch.get_width()) for patch in top.patches if isinstance(patch, mpl.patches.Rectangle)]
    # The skipped start, then the two runs of text 2.
    assert marked == [(-0.5, 16), (17.5, 7), (29.5, 8)]
    assert top.get_title(loc="left") == "runs, text 2: 2 runs of 6 low tokens or more\nlongest: d0 d1 d2 d3 d4 d5 d6 d7"
    stairs = next(patch for patch in top.patches if isinstance(patch, mpl.patches.StepPatch))
    np.testing.assert_array_equal(stairs.get_data().values, diagnosis.tracks["runs"][1].confidence)
    points = [np.asarray(scatter.get_offsets()) for scatter in bottom.collections]
    np.testing.assert_allclose(points[0], [[5 / 24, 1], [15 / 24, 8]])
    np.testing.assert_allclose(points[1], [[5 / 24, 1], [0, 0]])
    labels = [text.get_text() for text in bottom.get_legend().get_texts()]
    assert labels == ["runs: 50% of 2 in B", "none: 0% of 2 in B"]


def test_axes_and_text_can_be_chosen(diagnosis):
    import matplotlib.pyplot as plt

    given = plt.subplots(1, 2)[1]
    axes = bft.pl.confidence(diagnosis, corpus="none", index=0, ax=given, show=False)
    assert axes == tuple(given)
    assert axes[0].get_title(loc="left").startswith("none, text 1: 0 runs")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"corpus": "nothing"}, "no corpus `nothing`; there are runs, none"),
        ({"index": 2}, "no track 2 in `runs`, which has 2"),
        ({"ax": [None]}, "`ax` holds 1 axes; two are needed"),
    ],
)
def test_bad_choices(diagnosis, options, message):
    with pytest.raises(InputError, match=message):
        bft.pl.confidence(diagnosis, show=False, **options)
