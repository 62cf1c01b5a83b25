from types import SimpleNamespace

import pytest

from bftembed.encoders.lengths import positions


@pytest.mark.parametrize(
    ("family", "expected"),
    [("bert", 40), ("roberta", 38), ("mpnet", 38), ("distilbert", 40), ("gpt_neox", 40), ("t5", None)],
)
def test_positions_of_families_of_models(family, expected):
    import torch
    import transformers

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    t5 = {"d_model": 8, "d_ff": 8, "d_kv": 8, "num_layers": 1, "num_heads": 1}
    bert = {"dim": 8, "hidden_dim": 8, "n_layers": 1, "n_heads": 1, "max_position_embeddings": 40}
    given = {"t5": t5, "distilbert": bert}.get(family, {**sizes, "max_position_embeddings": 40})
    config = transformers.AutoConfig.for_model(family, vocab_size=30, **given)
    model = transformers.AutoModel.from_config(config)
    longest = positions(SimpleNamespace(auto_model=model))
    assert longest == (expected or 1 << 20)
    if expected and family != "gpt_neox":
        with torch.no_grad():
            model(torch.full((1, longest), 5))
            with pytest.raises((IndexError, RuntimeError)):
                model(torch.full((1, longest + 1), 5))
