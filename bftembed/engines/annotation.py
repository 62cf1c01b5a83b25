"""No language model: the rendered facts are the profile (the recipe of GenePT, Chen and Zou 2024)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bftembed.engines.base import Engine
from bftembed.engines.values import Completion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bftembed.engines.values import Request, Sampling


class AnnotationEngine(Engine):
    """Gives every prompt back as it is.

    With the ``annotation`` template the prompt holds the entity's facts and nothing else (full name, RefSeq summary,
    GO terms), so that the text that is embedded is annotation, not generated. It needs no GPU, and is the control
    beside every generated text.

    Examples
    --------
    >>> from bftembed.engines import AnnotationEngine, Request
    >>> [[completion]] = AnnotationEngine().generate([Request("1", "TP53. tumor protein p53.")])
    >>> completion.text
    'TP53. tumor protein p53.'
    """

    name = "annotation"
    generates = False
    template = "annotation"

    def _generate(self, requests: list[Request], sampling: Sampling) -> Iterator[list[Completion]]:
        yield [Completion(request.id, request.raw or request.chat[-1]["content"], "stop") for request in requests]

    def describe(self) -> dict[str, str]:
        """Return the name of the engine: the template and the facts are part of a profile's key anyway."""
        return {"engine": self.name}
