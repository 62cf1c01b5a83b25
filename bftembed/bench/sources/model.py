"""Language models as inputs: what they answer, not what they embed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bftembed.bench.sources.base import Source
from bftembed.encoders import get_encoder
from bftembed.engines import Engine, get_engine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bftembed.encoders import Encoder

#: Options of an engine that say which adapter stands on which model; its base has neither.
_TUNING = {"adapter", "base"}


class Model(Source):
    """A language model that answers: ``model:default``, ``model:transformers:DIR``, ``model:openai:NAME@URL`` etc.

    Parameters
    ----------
    argument
        Short name of an engine, see `bftembed.engines.get_engine`; or an engine.
    label, spec
        See `Source`.
    encoder
        Of texts, where answers are compared by meaning.
    engine_options
        Handed to the engine, e.g. ``{"dtype": "bfloat16"}``.

    Examples
    --------
    >>> from bftembed.bench import get_source
    >>> get_source("small=model:default").label
    'small'
    """

    takes_encoder = True
    takes_engine_options = True
    answers = True

    def __init__(
        self,
        argument: str | Engine,
        *,
        label: str | None = None,
        spec: str | None = None,
        encoder: str | Encoder = "default",
        engine_options: Mapping[str, Any] | None = None,
    ) -> None:
        name = argument.name if isinstance(argument, Engine) else argument
        super().__init__(name, label=label or f"model:{name}", spec=spec or f"model:{name}")
        self.encoder = get_encoder(encoder)
        self._argument, self._options = argument, dict(engine_options or {})
        self._engine: Engine | None = None

    @property
    def engine(self) -> Engine:
        """The engine, made when it is first needed."""
        if self._engine is None:
            options = {} if isinstance(self._argument, Engine) else self._options
            self._engine = get_engine(self._argument, **options)
        return self._engine

    def release(self) -> None:
        """Let go of the engine and its memory; it is made again if it is needed."""
        self._engine = None

    def describe(self) -> dict[str, Any]:
        return {"engine": self.engine.describe()}

    def untuned(self) -> Model | None:
        """The model that an adapter was tuned from, or None if there is no adapter."""
        made_of = self.engine.provenance()
        if "adapter_directory" not in made_of:
            return None
        options = {name: value for name, value in self._options.items() if name not in _TUNING}
        spec = f"{self.engine.name}:{made_of['directory']}"
        return Model(
            spec, label=f"{self.label} (base)", spec=f"model:{spec}", encoder=self.encoder, engine_options=options
        )
