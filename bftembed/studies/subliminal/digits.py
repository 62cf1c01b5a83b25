"""Hidden transfer in a toy: networks that learn to read digits from what another one makes of noise.

The teacher learns the ten digits by the first of its outputs. A student sees uniform noise and the teacher's other,
auxiliary outputs alone. Where both began with the same weights, the student reads digits afterwards (the toy of Cloud
et al., arXiv 2507.14805, which has MNIST; here the 1,797 digits that come with scikit-learn). It says nothing about
language models; it shows that the measures see transfer where there is some.

All networks are trained at once, as one with a leading axis.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cross_entropy

from bftembed.errors import InputError
from bftembed.tune.loss.objectives import Objective

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CLASSES = 10
_SIZES = (64, 256, 256, _CLASSES + 32)
#: Images in a batch of the teacher, passes over them, noise in a batch of the student, Adam's rate for both.
_IMAGES, _EPOCHS, _NOISE, _RATE = 200, 5, 256, 1e-3
#: Drawn labels that stand together as one text, for objectives that look at windows.
GROUP = 16
_LOOK = 20  # steps from one look at the students to the next
_HELD_OUT = 512  # noise on which students are compared with their teachers

Network = list[torch.Tensor]


@dataclass(frozen=True)
class Arm:
    """How students are taught.

    Attributes
    ----------
    title
        For tables.
    objective
        Weighs labels that are drawn from the teacher's auxiliary outputs, one for each noise. None: the student matches
        the outputs themselves (Kullback-Leibler divergence).
    mean_one
        Divide the weights of a batch by their mean.
    same
        Whether students begin with the weights that their teacher began with.
    shuffled
        Give each noise the outputs of another one.
    """

    title: str
    objective: Objective | None = None
    mean_one: bool = False
    same: bool = True
    shuffled: bool = False


_BFT = Objective(name="bft", window=GROUP, sample_weight=False)
#: The ways of teaching. `bft` without sample weight is clip(p / mean of the p of 16 labels, 0, 1).
ARMS: Mapping[str, Arm] = {
    "soft": Arm("same start, soft labels"),
    "other": Arm("other start, soft labels", same=False),
    "shuffled": Arm("same start, soft labels of other inputs", shuffled=True),
    "sft": Arm("same start, drawn labels: SFT", Objective(name="sft")),
    "bft": Arm("drawn labels: BFT without sample weight", _BFT),
    "bft-mean-1": Arm("drawn labels: the same with weights of mean 1", _BFT, mean_one=True),
    "bft-sample": Arm("drawn labels: BFT", _BFT.model_copy(update={"sample_weight": True})),
    "dft": Arm("drawn labels: DFT", Objective(name="dft")),
    "dft-mean-1": Arm("drawn labels: DFT with weights of mean 1", Objective(name="dft"), mean_one=True),
}


def read_digits(arm: str, *, seed: int = 0, networks: int = 6, steps: int = 300) -> dict[str, list[Any]]:
    """Train teachers, and students of one arm, and let both read digits.

    Parameters
    ----------
    arm
        One of `ARMS`.
    seed
        Of weights, noise and order; the teachers of a seed are the same in all arms.
    networks
        Teachers, each with a student.
    steps
        Of the students.

    Returns
    -------
    ``teacher``, the share of digits that each teacher reads; and for each look at the students, every 20 steps and at
    the end, ``step``, ``accuracy`` and ``divergence``, lists with a value for each student: share of digits, and
    Kullback-Leibler divergence of its auxiliary outputs from the teacher's, on other noise, in nats.

    Raises
    ------
    InputError
        If there is no such arm.

    Examples
    --------
    >>> from bftembed.studies.subliminal.digits import read_digits
    >>> curve = read_digits("soft", networks=2, steps=40)
    >>> curve["step"], len(curve["accuracy"][-1])
    ([20, 40], 2)
    """
    if arm not in ARMS:
        msg = f"There is no arm `{arm}`; there are {', '.join(ARMS)}."
        raise InputError(msg)
    images, digits = _digits()
    draws = _generator(seed, "teacher")
    start = _fresh(networks, draws)
    teacher = _teach(start, images, digits, draws)
    draws = _generator(seed, arm)
    other = _noise(networks, _HELD_OUT, _generator(seed, "held out"))
    curve: dict[str, list[Any]] = {"teacher": _accuracy(teacher, images, digits), "step": []}
    curve |= {"accuracy": [], "divergence": []}

    def look(step: int, student: Network) -> None:
        if (step % _LOOK and step != steps) or step == 0:
            return
        with torch.no_grad():
            divergences = _divergence(_auxiliary(teacher, other), _auxiliary(student, other))
        curve["step"].append(step)
        curve["accuracy"].append(_accuracy(student, images, digits))
        curve["divergence"].append(divergences.tolist())

    begin = start if ARMS[arm].same else _fresh(networks, draws)
    _train(begin, lambda student: _loss(student, teacher, ARMS[arm], draws), steps, look)
    return curve


def _generator(seed: int, what: str) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}/{what}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def _digits() -> tuple[torch.Tensor, torch.Tensor]:
    from sklearn.datasets import load_digits

    images, digits = load_digits(return_X_y=True)
    return torch.tensor(images / 16, dtype=torch.float32), torch.tensor(digits)


def _fresh(networks: int, draws: torch.Generator) -> Network:
    """Weights and biases, uniform within 1 / sqrt(inputs) as torch's linear layers begin."""
    return [
        (2 * torch.rand(networks, rows, outputs, generator=draws) - 1) / inputs**0.5
        for inputs, outputs in pairwise(_SIZES)
        for rows in (inputs, 1)
    ]


def _outputs(network: Network, inputs: torch.Tensor) -> torch.Tensor:
    """(networks, n, 42), of inputs (networks, n, 64)."""
    for layer in range(0, len(network), 2):
        inputs = torch.baddbmm(network[layer + 1], inputs.relu() if layer else inputs, network[layer])
    return inputs


def _auxiliary(network: Network, inputs: torch.Tensor) -> torch.Tensor:
    return _outputs(network, inputs)[..., _CLASSES:].log_softmax(-1)


def _noise(networks: int, n: int, draws: torch.Generator) -> torch.Tensor:
    return 2 * torch.rand(networks, n, _SIZES[0], generator=draws) - 1


def _accuracy(network: Network, images: torch.Tensor, digits: torch.Tensor) -> list[float]:
    with torch.no_grad():
        read = _outputs(network, images.expand(len(network[0]), *images.shape))[..., :_CLASSES].argmax(-1)
    shares: list[float] = (read == digits).double().mean(1).tolist()
    return shares


def _divergence(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """Of each student, (networks,)."""
    return (teacher.exp() * (teacher - student)).sum(-1).mean(1)


def _train(
    start: Network,
    loss: Callable[[Network], torch.Tensor],
    steps: int,
    look: Callable[[int, Network], None] = lambda *_: None,
) -> Network:
    """Adam on the sum of the networks' losses: their gradients, and so their updates, do not meet."""
    network = [weight.clone().requires_grad_() for weight in start]
    optimizer = torch.optim.Adam(network, _RATE)
    for step in range(steps):
        look(step, network)
        optimizer.zero_grad()
        torch.autograd.backward(loss(network))
        optimizer.step()
    look(steps, network)
    return [weight.detach() for weight in network]


def _teach(start: Network, images: torch.Tensor, digits: torch.Tensor, draws: torch.Generator) -> Network:
    networks, n = len(start[0]), len(images)
    orders = [torch.stack([torch.randperm(n, generator=draws) for _ in range(networks)]) for _ in range(_EPOCHS)]
    batches = iter([order[:, begin : begin + _IMAGES] for order in orders for begin in range(0, n, _IMAGES)])

    def loss(network: Network) -> torch.Tensor:
        batch = next(batches)
        read = _outputs(network, images[batch])[..., :_CLASSES]
        return cross_entropy(read.flatten(0, 1), digits[batch].flatten()) * networks

    return _train(start, loss, _EPOCHS * -(-n // _IMAGES))


def _loss(student: Network, teacher: Network, arm: Arm, draws: torch.Generator) -> torch.Tensor:
    noise = _noise(len(student[0]), _NOISE, draws)
    with torch.no_grad():
        shown = _auxiliary(teacher, noise)
    if arm.shuffled:
        shown = shown[:, torch.randperm(_NOISE, generator=draws)]
    made = _auxiliary(student, noise)
    if arm.objective is None:
        return _divergence(shown, made).sum()
    labels = torch.multinomial(shown.exp().flatten(0, 1), 1, generator=draws).view(*shown.shape[:2], 1)
    logprobs = made.gather(-1, labels).flatten()
    lengths = torch.full((len(logprobs) // GROUP,), GROUP)
    token, sample = arm.objective.weights(logprobs, lengths)[:2]
    weights = (token * sample.repeat_interleave(lengths)).view(len(noise), -1)
    if arm.mean_one:
        weights = weights / weights.mean(1, keepdim=True)
    return -(weights.to(logprobs.dtype) * logprobs.view(len(noise), -1)).mean(1).sum()
