"""How long a text a sentence-transformers model takes."""

from __future__ import annotations

from typing import Any

_NO_LIMIT = 1 << 20  # of models that take texts of any length


def longest(model: Any) -> int:
    """The smaller of the length that a model's files declare and the positions that it has, special tokens included."""
    return min(_declared(model), positions(model[0]))


def _declared(model: Any) -> int:
    """The length that a model's files declare; one that is no number, or leaves no tokens for a text, is none."""
    length: Any = model.max_seq_length
    shortest = int(model.tokenizer.num_special_tokens_to_add(False))
    return int(length) if isinstance(length, int | float) and shortest < length < _NO_LIMIT else _NO_LIMIT


def positions(transformer: Any) -> int:
    """Most tokens that a transformer has positions for, special tokens included.

    Learned positions of the RoBERTa family begin behind that of the padding token.
    """
    model: Any = getattr(transformer, "auto_model", None)
    config: Any = getattr(model, "config", None)
    config = config.get_text_config() if hasattr(config, "get_text_config") else config
    limits = [getattr(config, "max_position_embeddings", None) or 0]
    for module in model.modules() if model is not None else ():
        table: Any = getattr(module, "position_embeddings", None)
        if hasattr(table, "num_embeddings"):
            padding = getattr(module, "padding_idx", None)
            limits.append(table.num_embeddings - (padding + 1 if isinstance(padding, int) else 0))
    return min((limit for limit in limits if limit > 0), default=_NO_LIMIT)
