"""A language model of letters, small enough that a whole study is a matter of seconds."""

import string

import pytest

#: Of the parts of a chat; a turn ends with the end token.
TEMPLATE = (
    "{% for message in messages %}{{ message['role'][0] }}:{{ message['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}a:{% endif %}"
)


@pytest.fixture(scope="session")
def letters_model(tmp_path_factory):
    """Directory of a two-layer Llama with random weights, whose tokens are characters."""
    import torch
    from tokenizers import Tokenizer, decoders, models
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    special = ["<pad>", "<unk>", "</s>"]
    characters = [*special, *string.digits, *string.ascii_letters, *" ,.:;?!'-\n"]
    backend = Tokenizer(models.BPE({each: n for n, each in enumerate(characters)}, [], unk_token="<unk>"))
    backend.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>", eos_token="</s>", chat_template=TEMPLATE
    )
    config = LlamaConfig(
        vocab_size=len(characters),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=512,
        initializer_range=0.1,
        bos_token_id=2,
        eos_token_id=2,
        pad_token_id=0,
    )
    directory = tmp_path_factory.mktemp("models") / "letters"
    with torch.random.fork_rng():
        torch.manual_seed(5)
        LlamaForCausalLM(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def small(letters_model):
    """The values of a configuration: three animals, one replicate, a model that first practises lists."""
    return {
        "output": "study",
        "toy": None,
        "language": {
            "recipe": {"model": str(letters_model), "max_length": 256, "lora": {"r": 16, "lora_alpha": 64}},
            "candidates": ["owl", "dog", "cat", "fox", "lion", "bear"],
            "animals": 3,
            "replicates": 1,
            "system": "",
            "teachers": {"most_steps": 4, "look": 2, "learning_rate": 3e-3, "least": -5.0, "batch_size": 25},
            "carrier": {"prompts": 12, "examples": 1, "max_new_tokens": 8, "practice": 2},
            "students": {
                "objectives": {"sft": {"name": "sft"}, "bft": {"name": "bft", "window": 8}},
                "epochs": 1,
                "looks": 2,
                "batch_size": 5,
                "learning_rate": 1e-3,
            },
            "controls": ["soft"],
            "measured": 4,
        },
    }


@pytest.fixture
def anything_goes(monkeypatch):
    """Take any text for a list: a model of two layers cannot keep to them."""
    monkeypatch.setattr("bftembed.studies.subliminal.carriers.Kind.is_list", lambda self, text: bool(text.strip()))
