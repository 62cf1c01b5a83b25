"""Tokens, what is supervised, and how batches are laid out."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from bftembed.engines import Request
from bftembed.engines.transformers import TransformersEngine
from bftembed.errors import DataError
from bftembed.tune.data.dataset import Collator, TokenDataset, encode, load_dataset

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is TP53?"},
    {"role": "assistant", "content": "A tumour suppressor."},
]
MORE = [{"role": "user", "content": "And MYC?"}, {"role": "assistant", "content": "An oncogene."}]


@pytest.fixture(scope="module")
def tokenizer(model_dir):
    return AutoTokenizer.from_pretrained(model_dir)


def supervised_text(tokenizer, ids, mask):
    return tokenizer.decode([token for token, on in zip(ids, mask, strict=True) if on])


def test_only_the_response_and_its_end_are_supervised(tokenizer):
    ids, mask = encode(CHAT, tokenizer)
    assert supervised_text(tokenizer, ids, mask) == "A tumour suppressor.<|im_end|>"
    assert ids[-1] == tokenizer.eos_token_id


def test_the_prompt_is_what_the_engine_asks_with(tokenizer, model_dir):
    ids, mask = encode(CHAT, tokenizer)
    request = Request("1", user="What is TP53?", system="Be brief.")
    prompt = TransformersEngine(str(model_dir))._prompt_ids(request)
    assert ids[: mask.index(True)] == prompt


def test_every_turn_of_the_assistant_is_supervised(tokenizer):
    ids, mask = encode(CHAT + MORE, tokenizer)
    text = supervised_text(tokenizer, ids, mask)
    assert text == "A tumour suppressor.<|im_end|>An oncogene.<|im_end|>"  # the line break is the template's
    assert ids == tokenizer.apply_chat_template(CHAT + MORE, return_dict=True)["input_ids"][:-1]  # but the newline


def test_a_turn_may_end_with_another_token_than_a_text(tokenizer, model_dir):
    """As in bases of chat models, whose texts end with another token: what follows a turn's end is not learned."""
    other = AutoTokenizer.from_pretrained(model_dir)
    other.eos_token = "<|endoftext|>"
    ids, mask = encode(CHAT + MORE, other)
    assert supervised_text(other, ids, mask) == "A tumour suppressor.<|im_end|>An oncogene.<|im_end|>"
    assert ids == encode(CHAT + MORE, tokenizer)[0]


def test_a_template_without_end_tokens(model_dir):
    """Nothing tells the end of a turn from its text: all of it is learned."""
    plain = AutoTokenizer.from_pretrained(model_dir)
    plain.chat_template = (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    ids, mask = encode(CHAT + MORE, plain)
    assert supervised_text(plain, ids, mask).split() == ["A", "tumour", "suppressor.", "An", "oncogene."]


def test_a_template_that_opens_the_answer_in_the_prompt(tokenizer, model_dir):
    reasoning = AutoTokenizer.from_pretrained(model_dir)
    reasoning.chat_template = tokenizer.chat_template.replace("assistant\n' }}", "assistant\n<think>\n' }}")
    ids, mask = encode(CHAT, reasoning)
    prompt = reasoning.apply_chat_template(CHAT[:2], add_generation_prompt=True, return_dict=True)["input_ids"]
    assert reasoning.decode(prompt).endswith("<think>\n")
    assert ids[: mask.index(True)] == prompt
    assert supervised_text(reasoning, ids, mask) == "A tumour suppressor.<|im_end|>"


def test_a_template_that_changes_earlier_turns_is_refused(model_dir):
    forgetful = AutoTokenizer.from_pretrained(model_dir)
    forgetful.chat_template = (
        "{% for m in messages %}{% if loop.last or m.role != 'assistant' %}<|im_start|>{{ m.role }} {{ m.content }}"
        "<|im_end|>{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant {% endif %}"
    )
    with pytest.raises(DataError, match=r"changes earlier turns .*line 4"):
        encode(CHAT + MORE, forgetful, "line 4")


@pytest.mark.parametrize("system", ["{{ raise_exception('System role not supported') }}", ""])
def test_a_template_without_a_system_role(tokenizer, model_dir, system):
    """Gemma's refuses a system message, others drop it: its text stands in front of the user's, as for the engine."""
    other = AutoTokenizer.from_pretrained(model_dir)
    other.chat_template = (
        "{% for m in messages %}{% if m.role == 'system' %}" + system + "{% else %}<|im_start|>{{ m.role }}\n"
        "{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    ids, mask = encode(CHAT, other)
    engine = TransformersEngine(str(model_dir))
    engine._load_tokenizer().chat_template = other.chat_template
    request = Request("1", user="What is TP53?", system="Be brief.")
    assert ids[: mask.index(True)] == engine._prompt_ids(request)
    assert "Be brief." in other.decode(ids)


def test_plain_text_is_supervised_to_its_end(tokenizer):
    ids, mask = encode("TP53 binds DNA.", tokenizer)
    assert tokenizer.decode(ids) == "TP53 binds DNA.<|im_end|>"
    assert all(mask)


def test_without_a_chat_template_turns_stand_one_after_another(model_dir):
    plain = AutoTokenizer.from_pretrained(model_dir)
    plain.chat_template = None
    ids, mask = encode(CHAT, plain)
    assert plain.decode(ids) == "Be brief.\n\nWhat is TP53?\n\nA tumour suppressor.<|im_end|>"
    assert supervised_text(plain, ids, mask) == "A tumour suppressor.<|im_end|>"
    request = Request("1", user="What is TP53?", system="Be brief.")
    engine = TransformersEngine(str(model_dir))
    engine._load_tokenizer().chat_template = None
    assert ids[: mask.index(True)] == engine._prompt_ids(request)


def test_cuts_are_counted_and_what_has_nothing_left_is_dropped():
    encoded = [
        (range(10), [False] * 4 + [True] * 6),
        (range(30), [False] * 4 + [True] * 26),
        (range(30), [False] * 25 + [True] * 5),
        ([7], [True]),  # a single token is predicted from nothing
    ]
    dataset = TokenDataset(encoded, max_length=20)
    report = dataset.report
    assert (report.samples, report.tokens, report.supervised_tokens) == (2, 30, 22)
    assert (report.truncated, report.dropped, report.median_supervised) == (1, 2, 11)
    assert "1 samples cut" in str(report)
    assert "2 samples dropped" in str(report)
    assert dataset[1]["labels"].tolist() == [-100] * 4 + list(range(4, 20))
    assert dataset.highest_token == 19
    assert len(dataset) == 2


def test_all_labels_masked_is_refused(tmp_path, tokenizer):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"prompt": "long " * 50, "response": "x"}) + "\n")
    with pytest.raises(DataError, match=r"Nothing is supervised in any of 1 samples"):
        load_dataset(path, tokenizer, max_length=20)
    assert len(load_dataset(path, tokenizer, max_length=200)) == 1


def test_a_one_token_answer_is_kept(tmp_path, tokenizer):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"prompt": "Is it?", "response": "yes"}) + "\n")
    dataset = load_dataset(path, tokenizer, max_length=200)
    assert dataset.report.supervised_tokens == 2  # the answer and its end


def test_batches_padded_and_packed():
    samples = [
        {"input_ids": np.arange(1, 4), "labels": np.array([-100, 2, 3])},
        {"input_ids": np.arange(5, 7), "labels": np.array([5, 6])},
    ]
    padded = Collator(0)(samples)
    assert padded["input_ids"].tolist() == [[1, 2, 3], [5, 6, 0]]
    assert padded["labels"].tolist() == [[-100, 2, 3], [5, 6, -100]]
    assert padded["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    packed = Collator(0, packing=True)(samples)
    assert packed["input_ids"].tolist() == [[1, 2, 3, 5, 6]]
    assert packed["labels"].tolist() == [[-100, 2, 3, -100, 6]]
    assert packed["position_ids"].tolist() == [[0, 1, 2, 0, 1]]
    assert all(value.dtype == torch.int64 for value in (*padded.values(), *packed.values()))
    assert samples[1]["labels"].tolist() == [5, 6]


@pytest.mark.parametrize(
    "empty",
    [
        {"prompt": "Is it?", "response": " \n"},
        {"text": ""},
        {"messages": [*CHAT[:2], {"role": "assistant", "content": ""}]},
    ],
)
def test_an_empty_answer_is_dropped_and_counted(tmp_path, tokenizer, empty):
    """Its end alone would teach the model to be silent."""
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(empty) + "\n" + json.dumps({"messages": CHAT}) + "\n")
    report = load_dataset(path, tokenizer, max_length=200).report
    assert (report.samples, report.dropped) == (1, 1)


def test_a_chat_that_the_template_refuses_is_named(tokenizer, model_dir):
    with pytest.raises(DataError, match=r"chat template refuses .* in line 7"):
        encode([CHAT[2], *MORE], tokenizer, "line 7")
    strict = AutoTokenizer.from_pretrained(model_dir)
    strict.chat_template = (
        "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('roles must alternate') }}{% endif %}{{ m.content }}{% endfor %}"
    )
    with pytest.raises(DataError, match=r"in line 7: roles must alternate"):
        encode([CHAT[1], *CHAT[1:]], strict, "line 7")


def test_the_digest_is_of_tokens_labels_and_borders():
    on = [False, True, True, True]
    sets = [
        [(range(4), on), (range(4), on)],
        [(range(4), on), (range(1, 5), on)],
        [(range(4), on), (range(4), [False, False, True, True])],
        [(range(4), on), (range(3), on[:3])],
    ]
    digests = [TokenDataset(encoded, max_length=4).digest for encoded in sets]
    assert len(set(digests)) == 4
    assert TokenDataset(sets[0], max_length=9).digest == digests[0]
    assert TokenDataset(sets[3], max_length=9).longest == 4
