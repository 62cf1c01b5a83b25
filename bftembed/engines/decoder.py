"""From the tokens of an answer to a completion, alike in all engines that see tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bftembed.engines.reasoning import is_mark, opened_in
from bftembed.engines.values import Completion

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

#: Tokens at the end of a prompt among which reasoning may be opened.
_TAIL = 32


class Decoder:
    """Makes completions of tokens.

    Special tokens are dropped, but for those that may mark reasoning: what stands between them is no answer, and
    could not be told from it without them. An answer whose prompt ends by opening the reasoning begins with that mark.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        names = {id: token.content for id, token in tokenizer.added_tokens_decoder.items() if token.special}
        names |= dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
        self._dropped = {id for id, name in names.items() if not is_mark(name)}

    def completion(
        self, id: str, prompt: list[int], tokens: list[int], *, ends: Collection[int], stop: Sequence[str] = ()
    ) -> Completion:
        """Cut at the first end token (what follows it in a static batch is padding) or text of `stop`."""
        end = next((at for at, token in enumerate(tokens) if token in ends), None)
        kept = [token for token in tokens[:end] if token not in self._dropped]
        text = self._tokenizer.decode(kept)
        stops = [at for at in map(text.find, stop) if at >= 0]
        if stops:
            text = text[: min(stops)]
        text = opened_in(self._tokenizer.decode(prompt[-_TAIL:])) + text
        finished = end is not None or bool(stops)
        return Completion(id, text, "stop" if finished else "length", len(prompt), len(tokens[:end]))
