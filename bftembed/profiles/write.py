"""Have profiles written: only the missing ones, a batch at a time, failures once more."""

from __future__ import annotations

import logging
import shlex
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bftembed import _progress
from bftembed._html import Shown
from bftembed._unicode import writable
from bftembed.engines import Sampling
from bftembed.profiles.clean import ISSUES, clean
from bftembed.profiles.exports import Profile
from bftembed.profiles.recipe import Recipe, key_of
from bftembed.profiles.template import load_template

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bftembed.engines import Completion, Engine, Request
    from bftembed.profiles.entity import Entity
    from bftembed.profiles.store import ProfileStore

log = logging.getLogger("bftembed")
#: Greedy decoding would give the same bad text again, so the second attempt samples.
_RETRY_TEMPERATURE = 0.7
#: Assumed where nothing was measured yet: the default model on two CPU cores.
_ASSUMED_SPEED = 250.0
_TOLD = ("status", "issues", "text")


@dataclass(frozen=True, slots=True)
class Plan(Shown):
    """What a run would do: which prompts there are, and which are in the store already.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from bftembed.engines import get_engine
    >>> from bftembed.profiles import Entity, ProfileStore, plan_profiles
    >>> genes = [Entity("gene", "TP53", {"full name": "tumor protein p53"})]
    >>> with TemporaryDirectory() as directory, ProfileStore(f"{directory}/texts.sqlite") as store:
    ...     plan = plan_profiles(genes, get_engine("annotation"), store=store)
    >>> len(plan.missing), len(plan.stored)
    (1, 0)
    """

    recipe: Recipe
    keys: list[str]
    requests: dict[str, Request]
    stored: dict[str, Profile]

    @property
    def missing(self) -> list[Request]:
        """Prompts that were never answered, or failed with an error, in order of their keys' first use."""
        return [r for key, r in self.requests.items() if key not in self.stored or self.stored[key].status == "error"]

    def _parts(self) -> dict[str, Any]:
        n, missing = len(self.requests), len(self.missing)
        return {"prompts": n, "in the store": n - missing, "missing": missing, "recipe": self.recipe}


@dataclass(frozen=True, slots=True)
class WriteResult(Shown):
    """Outcome of `write_profiles`.

    ``profiles`` follows the entities; ``counts`` has ``unique``, ``stored`` (found in the store), ``generated``,
    ``retried``, every issue that was mended, and every status that is not ``ok``.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from bftembed.engines import get_engine
    >>> from bftembed.profiles import Entity, ProfileStore, write_profiles
    >>> genes = [Entity("gene", "TP53", {"full name": "tumor protein p53"})]
    >>> with TemporaryDirectory() as directory, ProfileStore(f"{directory}/texts.sqlite") as store:
    ...     result = write_profiles(genes, get_engine("annotation"), store=store)
    >>> result.counts["generated"]
    1
    """

    profiles: list[Profile]
    recipe: Recipe
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def texts(self) -> list[str | None]:
        """Texts that may be embedded; None where there is none."""
        return [profile.text if profile.status == "ok" else None for profile in self.profiles]

    def _parts(self) -> dict[str, Any]:
        import pandas as pd

        table = pd.DataFrame({name: [getattr(each, name) for each in self.profiles] for name in _TOLD})
        return {"counts": self.counts, "profiles": table, "recipe": self.recipe}


def plan_profiles(
    entities: Sequence[Entity],
    engine: Engine,
    *,
    store: ProfileStore,
    template: str | Path | None = None,
    sampling: Sampling | None = None,
) -> Plan:
    """Render all prompts and look which of them the store has; nothing is generated.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from bftembed.engines import get_engine
    >>> from bftembed.profiles import Entity, ProfileStore, plan_profiles
    >>> gene = Entity("gene", "TP53", {"full name": "tumor protein p53"})
    >>> with TemporaryDirectory() as directory, ProfileStore(f"{directory}/texts.sqlite") as store:
    ...     len(plan_profiles([gene], get_engine("annotation"), store=store).missing)
    1
    """
    kind = entities[0].kind if entities else "gene"
    parsed = load_template(template or engine.template or kind)
    recipe = Recipe.by(engine, parsed, sampling or Sampling())
    rendered = [parsed.render(entity) for entity in entities]
    former = store.former_recipes(recipe, engine)
    options = [[recipe.key(request), *(key_of(digest, request) for digest in former)] for request in rendered]
    stored = store.get(key for each in options for key in each)
    # What an earlier version of this package made stays under its key, unless it is to be made again.
    keys = [next((key for key in each if key in stored and not stored[key].pending), each[0]) for each in options]
    requests = {key: replace(request, id=key) for key, request in zip(keys, rendered, strict=True)}
    # Annotation that was once taken for the loop of a model is made again.
    again = {key for key in requests if key in stored and stored[key].status == "degenerate" and not engine.generates}
    return Plan(recipe, keys, requests, {key: stored[key] for key in requests if key in stored and key not in again})


def estimate(plan: Plan, engine: Engine, store: ProfileStore) -> dict[str, float]:
    """What the missing part of a plan costs.

    Returns
    -------
    dict
        ``unique`` prompts, ``stored``, ``missing``, ``prompt_tokens``, ``new_tokens`` (at most), ``seconds`` and
        ``measured`` (1 where the speed comes from this store, 0 where it is assumed: 250 tokens/s read and written).

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from bftembed.engines import get_engine
    >>> from bftembed.profiles import Entity, ProfileStore, estimate, plan_profiles
    >>> engine = get_engine("annotation")
    >>> gene = Entity("gene", "TP53", {"full name": "tumor protein p53"})
    >>> with TemporaryDirectory() as directory, ProfileStore(f"{directory}/texts.sqlite") as store:
    ...     estimate(plan_profiles([gene], engine, store=store), engine, store)["missing"]
    1
    """
    missing = plan.missing
    prompt_tokens = engine.count_tokens(missing) if missing else 0
    new_tokens = len(missing) * int(plan.recipe.sampling["max_new_tokens"]) if engine.generates else 0
    speed = store.speed(plan.recipe)
    return {
        "unique": len(plan.requests),
        "stored": len(plan.requests) - len(missing),
        "missing": len(missing),
        "prompt_tokens": prompt_tokens,
        "new_tokens": new_tokens,
        "seconds": (prompt_tokens + new_tokens) / (speed or _ASSUMED_SPEED),
        "measured": float(speed is not None),
    }


def nearby(plan: Plan, entities: Sequence[Entity], engine: Engine, store: ProfileStore) -> list[str]:
    """What other recipes of a store have of names whose texts are missing, and how they differ; at most three lines.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from bftembed.engines import get_engine
    >>> from bftembed.profiles import Entity, ProfileStore, nearby, plan_profiles
    >>> engine, genes = get_engine("annotation"), [Entity("gene", "TP53", {"full name": "tumor protein p53"})]
    >>> with TemporaryDirectory() as directory, ProfileStore(f"{directory}/texts.sqlite") as store:
    ...     nearby(plan_profiles(genes, engine, store=store), genes, engine, store)  # an empty store has nothing near
    []
    """
    wanted = {request.id for request in plan.missing}
    names = [entity.id for entity, key in zip(entities, plan.keys, strict=True) if key in wanted]
    known = store.recipes()
    found = []
    for digest, n in (store.recipes_of(entities[0].kind, names) if names else {}).items():
        other = known[digest].in_current_terms(engine.in_current_terms)
        differences = plan.recipe.differences(other) or ["other facts, or another name, in the prompt"]
        found.append((len(differences), -n, digest, ", ".join(differences)))
    return [
        f"The store has texts of {-n:,} of {len(names):,} missing names by recipe {digest[:8]}, with {text}. To take "
        f"these: profiles='{store.path}', recipe='{digest[:8]}' (--profiles "
        f"{shlex.quote(str(store.path))} --recipe {digest[:8]})."
        for _, n, digest, text in sorted(found)[:3]
    ]


def write_profiles(
    entities: Sequence[Entity],
    engine: Engine,
    *,
    store: ProfileStore,
    template: str | Path | None = None,
    sampling: Sampling | None = None,
    progress: bool | None = None,
) -> WriteResult:
    """Give every entity its profile, generating what the store does not have.

    A finished batch is committed before the next is asked for, so that a killed run goes on where it stopped. An empty
    or degenerate text is drawn once more with another seed (and temperature 0.7 where decoding is greedy), then kept
    as failed. A request that failed with an error is asked for again in the next run.

    Parameters
    ----------
    entities
        Of one kind.
    engine
        Writes what is missing.
    store
        Where texts are kept.
    template
        Name or file; by default the engine's own, else the one of the kind.
    sampling
        How tokens are drawn; part of the key.
    progress
        Show a bar; by default a bar on a terminal or in a notebook, else a line in the log every 30 s.

    Raises
    ------
    EngineError, StoreError
        If the engine or the store cannot be used. What was finished is stored.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from bftembed.engines import get_engine
    >>> from bftembed.profiles import Entity, ProfileStore, write_profiles
    >>> gene = Entity("gene", "TP53", {"full name": "tumor protein p53"})
    >>> with TemporaryDirectory() as directory, ProfileStore(f"{directory}/texts.sqlite") as store:
    ...     write_profiles([gene], get_engine("annotation"), store=store).profiles[0].text
    'TP53. tumor protein p53.'
    """
    plan = plan_profiles(entities, engine, store=store, template=template, sampling=sampling)
    draw = sampling or Sampling()
    store.add_recipe(plan.recipe)
    store.add_entities((entity.kind, entity.id, key) for entity, key in zip(entities, plan.keys, strict=True))
    known = dict(plan.stored)
    missing = plan.missing
    for line in nearby(plan, entities, engine, store):
        log.info("%s", line)
    if missing and engine.generates:
        cost = estimate(plan, engine, store)
        basis = "measured in this store" if cost["measured"] else "of the default model on two CPU cores"
        left = _progress.spoken(cost["seconds"])
        log.info("%d texts to write, at most %s at the speed %s.", len(missing), left, basis)
    job = _Job(engine, plan, store, known, progress)
    job.run(missing, draw, attempt=1)
    bad = [r for key, r in plan.requests.items() if known[key].pending and known[key].status != "error"]
    again = bad if engine.generates else []
    second = replace(draw, seed=draw.seed + 1, temperature=draw.temperature or _RETRY_TEMPERATURE)
    job.run(again, second, attempt=2)
    found = len(plan.requests) - len(missing)
    counts = Counter({"unique": len(plan.requests), "stored": found, "generated": len(missing), "retried": len(again)})
    for key in plan.requests:
        profile = known[key]
        counts.update(profile.issues.split())
        if profile.status != "ok":
            counts[profile.status] += 1
    log.info("Profiles: %s.", summary(counts))
    return WriteResult([known[key] for key in plan.keys], plan.recipe, dict(counts))


def summary(counts: Mapping[str, int]) -> str:
    """The counts of a `WriteResult` in words."""
    said = {name: f"{number:,} {name}" for name, number in counts.items() if number or name in {"unique", "generated"}}
    return ", ".join(f"{text} ({ISSUES[name]})" if name in ISSUES else text for name, text in said.items())


@dataclass(frozen=True, slots=True)
class _Job:
    engine: Engine
    plan: Plan
    store: ProfileStore
    known: dict[str, Profile]
    progress: bool | None

    def run(self, requests: Sequence[Request], sampling: Sampling, *, attempt: int) -> None:
        """Generate, clean, commit; `known` takes what the store has then."""
        if not requests:
            return
        with _progress.progress(len(requests), "profiles", "text", show=self.progress) as bar:
            tokens, began = 0, time.perf_counter()
            last = began
            for batch in self.engine.generate(requests, sampling=sampling):
                done = [_profile(one, self.plan, attempt, generated=self.engine.generates) for one in batch]
                now = time.perf_counter()
                self.store.add(done, seconds=now - last)
                last = now
                self.known.update(self.store.get(profile.key for profile in done))
                tokens += sum(profile.n_tokens for profile in done)
                bar.update(len(done), note=f"{tokens / (now - began):.0f} tokens/s" if tokens else "")


def _profile(completion: Completion, plan: Plan, attempt: int, *, generated: bool) -> Profile:
    request = plan.requests[completion.id]
    failed = completion.finish_reason == "error"
    text = "" if failed else completion.text
    cleaned = clean(text, finish_reason=completion.finish_reason, generated=generated)
    error = completion.error
    if cleaned.status == "empty" and "unfinished_thought" in cleaned.issues:
        error = (
            f"no answer after the reasoning, which took {completion.n_tokens} tokens: raise max_new_tokens, or turn "
            "reasoning off"
        )
    return Profile(
        key=completion.id,
        recipe=plan.recipe.digest,
        system=request.system,
        prompt=request.user,
        text=cleaned.text,
        raw=writable(completion.text),
        status="error" if failed else cleaned.status,
        issues=" ".join(cleaned.issues),
        finish_reason=completion.finish_reason,
        error=None if error is None else writable(error),
        n_prompt_tokens=completion.n_prompt_tokens,
        n_tokens=completion.n_tokens,
        attempts=attempt,
        created=time.time(),
    )
