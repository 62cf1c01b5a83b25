"""What a training step allocates, found by running it on tensors that have a shape and no values."""

from __future__ import annotations

import contextlib
import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bftembed.tune.loss.chunks import CHUNK_SIZE
from bftembed.tune.loss.head import output_head
from bftembed.tune.loss.logprobs import token_logprobs
from bftembed.tune.loss.reference import objective_logprobs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bftembed.tune.loss.objectives import Objective


class Allocations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Bytes of the tensors that are made in this context and are still there: now, and at their most.

    Attributes
    ----------
    now, gradients
        Bytes at this moment without gradients of parameters, and those of these gradients.
    peak, gradients_at_peak
        The most bytes at once, each byte of a gradient counted as `share`, and what of them were gradients.
    """

    def __init__(self, share: float = 1.0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.share = share
        self.now = self.gradients = self.peak = self.gradients_at_peak = 0
        self._known: dict[int, int] = {}  # storage -> bytes
        self._of_gradients: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count the storages that it made."""
        result = function(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, torch.Tensor):
                self._count(value.untyped_storage())
        return result

    def leave_out(self, tensors: Iterable[torch.Tensor]) -> None:
        """Count nothing for these tensors, which were there before, when an operation gives a view of them."""
        self._known |= dict.fromkeys((tensor.untyped_storage()._cdata for tensor in tensors), 0)

    def watch(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Count the gradients of these parameters as such from now on, and those they have already."""
        for parameter in parameters:
            parameter.register_post_accumulate_grad_hook(self._became_gradient)  # type: ignore[no-untyped-call]
            if parameter.grad is not None:
                self._count(parameter.grad.untyped_storage())
                self._became_gradient(parameter)

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        self._known[key] = storage.nbytes()
        self.now += storage.nbytes()
        weakref.finalize(storage, self._forget, key)
        total = self.now + int(self.share * self.gradients)
        if total > self.peak:
            self.peak, self.gradients_at_peak = total, int(self.share * self.gradients)

    def _forget(self, key: int) -> None:
        size = self._known.pop(key)
        if key in self._of_gradients:
            self._of_gradients.remove(key)
            self.gradients -= size
        else:
            self.now -= size

    def _became_gradient(self, parameter: torch.Tensor) -> None:
        key = parameter.grad.untyped_storage()._cdata if parameter.grad is not None else None
        if key in self._known and key not in self._of_gradients:
            self._of_gradients.add(key)
            self.now -= self._known[key]
            self.gradients += self._known[key]


@contextlib.contextmanager
def without_values(model: Any) -> Iterator[None]:
    """Put tensors without values, as those of a CPU, in place of a model's parameters and buffers on ``meta``."""
    made: dict[int, torch.Tensor] = {}
    with FakeTensorMode(allow_non_fake_inputs=True):
        for module in model.modules():
            for tensors in (module._parameters, module._buffers):
                for name, value in tensors.items():
                    if value is None:
                        continue
                    if id(value) not in made:  # tied weights are one tensor
                        empty = torch.empty(value.shape, dtype=value.dtype)
                        trained = isinstance(value, torch.nn.Parameter)
                        made[id(value)] = torch.nn.Parameter(empty, value.requires_grad) if trained else empty
                    tensors[name] = made[id(value)]
        yield


def step_allocations(
    model: Any,
    objective: Objective,
    batch: dict[str, torch.Tensor],
    *,
    autocast: bool,
    accumulates: bool,
    share: float = 1.0,
) -> Allocations:
    """What forward and backward pass of a micro-batch allocate beside weights and optimizer.

    Parameters
    ----------
    model
        A model with a log-prob head, in `without_values`.
    objective, batch
        What is trained, on what.
    autocast
        Whether products are taken in bfloat16.
    accumulates
        Whether there are gradients of an earlier micro-batch.
    share
        Which part of a gradient stays on the device, e.g. 1 / 8 where it is split over eight.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.grad = torch.zeros_like(parameter) if accumulates else None
    found = Allocations(share)
    with found:
        found.leave_out([*model.parameters(), *model.buffers(), *batch.values()])
        found.watch(trained)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            values, lengths = objective_logprobs(model, batch, objective)
        loss, _ = objective.loss(values, lengths)
        loss.backward()  # type: ignore[no-untyped-call]
    return found


def head_allocations(model: Any, n_tokens: int, dtype: torch.dtype) -> int:
    """The most bytes that the log-probabilities of so many tokens need at once, without the gradient of the head."""
    weight = output_head(model).weight.detach()
    states = torch.empty(n_tokens, weight.shape[1], dtype=dtype, requires_grad=True)
    targets = torch.empty(n_tokens, dtype=torch.int64)
    found = Allocations()
    with found:
        found.leave_out([weight, states, targets])
        token_logprobs(states, weight, targets, chunk_size=CHUNK_SIZE).logprobs.sum().backward()  # type: ignore[no-untyped-call]
    return found.peak
