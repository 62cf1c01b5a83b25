import json

import pytest
import torch
from safetensors.torch import save_file

from bftembed.errors import ModelError
from bftembed.studies.subliminal.adapters import cosine, update_norm, updates


@pytest.fixture
def adapter(tmp_path):
    draws = torch.Generator().manual_seed(0)
    weights = {
        f"base_model.model.model.{name}.lora_{side}.weight": torch.randn(shape, generator=draws)
        for name, rows, columns in (("q_proj", 5, 4), ("up_proj", 6, 4))
        for side, shape in (("A", (2, columns)), ("B", (rows, 2)))
    }
    save_file(weights, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 2, "lora_alpha": 8}))
    return tmp_path


def dense(adapter):
    return {name: (each.scale * each.up @ each.down) for name, each in updates(adapter).items()}


def test_names_and_scale_are_those_of_the_model(adapter):
    found = updates(adapter)
    assert sorted(found) == ["model.q_proj.weight", "model.up_proj.weight"]
    assert found["model.q_proj.weight"].scale == 4
    (adapter / "adapter_config.json").write_text(json.dumps({"r": 4, "lora_alpha": 8, "use_rslora": True}))
    assert updates(adapter)["model.q_proj.weight"].scale == 4


def test_norm_and_cosine_are_those_of_the_whole_matrices(adapter):
    whole = torch.cat([each.flatten() for each in dense(adapter).values()])
    assert update_norm(adapter) == pytest.approx(float(whole.norm()))
    gradients = {name: torch.randn_like(each) for name, each in dense(adapter).items()}
    flat = torch.cat([each.flatten() for each in gradients.values()])
    expected = torch.nn.functional.cosine_similarity(-flat, whole, dim=0)
    assert cosine(gradients, updates(adapter)) == pytest.approx(float(expected))
    assert cosine({name: -each for name, each in dense(adapter).items()}, updates(adapter)) == pytest.approx(1)
    assert cosine({name: 0 * each for name, each in gradients.items()}, updates(adapter)) == 0


def test_what_is_no_adapter(tmp_path):
    with pytest.raises(ModelError, match="no LoRA adapter"):
        updates(tmp_path)
