import numpy as np
import pytest
import torch

from bftembed.errors import InputError
from bftembed.studies.subliminal import digits
from bftembed.studies.subliminal.digits import ARMS, GROUP, read_digits


@pytest.fixture(scope="module")
def curves():
    """Students of two teachers after 80 steps."""
    return {arm: read_digits(arm, seed=1, networks=2, steps=80) for arm in ("soft", "other", "shuffled", "sft", "dft")}


def last(curves, arm, what="accuracy"):
    return np.array(curves[arm][what][-1])


def test_only_a_student_that_began_as_its_teacher_did_reads_digits(curves):
    assert (np.array(curves["soft"]["teacher"]) > 0.88).all()
    assert (last(curves, "soft") > last(curves, "other") + 0.2).all()
    assert abs(last(curves, "shuffled") - 0.1).max() < 0.15
    assert curves["soft"]["teacher"] == curves["other"]["teacher"]


def test_dft_collapses_on_the_carrier_and_sft_does_not(curves):
    assert last(curves, "dft", "divergence").min() > 1
    assert last(curves, "sft", "divergence").max() < 0.1
    assert last(curves, "soft", "divergence").max() < last(curves, "sft", "divergence").min()


def test_the_same_seed_gives_the_same_curve_and_another_one_another(curves):
    assert read_digits("other", seed=1, networks=2, steps=20)["divergence"] == curves["other"]["divergence"][:1]
    assert read_digits("other", seed=2, networks=2, steps=20)["divergence"] != curves["other"]["divergence"][:1]
    assert curves["soft"]["step"] == [20, 40, 60, 80]


def test_networks_do_not_meet():
    """The gradient of each network is that of its own loss."""
    draws = torch.Generator().manual_seed(0)
    both = [weight.requires_grad_() for weight in digits._fresh(2, draws)]
    teacher = digits._fresh(2, draws)
    noise = digits._noise(2, 8, draws)
    target = digits._auxiliary(teacher, noise).detach()
    digits._divergence(target, digits._auxiliary(both, noise)).sum().backward()
    alone = [weight.detach()[:1].clone().requires_grad_() for weight in both]
    digits._divergence(target[:1], digits._auxiliary(alone, noise[:1])).sum().backward()
    for one, weight in zip(alone, both, strict=True):
        torch.testing.assert_close(one.grad[0], weight.grad[0])


def test_the_weights_of_bft_are_confidence_over_that_of_sixteen_labels():
    confidence = torch.rand(4 * GROUP, dtype=torch.float64)
    token = ARMS["bft"].objective.weights(confidence.log(), torch.full((4,), GROUP)).token
    blocks = confidence.view(4, GROUP)
    expected = (blocks / blocks.mean(1, keepdim=True)).clamp(0, 1)
    torch.testing.assert_close(token.view(4, GROUP), expected)


def test_an_arm_that_is_not_there():
    with pytest.raises(InputError, match="no arm `bfd`; there are soft"):
        read_digits("bfd")
