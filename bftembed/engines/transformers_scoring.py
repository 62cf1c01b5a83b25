"""Log-probabilities of options by a transformers model: one forward of each prompt, whatever follows it."""

from __future__ import annotations

from copy import deepcopy
from inspect import signature
from typing import TYPE_CHECKING, Any

from bftembed.engines.batches import BatchSize, in_batches, padded
from bftembed.engines.scoring import common
from bftembed.engines.values import Scored, Scores

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bftembed.engines.scoring import Question

#: Tokens of one forward, and numbers of its logits, at most. A CPU is busy with few prompts, and loses time to padding:
#: 12 questions of 165 to 380 tokens took 7.9 s one by one and in batches of 512 tokens, 9.8 s in batches of 2,048.
_TOKENS = {"cpu": 512, "other": 16_384}
_NUMBERS = 1 << 27
#: Fewest tokens at the beginning of all prompts that are read once for all of them.
_SHARED = 16


def score(model: Any, questions: Sequence[Question], *, batch_size: int) -> Iterator[list[Scores]]:
    """Score all questions, the longest prompts first.

    Where all options are one token, the model reads each prompt once and gives the logits of its last position alone.
    Longer options are read in a second forward, all of a batch together, behind copies of their prompts' keys and
    values. What all prompts begin with (instructions, examples; 16 tokens or more) is read once, but by models with
    sliding windows. Models whose layers keep other things than keys and values read prompt and option together.

    Parameters
    ----------
    model
        A causal language model of transformers.
    questions
        Prompts and options in tokens, all within the model's window.
    batch_size
        Prompts of one forward, at most; fewer where they are long, and after memory was too small for a batch.

    Raises
    ------
    EngineError
        If the model fails, or one prompt alone does not fit into memory.
    """
    import torch

    kinds = _layers(model)
    shared = _shared(questions) if kinds == {"full"} else ()
    heads: list[Any] = []

    def scored(batch: list[Question]) -> list[Scores]:
        with torch.inference_mode():
            if not kinds:
                return _together(model, batch)
            if shared and not heads:
                heads.append(_head(model, shared))
            return _continued(model, batch, shared, heads[0] if shared else None)

    sizes = BatchSize(batch_size)
    yield from in_batches(
        sorted(questions, key=lambda question: (-len(question.prompt), question.id)),
        scored,
        sizes=sizes,
        allowed=lambda left: min(sizes.allowed(None, 0), _fitting(left, model, copied=bool(kinds))),
        verb="Scoring",
        less="fewer or shorter options or a shorter prompt",
    )


def _layers(model: Any) -> set[str]:
    """Kinds of attention, "full" and "sliding", where keys and values can be copied and padded; else none."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    needed = {"attention_mask", "position_ids", "past_key_values", "logits_to_keep"}
    if not needed <= set(signature(model.forward).parameters):
        return set()
    # Layers with a state of their own (recurrent ones) are of other classes. Without any, all are plain ones.
    names: dict[type, str] = {DynamicLayer: "full", DynamicSlidingWindowLayer: "sliding"}
    found = {names.get(type(layer), "") for layer in DynamicCache(config=model.config).layers} or {"full"}
    return set() if "" in found else found


def _shared(questions: Sequence[Question]) -> tuple[int, ...]:
    """What all prompts begin with (instructions, examples), where that is worth a forward of its own."""
    prompts = sorted(question.prompt for question in questions)  # the first and the last one differ first
    same = common(prompts[0], prompts[-1]) if len(prompts) > 1 else 0
    same = min(same, *(len(prompt) - 1 for prompt in prompts)) if same else 0
    return prompts[0][:same] if same >= _SHARED else ()


def _head(model: Any, shared: tuple[int, ...]) -> Any:
    """Keys and values of what all prompts begin with."""
    from transformers import DynamicCache

    head = DynamicCache(config=model.config)
    ids = padded([shared], model)
    model(
        input_ids=ids,
        attention_mask=ids >= 0,
        position_ids=(ids >= 0).cumsum(-1) - 1,
        past_key_values=head,
        use_cache=True,
        logits_to_keep=1,
    )
    return head


def _fitting(waiting: Sequence[Question], model: Any, *, copied: bool) -> int:
    """How many of the first questions make a batch; at least one."""
    most = _TOKENS["cpu" if model.device.type == "cpu" else "other"]
    vocabulary = model.config.get_text_config().vocab_size
    tokens = rows = 0
    for n, question in enumerate(waiting):
        several = [option for option in question.options if len(option) > 1]
        lines = max(1, len(several) if copied else len(question.options))
        tokens += lines * (len(waiting[0].prompt) + question.longest - len(question.prompt))
        rows += 1 + lines * (question.longest - len(question.prompt))
        if n and (tokens > most or rows * vocabulary > _NUMBERS):
            return n
    return len(waiting)


def _continued(model: Any, batch: Sequence[Question], shared: tuple[int, ...], head: Any) -> list[Scores]:
    """Prompts first, padded on the left; then all but the last token of longer options, each behind its prompt.

    What all prompts begin with stands before the padding; its keys and values are copied.
    """
    import torch
    from transformers import DynamicCache

    rows = [row for row, question in enumerate(batch) for _ in question.options]
    options = [option for question in batch for option in question.options]
    longer = [n for n, option in enumerate(options) if len(option) > 1]
    prompts = padded([question.prompt[len(shared) :] for question in batch], model, left=True)
    mask = torch.cat([prompts.new_ones(len(batch), len(shared)), (prompts >= 0).long()], dim=1)
    cache = DynamicCache(config=model.config) if longer or shared else None
    if shared:
        cache = deepcopy(head)
        cache.batch_repeat_interleave(len(batch))
    logits = model(
        input_ids=prompts.clamp(min=0),
        attention_mask=mask,
        position_ids=(mask.cumsum(-1) - 1).clamp(min=0)[:, len(shared) :],
        past_key_values=cache,
        use_cache=cache is not None,
        logits_to_keep=1,
    ).logits
    logprobs, greedy = _read(logits, rows, [0] * len(rows), [option[:1] for option in options])
    if longer and cache is not None:
        copies = torch.tensor([rows[n] for n in longer], device=model.device)
        cache.batch_select_indices(copies)
        more = padded([options[n][:-1] for n in longer], model).clamp(min=0)
        steps = torch.arange(more.shape[1], device=model.device)
        logits = model(
            input_ids=more,
            attention_mask=torch.cat([mask[copies], torch.ones_like(more)], dim=1),
            position_ids=mask.sum(-1)[copies][:, None] + steps,
            past_key_values=cache,
            use_cache=True,
        ).logits
        rest = _read(logits, range(len(longer)), [0] * len(longer), [options[n][1:] for n in longer])
        for n, logprob, all_first in zip(longer, *rest, strict=True):
            logprobs[n] += logprob
            greedy[n] = greedy[n] and all_first
    return _scores(batch, logprobs, greedy)


def _together(model: Any, batch: Sequence[Question]) -> list[Scores]:
    """Prompts with all but the last token of each option, padded on the right, which no causal model looks at."""
    lines: dict[tuple[int, tuple[int, ...]], int] = {}
    options = [(row, option) for row, question in enumerate(batch) for option in question.options]
    rows = [lines.setdefault((row, option[:-1]), len(lines)) for row, option in options]
    ids = padded([batch[row].prompt + begin for row, begin in lines], model)
    mask = (ids >= 0).long()
    kept = ids.shape[1] - min(len(question.prompt) for question in batch) + 1
    keep = {"logits_to_keep": kept} if "logits_to_keep" in signature(model.forward).parameters else {}
    logits = model(input_ids=ids.clamp(min=0), attention_mask=mask, **keep).logits[:, -kept:]
    begin = ids.shape[1] - kept
    starts = [len(batch[row].prompt) - 1 - begin for row, _ in options]
    return _scores(batch, *_read(logits, rows, starts, [option for _, option in options]))


def _read(
    logits: Any, rows: Sequence[int], starts: Sequence[int], options: Sequence[Sequence[int]]
) -> tuple[list[float], list[bool]]:
    """Log-probabilities of tokens, summed, and whether all are first choices; the first is told at ``starts``."""
    import torch

    log_p = logits.float().log_softmax(-1)
    length = max(map(len, options))
    wanted = torch.tensor([[*option] + [-1] * (length - len(option)) for option in options], device=log_p.device)
    row = torch.tensor(list(rows), device=log_p.device)[:, None]
    at = torch.tensor(list(starts), device=log_p.device)[:, None] + torch.arange(length, device=log_p.device)
    at = at.clamp(max=log_p.shape[1] - 1)
    known = wanted >= 0
    values = log_p[row, at, wanted.clamp(min=0)].where(known, 0)
    first = (log_p.argmax(-1)[row, at] == wanted) | ~known
    return values.sum(-1).tolist(), first.all(-1).tolist()


def _scores(batch: Sequence[Question], logprobs: Sequence[float], greedy: Sequence[bool]) -> list[Scores]:
    found = zip(logprobs, greedy, strict=True)
    done = []
    for question in batch:
        options = [(*next(found), len(option)) for option in question.options]
        scored = tuple(Scored(logprob, n, first) for logprob, first, n in options)
        done.append(Scores(question.id, scored, len(question.prompt)))
    return done
