import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from bftembed.engines import Request
from bftembed.engines.scoring import encode, encode_all
from bftembed.errors import BftembedWarning, InputError
from bftembed.models.chat import prompt_ids


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    return AutoTokenizer.from_pretrained(tiny_model)


def tokens(tokenizer, text):
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def characters(**special):
    """A tokenizer of characters, with the merges `ab` and `bc`, and whatever special tokens it is to have."""
    letters = {letter: n for n, letter in enumerate("abc :AB")}
    vocabulary = {**letters, "ab": 7, "bc": 8, "<s>": 9, "</s>": 10}
    core = Tokenizer(models.BPE(vocabulary, [("a", "b"), ("b", "c")]))
    core.pre_tokenizer = pre_tokenizers.Split(" ", "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=core, **special)


def test_the_options_of_a_chat_begin_behind_its_prefix(tokenizer):
    request = Request("a", "Which letter?", "Be brief.", prefix="Answer:")
    question = encode(request, [" A", " B"], tokenizer)
    assert question.prompt == tuple(prompt_ids(request.chat, tokenizer, prefix="Answer:"))
    assert question.options == (tokens(tokenizer, " A"), tokens(tokenizer, " B"))
    assert not question.moved
    assert question.longest == len(question.prompt) + 1


@pytest.mark.parametrize(
    ("raw", "options", "prompt", "scored"),
    [
        ("Answer:", [" A", " B"], "Answer:", [" A", " B"]),
        ("Answer:", ["A", "B"], "Answer:", ["A", "B"]),
        ("Answer: ", ["A", "B"], "Answer:", [" A", " B"]),  # the space belongs to the option's word
        ("Answer:\n", ["A", "B"], "Answer:\n", ["A", "B"]),
        ("The gene is call", ["ed", "ous"], "The gene is", [" called", " callous"]),
        ("naïve é", ["é", "ö"], "naïve é", ["é", "ö"]),
    ],
)
def test_the_boundary_is_where_tokens_agree(tokenizer, raw, options, prompt, scored):
    question = encode(Request("a", raw=raw), options, tokenizer)
    assert question.prompt == tokens(tokenizer, prompt)
    assert [tokenizer.decode(option) for option in question.options] == scored
    assert question.moved == (prompt != raw)


def test_all_options_of_a_request_begin_at_the_same_place(tokenizer):
    # A digit takes no space before it, a letter does: alone, the two would be scored from different places.
    alone = [encode(Request("a", raw="Answer: "), [option], tokenizer) for option in ("A", "1")]
    assert len(alone[0].prompt) < len(alone[1].prompt)
    both = encode(Request("a", raw="Answer: "), ["A", "1"], tokenizer)
    assert both.prompt == alone[0].prompt
    assert [tokenizer.decode(option) for option in both.options] == [" A", " 1"]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_prompt_and_option_are_the_tokens_of_their_text(tokenizer, data):
    texts = st.text(st.sampled_from("ab cd\n.:1Aé日😀"), min_size=1, max_size=8)
    raw, options = data.draw(texts), data.draw(st.lists(texts, min_size=1, max_size=4))
    question = encode(Request("a", raw=raw), options, tokenizer)
    together = [tokens(tokenizer, raw + option) for option in options]
    begin = question.prompt if question.prompt != (tokenizer.bos_token_id,) else ()
    assert [begin + option for option in question.options] == together
    assert all(question.options)
    alone = tokens(tokenizer, raw)
    assert alone[: len(begin)] == begin
    assert question.moved == (len(begin) < len(alone))
    # As late as it may be: one token more, and it would not be the prompt's, or an option would be empty.
    later = {ids[: len(begin) + 1] for ids in together}
    assert later != {alone[: len(begin) + 1]} or len(alone) == len(begin) or min(map(len, question.options)) == 1


def test_one_warning_says_how_many_boundaries_moved(tokenizer):
    requests = [Request("fine", raw="Answer:"), Request("space", raw="Answer: "), Request("other", raw="Reply: ")]
    with pytest.warns(BftembedWarning, match="In 2 of 3 prompts .`space`. an option joins") as caught:
        encode_all(requests, [[" A"], ["A"], ["A"]], tokenizer)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encode_all(requests[:1], [[" A"]], tokenizer)


def test_the_window_holds_prompt_and_longest_option(tokenizer):
    requests = [Request("a", raw="one two three"), Request("b", raw="one two")]
    options = [[" four", " four five"], [" four"]]
    fitting, beyond = encode_all(requests, options, tokenizer, window=5)
    assert [question.id for question in fitting] == ["a", "b"]
    assert not beyond
    fitting, beyond = encode_all(requests, options, tokenizer, window=4)
    assert [question.id for question in fitting] == ["b"]
    assert (beyond[0].id, beyond[0].status, beyond[0].options, beyond[0].n_prompt_tokens) == ("a", "too_long", (), 3)
    assert beyond[0].error == "prompt and longest option (3 + 2 tokens) exceed the model's window of 4 tokens"


def test_a_prompt_that_merges_with_its_option_follows_the_token_that_begins_texts(tokenizer):
    assert encode(Request("a", raw="a"), ["b"], characters(bos_token="<s>")).prompt == (9,)
    question = encode(Request("a", raw="a"), ["b", "c"], characters(eos_token="</s>"))
    assert (question.prompt, question.options) == ((10,), ((7,), (0, 2)))
    with pytest.raises(InputError, match="Nothing comes before the options of the request `a`"):
        encode(Request("a", raw="a"), ["b"], characters())


def test_no_token_that_a_tokenizer_puts_behind_every_text_comes_between_prompt_and_option():
    closing = characters(bos_token="<s>", eos_token="</s>")
    closing.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 9), ("</s>", 10)]
    )
    assert closing("a:")["input_ids"] == [9, 0, 4, 10]
    request = Request("a", raw="a:")
    assert encode(request, ["A", "BA"], closing)[1:3] == ((9, 0, 4), ((5,), (6, 5)))
    assert encode(request, ["A"], closing, end=True).options == ((5, 10),)
    assert prompt_ids([], closing, raw="a:") == [9, 0, 4]


def test_an_option_that_leaves_no_token_is_scored_with_the_one_before():
    silent = characters(bos_token="<s>")  # has no token for a `z`, and writes none
    assert encode(Request("a", raw="ab:"), ["z", "A"], silent)[1:3] == ((7,), ((4,), (4, 5)))


def test_the_end_is_a_last_token_of_each_option(tokenizer):
    open_, closed = (encode(Request("a", "Change?"), ["no", "no change"], tokenizer, end=end) for end in (False, True))
    assert open_.options[1][: len(open_.options[0])] == open_.options[0]
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert closed.options == tuple((*option, end) for option in open_.options)
    with pytest.raises(InputError, match="no token that ends an answer; score without `end`"):
        encode(Request("a", raw="a:"), ["A"], characters(), end=True)
