import pytest
from transformers import AutoTokenizer

from bftembed.engines.decoder import Decoder


@pytest.fixture(scope="session")
def tokenizer(tiny_model):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.add_special_tokens({"additional_special_tokens": ["[THINK]", "[/THINK]", "<gene>"]})
    return tokenizer


@pytest.fixture
def complete(tokenizer):
    def complete(text, *, prompt="What is TP53?", **options):
        tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
        return Decoder(tokenizer).completion("a", tokenizer(prompt)["input_ids"], tokens, **options)

    return complete


def test_marks_of_reasoning_stay_and_other_special_tokens_go(complete):
    assert complete("[THINK]A gene.[/THINK]<gene>TP53 binds DNA.", ends=()).text == (
        "[THINK]A gene.[/THINK]TP53 binds DNA."
    )


@pytest.mark.parametrize(
    ("end", "begin"),
    [("<think>\n", "<think>\n"), ("<think>\n\n</think>\n\n", ""), ("[THINK]", "[THINK]")],
)
def test_reasoning_that_the_prompt_opens_is_part_of_the_answer(complete, end, begin):
    assert complete("A gene.", prompt=f"<|im_start|>assistant\n{end}", ends=()).text == f"{begin}A gene."


def test_an_end_token_ends_and_padding_does_not_count(complete, tokenizer):
    done = complete("TP53 binds DNA.<|im_end|><|im_end|>more", ends={tokenizer.eos_token_id})
    assert (done.text, done.finish_reason) == ("TP53 binds DNA.", "stop")
    assert done.n_tokens == len(tokenizer("TP53 binds DNA.")["input_ids"])


def test_the_first_stop_text_ends(complete):
    done = complete("TP53 binds DNA. References: none. The end", ends=(), stop=("The end", " References"))
    assert (done.text, done.finish_reason) == ("TP53 binds DNA.", "stop")
    assert complete("TP53", ends=(), stop=("x",)).finish_reason == "length"
