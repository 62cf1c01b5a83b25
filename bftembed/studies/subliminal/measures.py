"""Where transfer would come from, without asking about animals: divergence tokens, and the direction of the first step.

A divergence token is one at which teachers of different liking would go on differently (Schrodi et al., arXiv
2509.23886): there the most likely next token of a teacher is not that of every other one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from bftembed.studies.subliminal.adapters import cosine, updates
from bftembed.tune.data.dataset import Collator, TokenDataset, encode
from bftembed.tune.loss.head import add_logprob_head, supervised_logprobs
from bftembed.tune.loss.places import located

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from bftembed.engines import TransformersEngine
    from bftembed.studies.tuning import Recipe
    from bftembed.tune.loss.objectives import Objective


def first_step(
    recipe: Recipe,
    pairs: Sequence[tuple[str, str]],
    teachers: Mapping[str, Path],
    own: str,
    objectives: Mapping[str, Objective],
    *,
    system: str,
) -> dict[str, Any]:
    """What each objective makes of a teacher's texts before the first step.

    Parameters
    ----------
    recipe
        The model that students start from.
    pairs
        Prompts and the answers of one teacher.
    teachers
        Adapters of all teachers of animals, by name.
    own
        The name of the teacher that wrote the answers.
    objectives
        By name.
    system
        The system line.

    Returns
    -------
    ``divergent``, the share of tokens at which teachers diverge; ``share``, by objective the share of all weight on
    these tokens; ``own`` and ``others``, by objective the cosine of the first step with the update of the own teacher
    and the mean over the others.
    """
    network, tokenizer = recipe.engine().load()
    add_logprob_head(network)
    turns = [{"role": "system", "content": system}] if system else []
    samples = [
        [*turns, {"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
        for prompt, answer in pairs
    ]
    dataset = TokenDataset((encode(each, tokenizer) for each in samples), max_length=recipe.max_length)
    batches = list(_batches(dataset, recipe.reading.batch_size, tokenizer, network.device))
    choices = {name: _choices(recipe.engine(adapter), batches) for name, adapter in teachers.items()}
    others = [choice for name, choice in choices.items() if name != own]
    divergent = torch.stack([choice != choices[own] for choice in others]).any(0)
    directions = {name: updates(adapter) for name, adapter in teachers.items()}
    found: dict[str, Any] = {"divergent": float(divergent.double().mean()), "share": {}, "own": {}, "others": {}}
    for name, objective in objectives.items():
        weights, gradients = _gradients(network, batches, objective, set(directions[own]))
        cosines = {teacher: cosine(gradients, direction) for teacher, direction in directions.items()}
        mine = cosines.pop(own)
        total = float(weights.sum())
        found["share"][name] = float(weights[divergent].sum()) / total if total else 0.0
        found["own"][name], found["others"][name] = mine, sum(cosines.values()) / len(cosines)
    return found


def _batches(dataset: TokenDataset, size: int, tokenizer: Any, device: Any) -> Iterator[dict[str, torch.Tensor]]:
    collate = Collator(tokenizer.pad_token_id or 0)
    for begin in range(0, len(dataset), size):
        rows = [dataset[row] for row in range(begin, min(begin + size, len(dataset)))]
        yield {key: value.to(device) for key, value in located(collate(rows)).items()}


def _choices(engine: TransformersEngine, batches: Sequence[Mapping[str, torch.Tensor]]) -> torch.Tensor:
    """The most likely token at each supervised place, (n_tokens,)."""
    network, _ = engine.load()
    found = []
    with torch.inference_mode():
        for batch in batches:
            logits = network(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
            found.append(logits.flatten(0, 1)[batch["supervised"] - 1].argmax(-1).cpu())
    return torch.cat(found)


def _gradients(
    network: Any, batches: Sequence[dict[str, torch.Tensor]], objective: Objective, names: set[str]
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The weight of each token in the loss of all texts, (n_tokens,), and the gradients of the named matrices."""
    n_tokens = sum(len(batch["supervised"]) for batch in batches)
    n_samples = sum(len(batch["lengths"]) for batch in batches)
    parameters = dict(network.named_parameters())
    for name, parameter in parameters.items():
        parameter.requires_grad_(name in names)
    gradients = {name: torch.zeros_like(parameters[name]) for name in names}
    weights = []
    for batch in batches:
        values, lengths = supervised_logprobs(network, batch, **objective.asks)
        loss, _ = objective.loss(values, lengths, n_tokens=n_tokens, n_samples=n_samples)
        inputs = [values.logprobs, *(parameters[name] for name in gradients)]
        by_token, *by_matrix = torch.autograd.grad(loss, inputs)
        weights.append(-by_token.double().cpu())
        for name, part in zip(gradients, by_matrix, strict=True):
            gradients[name] += part
    return torch.cat(weights), {name: gradient.cpu() for name, gradient in gradients.items()}
