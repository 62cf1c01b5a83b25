"""`Recipe`: everything but the prompt that fixes a text."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from bftembed._html import Shown
from bftembed.engines import Sampling
from bftembed.errors import TemplateError
from bftembed.profiles.entity import Entity
from bftembed.profiles.template import load_template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pandas as pd

    from bftembed.engines import Engine, Request
    from bftembed.profiles.template import PromptTemplate

#: Part of every key: texts of another schema are never mixed in.
SCHEMA_VERSION = 1
#: Fields of `Sampling` that are part of every key; one that was added later only where it is not its default.
_FIRST_FIELDS = {"max_new_tokens", "temperature", "top_p", "seed"}
_MODEL = {"weights", "model", "revision"}


@dataclass(frozen=True, slots=True)
class Recipe(Shown):
    """Everything but the prompt that fixes a text: engine, template, sampling; and provenance for display.

    Parameters
    ----------
    engine
        `Engine.describe`.
    template, template_digest
        Name of the template, and the digest of its text.
    sampling
        Fields of `Sampling`.
    provenance
        `Engine.provenance`: names, places, versions. No part of the digest.

    Examples
    --------
    >>> from bftembed.engines import Sampling, get_engine
    >>> from bftembed.profiles import Recipe, load_template
    >>> recipe = Recipe.by(get_engine("annotation"), load_template("annotation"), Sampling())
    >>> recipe.template, len(recipe.digest)
    ('annotation', 64)
    """

    engine: dict[str, str]
    template: str
    template_digest: str
    sampling: dict[str, Any]
    provenance: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        engine: dict[str, str],
        template: PromptTemplate,
        sampling: Sampling,
        provenance: dict[str, str] | None = None,
    ) -> Recipe:
        """Put the parts together."""
        default = Sampling()
        drawn = {
            each.name: list(value) if isinstance(value := getattr(sampling, each.name), tuple) else value
            for each in fields(Sampling)
            if each.name in _FIRST_FIELDS or getattr(sampling, each.name) != getattr(default, each.name)
        }
        return cls(engine, template.name, template.digest, drawn, provenance or {})

    @classmethod
    def by(cls, engine: Engine, template: PromptTemplate, sampling: Sampling) -> Recipe:
        """How an engine makes texts; where nothing is drawn, the sampling does not matter."""
        drawn = sampling if engine.generates else Sampling()
        return cls.of(engine.describe(), template, drawn, engine.provenance())

    @classmethod
    def parse(cls, info: str) -> Recipe:
        """Read what `json` wrote, in this version or before."""
        known = json.loads(info)
        return cls(**{each.name: known[each.name] for each in fields(cls) if each.name in known})

    @property
    def json(self) -> str:
        """All of it as JSON."""
        return json.dumps(asdict(self))

    @property
    def digest(self) -> str:
        """SHA-256 over engine, template digest, sampling with its seed, and the schema version."""
        return _digest(self.engine, self.template_digest, self.sampling, SCHEMA_VERSION)

    def key(self, request: Request) -> str:
        """Content address of the text for one prompt."""
        return key_of(self.digest, request)

    def in_current_terms(self, translate: Callable[[dict[str, str]], dict[str, str]]) -> Recipe:
        """The same with its engine described as today, see `Engine.in_current_terms`."""
        return replace(self, engine=translate(self.engine))

    @property
    def model(self) -> str:
        """Name of the model; ``""`` where there is none."""
        return self.provenance.get("model") or self.engine.get("model", "")

    @property
    def words(self) -> str:
        """One line for display: engine, model, adapter, dtype, template, sampling."""
        adapter = self.provenance.get("adapter_name") or self.engine.get("adapter", "").removeprefix("sha256:")[:8]
        engine = " ".join(filter(None, [self.engine["engine"], self.model]))
        engine += f" with adapter {adapter}" if adapter else ""
        rest = [value for name in ("dtype", "server") if (value := self.engine.get(name))]
        parts = [", ".join([engine, *rest]), f"template {self.template}"]
        if len(self.engine) > 1:  # nothing is drawn where there is no model
            drawn = dict(self.sampling)
            most, temperature = drawn.pop("max_new_tokens"), drawn.pop("temperature")
            how = [
                f"{name} {value}" for name, value in drawn.items() if (name, value) not in {("top_p", 1.0), ("seed", 0)}
            ]
            greedy = "greedy" if not temperature else f"temperature {temperature:g}"
            parts.append(", ".join([f"at most {most} tokens", greedy, *how]))
        return "; ".join(parts)

    def differences(self, other: Recipe) -> list[str]:
        """What the other recipe has otherwise, in words."""
        found = []
        if any(self.engine.get(name) != other.engine.get(name) for name in ("weights", "revision")):
            same = self.model == other.model
            models = f"model {other.model or 'none'} (here {self.model or 'none'})"
            found.append(f"other contents of model {self.model}" if same else models)
        if self.template_digest != other.template_digest:
            same = self.template == other.template
            found.append(f"another text of template {self.template}" if same else f"template {other.template}")
        default = asdict(Sampling())
        here, there = ({**default, **each.sampling, **each.engine} for each in (self, other))
        for name in {**here, **there}:
            if name not in {*_MODEL, "version"} and here.get(name) != there.get(name):
                values = (
                    "none" if value in (None, "") else str(value).removeprefix("sha256:")[:12]
                    for value in (there.get(name), here.get(name))
                )
                found.append("{} {} (here {})".format(name, *values))
        return found


def prompts_with_facts(frame: pd.DataFrame, recipe: Recipe) -> int | None:
    """How many prompts hold more than the name.

    Parameters
    ----------
    frame
        As `ProfileStore.frame` gives it, of one recipe.
    recipe
        That recipe.

    Returns
    -------
    int or None
        None where that version of the template is not available.

    Examples
    --------
    >>> import tempfile
    >>> from bftembed.engines import get_engine
    >>> from bftembed.profiles import Entity, ProfileStore, prompts_with_facts, write_profiles
    >>> genes = [Entity("gene", "TP53", {"full name": "tumor protein p53"}), Entity("gene", "ALB")]
    >>> with tempfile.TemporaryDirectory() as home, ProfileStore(f"{home}/s.sqlite") as store:
    ...     _ = write_profiles(genes, get_engine("annotation"), store=store)
    ...     (recipe,) = store.recipes().values()
    ...     prompts_with_facts(store.frame(), recipe)
    1
    """
    try:
        template = load_template(recipe.template)
    except TemplateError:
        return None
    if template.digest != recipe.template_digest:
        return None
    rows = zip(frame["kind"], frame["entity"], frame["prompt"], strict=True)
    return sum(bool(template.render(Entity(kind, entity)).user != prompt) for kind, entity, prompt in rows)


def key_of(recipe: str, request: Request) -> str:
    """Content address of the text that a recipe, given by its digest, makes of a prompt."""
    return _digest(recipe, *request.content)


def matching(recipes: Iterable[str], beginning: str) -> list[str]:
    """Digests that begin with some letters."""
    return sorted({recipe for recipe in recipes if recipe.startswith(beginning.lower())})


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
