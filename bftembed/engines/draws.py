"""Drawing tokens so that a text depends on its own request, and not on those that stand in its batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bftembed.engines.base import derived_seed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from bftembed.engines.values import Sampling


class Draws:
    """A logits processor of transformers that leaves one token a row, drawn with that row's own random numbers.

    The token that wins is the one whose probability, divided by an exponential number, is largest: the race by which
    ``torch.multinomial`` draws. `generate` would let one generator serve all rows, so that a text changed with the
    other requests of its batch, whose number the free memory decides. Rounding, which does depend on the batch, turns
    a draw only where two tokens come in as close as that; with summed probabilities it would at every border.

    Parameters
    ----------
    ids
        Of the requests, a row each.
    sampling
        Its seed counts.
    device
        Where the logits are. GPUs draw other numbers than CPUs.
    """

    def __init__(self, ids: Sequence[str], sampling: Sampling, device: Any) -> None:
        import torch

        self._rows = [torch.Generator(device).manual_seed(derived_seed(sampling.seed, id)) for id in ids]

    def __call__(self, _input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores [batch, vocabulary] of which all but one a row are minus infinity."""
        import torch

        times = torch.empty_like(scores, dtype=torch.float32)
        for row, generator in zip(times, self._rows, strict=True):
            row.exponential_(generator=generator)
        first = scores.float() - times.clamp_(min=torch.finfo(times.dtype).tiny).log_()
        return torch.full_like(scores, -torch.inf).scatter_(1, first.argmax(-1, keepdim=True), 0.0)


def processors(ids: Sequence[str], sampling: Sampling, device: Any) -> list[Any]:
    """Temperature, nucleus and draw, for ``generate(do_sample=False, logits_processor=)``; none for greedy decoding."""
    from transformers import TemperatureLogitsWarper, TopPLogitsWarper

    if sampling.temperature == 0:
        return []
    warm: Any = TemperatureLogitsWarper
    nucleus: Any = TopPLogitsWarper
    kept = [nucleus(sampling.top_p)] if sampling.top_p < 1 else []
    return [warm(float(sampling.temperature)), *kept, Draws(ids, sampling, device)]
