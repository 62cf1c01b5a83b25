import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM, AutoTokenizer

from bftembed.errors import InputError, ModelError
from bftembed.tune.diagnosis.confidences import checked_length, confidences, cut, score

TEXTS = [
    "BRCA1 repairs double-strand breaks; its loss leads to genome instability.",
    "",
    "Naïve T cells — 基因 — express CD62L.",
    "word",
    "The committee met on Tuesday to discuss the new bridge. " * 6,
]


@pytest.fixture(scope="module")
def model(tiny_model):
    return AutoModelForCausalLM.from_pretrained(tiny_model).eval()


@pytest.fixture
def tokenizer(tiny_model):
    return AutoTokenizer.from_pretrained(tiny_model)


def opening_tokenizer(tokenizer):
    """The tokenizer, made to open every text with a token of its own, as Llama's does."""
    bos = tokenizer.bos_token
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, tokenizer.bos_token_id)]
    )
    return tokenizer


def by_logits(model, ids):
    """Probability of every token but the first, from the model's own logits."""
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([ids])).logits[0, :-1]
    return logits.double().softmax(-1)[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].numpy()


def test_confidences_are_those_of_the_models_logits_in_the_order_of_the_texts(model, tokenizer):
    tracks = confidences(model, tokenizer, TEXTS, batch_size=3)
    assert [track.document for track in tracks] == list(range(len(TEXTS)))
    for track, text in zip(tracks, TEXTS, strict=True):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert track.text == text
        assert track.token_ids.tolist() == ids[1:]
        assert track.confidence.dtype == np.float32
        if len(ids) > 1:
            np.testing.assert_allclose(track.confidence, by_logits(model, ids), rtol=1e-4, atol=1e-9)
    assert [len(track) for track in tracks[1:4:2]] == [0, 0]


def test_spans_are_the_characters_of_the_tokens(model, tokenizer):
    track = confidences(model, tokenizer, TEXTS[:1])[0]
    for token, (first, last) in zip(track.token_ids, track.spans, strict=True):
        assert tokenizer.decode([token]).strip() == TEXTS[0][first:last].strip()


def test_the_size_of_the_batch_changes_nothing(model, tokenizer):
    alone = confidences(model, tokenizer, TEXTS, batch_size=1)
    together = confidences(model, tokenizer, TEXTS, batch_size=5)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one.confidence, other.confidence, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("opening", [False, True])
def test_a_long_text_is_cut_into_parts_that_are_read_on_their_own(model, tokenizer, opening, caplog):
    if opening:
        tokenizer = opening_tokenizer(tokenizer)
    ids = tokenizer(TEXTS[4])["input_ids"]
    with caplog.at_level("INFO", logger="bftembed"):
        tracks = confidences(model, tokenizer, [TEXTS[0], TEXTS[4]], max_length=20)
    assert "1 of 2 texts have more than 19 tokens to predict" in caplog.text
    parts = [track for track in tracks if track.document == 1]
    assert [part.part for part in parts] == list(range(len(parts)))
    assert np.concatenate([part.token_ids for part in parts]).tolist() == ids[1:]
    assert max(map(len, parts)) == 19
    second = ids[20 : 20 + len(parts[1])]
    context = ids[0] if opening else ids[19]
    np.testing.assert_allclose(parts[1].confidence, by_logits(model, [context, *second]), rtol=1e-4, atol=1e-9)


def test_the_first_token_is_predicted_where_the_tokenizer_opens_texts(model, tokenizer):
    bare = tokenizer("word", add_special_tokens=False)["input_ids"]
    track = confidences(model, opening_tokenizer(tokenizer), ["word"])[0]
    assert track.token_ids.tolist() == bare
    assert track.spans.tolist() == [[0, 4]]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(max_size=60), max_size=4), max_length=st.integers(2, 12))
def test_cut_loses_no_token_and_spans_stay_in_order(tokenizer, texts, max_length):
    pieces = cut(tokenizer, texts, max_length)
    for document, text in enumerate(texts):
        own = [piece for piece in pieces if piece.document == document]
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert np.concatenate([piece.inputs[1:] for piece in own]).tolist() == ids[1:]
        spans = np.concatenate([piece.spans for piece in own])
        assert (np.diff(spans[:, 0]) >= 0).all()
        assert spans.max(initial=0) <= len(text)
        assert all(len(piece.inputs) <= max_length for piece in own)


def test_bad_arguments(model, tokenizer):
    with pytest.raises(InputError, match="`batch_size` is 0"):
        score(model, [], batch_size=0)
    for length in (1, 513):
        with pytest.raises(InputError, match=f"{length} tokens cannot be read at once; between 2 .* of 512"):
            confidences(model, tokenizer, TEXTS, max_length=length)
    assert checked_length(model, None) == 512
    with pytest.raises(ModelError, match="a fast tokenizer does"):
        cut(object(), TEXTS, 20)
    assert confidences(model, tokenizer, []) == []
