"""The registry: functions of users and of installed packages."""

import functools
import hashlib
import sys

import numpy as np
import pytest
import torch

from bftembed.errors import InputError
from bftembed.tune.config import parse_config
from bftembed.tune.loss import kinds
from bftembed.tune.loss.given_logits import logits_logprobs
from bftembed.tune.loss.kinds import ObjectiveKind, register_objective
from bftembed.tune.loss.objectives import Objective, named
from bftembed.tune.loss.weights import Weights


def focal(logprobs, lengths, *, power=2.0):
    return (1 - logprobs.exp()) ** power


def by_length(logprobs, lengths, window):
    return Weights(torch.ones_like(logprobs), (lengths / window).float())


@pytest.fixture
def registered():
    """Objectives of this test alone, beside those of the package."""
    before = dict(kinds._KINDS)
    for name in before.keys() - set(kinds.OBJECTIVES):  # files that other tests named
        del kinds._KINDS[name]
    register_objective("focal", focal)
    register_objective("by-length", by_length, per_sample=True)
    yield
    kinds._KINDS.clear()
    kinds._KINDS.update(before)


@pytest.mark.usefixtures("registered")
def test_objectives_of_users():
    logprobs = torch.tensor([-0.5, -1.0, -0.1, -2.0], requires_grad=True)
    lengths = torch.tensor([3, 1])
    loss, weights = Objective(name="focal", options={"power": 3.0}).loss(logprobs, lengths)
    factors = (1 - np.exp([-0.5, -1.0, -0.1, -2.0])) ** 3
    np.testing.assert_allclose(weights.token, factors, rtol=1e-6)
    assert weights.sample.tolist() == [1, 1]
    (slope,) = torch.autograd.grad(loss, logprobs)
    np.testing.assert_allclose(slope, -factors / 4, rtol=1e-6)
    loss, _ = Objective(name="by-length", window=2).loss(logprobs, lengths)
    assert float(loss.detach()) == pytest.approx((1.5 * 1.6 / 3 + 0.5 * 2) / 2)


def defined_anew(factor):
    def made_in_a_cell(logprobs, lengths):
        return torch.full_like(logprobs, factor)

    return made_in_a_cell


@pytest.mark.usefixtures("registered")
def test_a_cell_of_a_notebook_run_twice_registers_the_newer_function():
    register_objective("cell", defined_anew(1.0))
    register_objective("cell", defined_anew(2.0))
    weights = Objective(name="cell").weights(torch.zeros(2), torch.tensor([2]))
    assert weights.token.tolist() == [2, 2]


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "focl"}, r"'focl': did you mean `focal`\? There are sft, dft, .*, asft, focal, by-length\."),
        ({"objective": "focal", "options": {"powr": 1}}, r"takes no option `powr`. Did you mean `power`\?"),
        ({"objective": "bft", "options": {"window": 1}}, "`bft` takes no option `window`"),
    ],
)
def test_what_objectives_of_users_do_not_take(options, message):
    with pytest.raises(InputError, match=message):
        named(**options)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("bft", focal, "There is an objective `bft` already"),
        ("focal", by_length, "There is an objective `focal` already"),
        ("one", lambda logprobs: logprobs, "no function of `logprobs` and `lengths`"),
        ("none", 3, "no function of `logprobs` and `lengths`, but `3`"),
        ("in-c", torch.exp, "no function of `logprobs` and `lengths`"),
        ("by-name", lambda *, logprobs, lengths: logprobs, "no function of `logprobs` and `lengths`"),
        ("", lambda logprobs, lengths: logprobs, "'' cannot be the name of an objective"),
        (None, lambda logprobs, lengths: logprobs, "None cannot be the name of an objective"),
        ("grpo", lambda logprobs, lengths: logprobs, "`grpo`, which is no objective"),
    ],
)
def test_what_cannot_be_registered(name, weights, message):
    with pytest.raises(InputError, match=message):
        register_objective(name, weights)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("kl", [-1, float("nan"), "x"])
def test_a_divergence_is_not_rewarded(kl):
    with pytest.raises(InputError, match=r"`kl of away` is a number, 0 or more"):
        register_objective("away", focal, kl=kl)


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (lambda logprobs, lengths: logprobs, "`mine` gives weights that are negative, infinite or no numbers"),
        (lambda logprobs, lengths: logprobs * float("nan"), "no numbers"),
        (lambda logprobs, lengths: logprobs / 0.0, "infinite"),
        (lambda logprobs, lengths: Weights(logprobs.exp(), -lengths), "negative"),
        (lambda logprobs, lengths: [1.0] * 3, "`mine` gives a list; expected a tensor of token weights"),
        (lambda logprobs, lengths: None, "`mine` gives a NoneType"),
        (lambda logprobs, lengths: np.ones(3), "`mine` gives a ndarray"),
        (lambda logprobs, lengths: (1.0, 2.0), "`mine` gives a tuple"),
        (lambda logprobs, lengths: {}["a"], r"`mine` failed at .*test_kinds.py:\d+: KeyError: 'a'"),
        (lambda logprobs, lengths: sys.exit(), "`mine` failed at .*SystemExit"),
    ],
)
def test_what_a_function_may_not_give(weights, message):
    register_objective("mine", weights)
    with pytest.raises(InputError, match=message):
        Objective(name="mine").loss(torch.full((3,), -0.5), torch.tensor([3]))


@pytest.mark.usefixtures("registered")
def test_a_lost_model_is_not_called_a_wrong_objective():
    weights = Objective(name="focal").weights(torch.tensor([float("nan")]), torch.tensor([1]))
    assert weights.token.isnan().all()


@pytest.mark.usefixtures("registered")
def test_a_function_may_write_into_what_it_is_given():
    """The loss is of the log-probabilities, and its mean over the tokens that there were."""

    def careless(logprobs, lengths):
        lengths += 1
        return logprobs.exp_()

    register_objective("careless", careless)
    logprobs, lengths = torch.tensor([-0.5, -1.0]), torch.tensor([2])
    assert torch.equal(Objective(name="careless").loss(logprobs, lengths)[0], named("dft").loss(logprobs, lengths)[0])
    assert lengths.tolist() == [2]


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("annotation", ["a b", "focal.nothing"])
def test_an_annotation_that_is_none(annotation):
    def odd(logprobs, lengths, *, power=2.0):
        return logprobs.exp() ** power

    odd.__annotations__ = {"power": annotation}
    register_objective("odd", odd)
    assert named("odd", power=1).options == {"power": 1}


@pytest.mark.usefixtures("registered")
def test_weights_of_another_shape_are_refused():
    register_objective("short", lambda logprobs, lengths: logprobs[:1])
    with pytest.raises(InputError, match=r"`short` gives token weights of shape \(1,\).*expected \(3,\) and \(1,\)"):
        Objective(name="short").loss(torch.zeros(3), torch.tensor([3]))


@pytest.mark.usefixtures("registered")
def test_an_objective_of_an_installed_package(installed):
    """In a configuration, as `bftembed tune` reads it."""
    code = (
        "from bftembed.tune.loss.objectives import ObjectiveKind\n"
        "MINE = ObjectiveKind(lambda logprobs, lengths, *, alpha=1.0: alpha * logprobs.exp(), per_sample=True)\n"
    )
    installed("plug_one", code, "[bftembed.objectives]\nplugged = plug_one:MINE\n")
    values = {"data": {"train": "a"}, "output": "out", "objective": {"name": "plugged", "options": {"alpha": 0.5}}}
    objective = parse_config(values).objective
    assert objective.per_sample
    assert not objective.has_window
    assert objective.weights(torch.zeros(2), torch.tensor([2])).token.tolist() == [0.5, 0.5]
    with pytest.raises(InputError, match="plugged"):
        named("pluged")


@pytest.mark.usefixtures("registered")
def test_what_an_installed_objective_is_made_of_is_told(installed, tmp_path):
    """Also in another file of its package than the one that the entry point names."""
    package = tmp_path / "plug_one"
    package.mkdir()
    (package / "__init__.py").write_text("from plug_one.inner import weigh\n")
    (package / "inner.py").write_text("def weigh(logprobs, lengths): return logprobs.exp()\n")
    installed("plug_one", "", "[bftembed.objectives]\nplugged = plug_one:weigh\n")
    found = [named("plugged").source]
    assert found[0] == named("plugged").source
    (package / "inner.py").write_text("def weigh(logprobs, lengths): return 2 * logprobs.exp()\n")
    kinds._KINDS.pop("plugged")  # as in another process
    found.append(named("plugged").source)
    assert found[0] != found[1]
    assert all(each.startswith("sha256:") for each in found)


@pytest.mark.usefixtures("registered")
def test_the_text_of_a_registered_function_is_told():
    def weigh(logprobs, lengths):
        return logprobs.exp()

    def other(logprobs, lengths):
        return 2 * logprobs.exp()

    sources = {register_objective(name, each).source for name, each in (("a", weigh), ("b", weigh), ("c", other))}
    assert len(sources) == 2
    assert all(each.startswith("sha256:") for each in sources)
    assert register_objective("built", functools.partial(weigh)).source is None
    assert [named(name).source for name in kinds.OBJECTIVES] == [None] * len(kinds.OBJECTIVES)


IN_A_FILE = """
from __future__ import annotations

from dataclasses import dataclass

import torch
from bftembed.tune import ObjectiveKind


@dataclass
class Settings:
    factor: float = 2.0


def doubled(logprobs, lengths, *, factor: float = Settings().factor):
    return torch.full_like(logprobs, factor)


MINE = ObjectiveKind(doubled, per_sample=True, kl=0.5)
"""


@pytest.mark.usefixtures("registered")
def test_a_function_in_a_file(tmp_path):
    """In a configuration, and by its name alone, as the command line gives it."""
    path = tmp_path / "my objectives.py"
    path.write_text(IN_A_FILE)
    values = {"data": {"train": "a"}, "output": "out", "objective": {"name": f"{path}:doubled", "factor": "3"}}
    objective = parse_config(values).objective
    assert objective.weights(torch.zeros(2), torch.tensor([2])).token.tolist() == [3, 3]
    assert (objective.per_sample, objective.kl) == (False, 0)
    other = parse_config({**values, "objective": f"{path}:MINE"}).objective
    assert (other.per_sample, other.kl) == (True, 0.5)
    assert Objective.model_validate_json(other.model_dump_json()) == other
    assert objective.source == other.source == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert named("bft").source is None


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("code", "function", "message"),
    [
        (None, "f", "he file of the objective `.*mine.py:f` cannot be run: FileNotFoundError"),
        ("import nothing_of_this_name", "f", "cannot be run: ModuleNotFoundError: No module named"),
        ("def f(:", "f", "cannot be run: SyntaxError"),
        ("raise SystemError('no')", "f", "cannot be run: SystemError: no"),
        ("import sys; sys.exit()", "f", "cannot be run: SystemExit"),
        ("def weigh(logprobs, lengths): ...", "wiegh", r"mine.py` has no `wiegh`. Did you mean `weigh`\?"),
        ("f = 3", "f", "are no function of `logprobs` and `lengths`, but `3`"),
        ("def f(logprobs): ...", "f", "are no function of `logprobs` and `lengths`"),
    ],
)
def test_a_file_that_gives_no_objective(tmp_path, code, function, message):
    path = tmp_path / "mine.py"
    if code:
        path.write_text(code)
    with pytest.raises(InputError, match=message):
        named(f"{path}:{function}")


@pytest.mark.usefixtures("registered")
def test_a_function_gets_the_statistics_that_it_names():
    given = {}

    def unsure(logprobs, lengths, purity, entropy, *, scale):
        given.update(purity=purity, entropy=entropy)
        return scale * entropy

    def likeliest(logprobs, lengths, *, k=3, entropy):
        given.update(entropy=entropy)
        return entropy

    logits = torch.randn(4, 9, dtype=torch.float64)
    targets, lengths = torch.zeros(4, dtype=torch.long), torch.tensor([4])
    register_objective("unsure", unsure)
    objective = named("unsure", scale=2.0)
    assert objective.asks == {"purity": True, "entropy": True}
    weights = objective.weights(logits_logprobs(logits, targets, **objective.asks), lengths)
    p = logits.softmax(1)
    torch.testing.assert_close(given["purity"], (p**2).sum(1))
    torch.testing.assert_close(weights.token, 2 * torch.special.entr(p).sum(1))
    with pytest.raises(InputError, match="`unsure` needs the option `scale`"):
        named("unsure")
    register_objective("likeliest", likeliest)
    objective = named("likeliest", k=2)
    assert objective.asks == {"entropy": True, "k": 2}
    assert named("likeliest").asks == {"entropy": True, "k": 3}


def test_options_are_held_against_their_annotations():
    def annotated(logprobs, lengths, *, steps: int = 3, rest="a", odd: "NotThere" = None):  # noqa: F821
        return logprobs

    def plain(logprobs, lengths, *, steps: int = 3, rest="a"):
        return logprobs

    assert ObjectiveKind(plain).check({"steps": "4", "rest": 7}) == {"steps": 4, "rest": 7}
    with pytest.raises(InputError, match="`steps` is 'four': input should be a valid integer"):
        ObjectiveKind(plain).check({"steps": "four"})
    assert ObjectiveKind(annotated).check({"steps": "4", "odd": 1}) == {"steps": 4, "odd": 1}
