"""`benchmarks/error_rates.py` on a small scale: intervals and tests are wrong as often as they say."""

import numpy as np
import pytest

N_SETS = 200


@pytest.mark.parametrize(("d", "signal"), [(8, 1.0), (384, 2.0)])
def test_of_cross_validated_scores(d, signal, script):
    """Limits hold 997 of 1,000 outcomes of what keeps to its word in so many sets of 130 genes."""
    found = script.rates(script.simulated(script.Design("ridge", 130, d, signal), N_SETS))
    off = 3 * np.sqrt(0.05 * 0.95 / N_SETS)
    assert abs(found["rejects"] - 0.05) < off
    assert abs(found["covers"] - 0.95) < off / np.sqrt(2)
    assert found["covers, fixed models"] < found["covers"]
    if d == 384:  # what would not do: as many degrees of freedom as folds, and draws under fixed models
        assert found["rejects, t 24"] > 0.05 + off
        assert found["covers, fixed models"] < 0.95 - off / np.sqrt(2)


def test_of_one_test_set(script):
    found = script.rates(script.simulated(script.Design("effects", 60, 0, 1.0), N_SETS))
    off = 3 * np.sqrt(0.05 * 0.95 / N_SETS)
    assert abs(found["rejects"] - 0.05) < off
    assert abs(found["covers"] - 0.95) < off / np.sqrt(2)


def test_of_items_that_share_rows_and_columns(script):
    """Resampling both holds what it says, resampling items alone does not."""
    found = {
        how: script.rates(script.simulated(script.Design(f"crossed by {how}", 20, 24, 3.0), n_sets))
        for how, n_sets in (("both", N_SETS), ("item", N_SETS // 4))
    }
    off = 3 * np.sqrt(0.05 * 0.95 / N_SETS)
    assert abs(found["both"]["rejects"] - 0.05) < off
    assert abs(found["both"]["covers"] - 0.95) < off
    assert found["item"]["covers"] < 0.7
    assert found["item"]["rejects"] > 0.3


@pytest.mark.parametrize("kind", ["binary", "classes", "value", "terms", "pairs", "auroc per gene by both"])
def test_every_design_can_be_drawn(kind, script):
    design = next(each for each in script.DESIGNS if each.kind == kind)
    (drawn,) = script.simulated(design, 1)
    assert all(low < score < high for score, (low, high) in zip(drawn["scores"], drawn["intervals"], strict=True))
    assert 0 < drawn["p"] < 1


def test_what_is_there_is_not_drawn_again(script, tmp_path, monkeypatch):
    path = tmp_path / "effects.jsonl"
    design = script.Design("effects", 40, 0, 1.0)
    whole = script.simulated(design, 3)
    script.simulated(design, 2, path)
    again = script.simulated(design, 3, path)
    assert len(path.read_text().splitlines()) == 3
    assert [each["p"] for each in again] == [each["p"] for each in whole]
