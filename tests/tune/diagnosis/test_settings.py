import pytest

from bftembed.errors import InputError
from bftembed.tune.diagnosis.settings import DiagnosisSettings


def test_derived_values():
    settings = DiagnosisSettings(low=0.3, run=4, grid_low=(0.5, 0.1), grid_run=(4, 2), grid_density=())
    assert settings.lows == (0.1, 0.3, 0.5)
    assert settings.runs == (2, 4)
    assert settings.densities == (0.2,)
    assert (settings.step, settings.shortest) == (64, 32)
    assert DiagnosisSettings(stride=5, skip=0).step == 5
    assert DiagnosisSettings(length=100).shortest == 100
    assert DiagnosisSettings(window=2).step == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0}, "`window` is 0; it has to be at least 1"),
        ({"stride": 0}, "`stride` is 0"),
        ({"run": -1}, "`run` is -1"),
        ({"limit": 0}, "`limit` is 0"),
        ({"grid_run": (3, 0)}, "`grid_run` has the value 0"),
        ({"low": 0.0}, "`low` has the value 0.0; it has to lie between 0 and 1"),
        ({"low": 1.5}, "`low` has the value 1.5"),
        ({"grid_low": (0.1, 1.0)}, "`low` has the value 1.0"),
        ({"density": -0.1}, "`density` has the value -0.1; a share"),
        ({"grid_density": (1.1,)}, "`density` has the value 1.1"),
        ({"confidence_level": 95}, "`confidence_level` has the value 95"),
        ({"resamples": 1}, "`resamples` is 1"),
        ({"skip": -1}, "`skip` is -1"),
        ({"length": 16}, "`skip` is 16; it has to be at least 0 and less than `length`"),
    ],
)
def test_values_out_of_range_are_refused_in_one_sentence(options, message):
    with pytest.raises(InputError, match=message) as caught:
        DiagnosisSettings(**options)
    assert len(str(caught.value).splitlines()) == 1
