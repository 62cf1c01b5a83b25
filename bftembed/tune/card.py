"""The model card of a tuned model: what it was made from, how, and how to use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

_CARD = """\
---
{metadata}---

# {name}

{kind} {base}, tuned with the objective `{objective}` by bftembed.

## Use

```python
import bftembed as bft

adata = bft.embed(["TP53", "MYC"], engine="transformers:{name}")  # the directory of this file
```

## How it was made

{rows}
"""


def write_card(path: Path, model: str, objective: str, rows: dict[str, str]) -> None:
    """Write ``README.md`` beside a model or adapter, in place of the form with gaps that peft leaves.

    Parameters
    ----------
    path
        Directory of the model or adapter.
    model
        Name of the model that was tuned, as `bftembed.models.files.ModelFiles` has it; an id on the hub becomes the
        card's ``base_model``, and a directory does not, whose name means nothing elsewhere.
    objective
        Name of the objective.
    rows
        What is to be said on how it was made, by its heading.
    """
    base = model.split(" ", maxsplit=1)[0] if "/" in model else None
    adapter = (path / "adapter_config.json").exists()
    metadata: dict[str, Any] = {"base_model": base} if base else {}
    metadata["base_model_relation"] = "adapter" if adapter else "finetune"
    metadata |= {"library_name": "peft" if adapter else "transformers", "pipeline_tag": "text-generation"}
    metadata["tags"] = ["bftembed", objective, *(["lora"] if adapter else [])]
    content = _CARD.format(
        metadata=yaml.safe_dump(metadata, sort_keys=False),
        name=path.resolve().name,
        kind="A LoRA adapter of" if adapter else "All weights of",
        base=f"[{base}](https://huggingface.co/{base})" if base else f"`{model}`",
        objective=objective,
        rows="\n".join(["| | |", "|---|---|", *(f"| {heading} | {text} |" for heading, text in rows.items())]),
    )
    (path / "README.md").write_text(content, encoding="utf-8")
