import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftembed.errors import EncoderError

TEXTS = st.text(st.sampled_from("ab é.!?\n\t\"')"), min_size=1, max_size=200)


def squeezed(text):
    return "".join(text.split())


@given(text=TEXTS, longest=st.integers(1, 12))
def test_parts_hold_all_of_the_text_in_order_and_fit(word_encoder, text, longest):
    encoder = word_encoder(longest)
    parts = encoder._split(text, longest)
    assert squeezed("".join(part for part, _ in parts)) == squeezed(text)
    assert all(tokens == len(part.split()) <= longest for part, tokens in parts)
    assert all(part.strip() for part, _ in parts)


@given(text=TEXTS, longest=st.integers(1, 12))
def test_halves_hold_all_of_the_text_in_order_and_fit(word_encoder, text, longest):
    parts = word_encoder(longest)._halve(text, longest)
    assert squeezed("".join(part for part, _ in parts)) == squeezed(text)
    assert all(tokens == len(part.split()) <= longest for part, tokens in parts)


@given(text=st.text(st.sampled_from("ab. "), min_size=1, max_size=120), longest=st.integers(2, 9))
def test_parts_fit_where_tokens_of_parts_do_not_add_up(word_encoder, text, longest):
    class Uneven(word_encoder):
        """Counts characters in pairs, so that two odd parts make fewer tokens than apart, and a text's end as one."""

        def count_tokens(self, texts):
            return [-(-len(text) // 2) for text in texts]

    parts = Uneven(longest)._split(text, longest)
    assert squeezed("".join(part for part, _ in parts)) == squeezed(text)
    assert all(tokens == -(-len(part) // 2) <= longest for part, tokens in parts)


def test_joined_parts_that_grew_are_cut_once_more(word_encoder):
    class Growing(word_encoder):
        """Several sentences cost one token more each."""

        def count_tokens(self, texts):
            return [len(text.split()) + 2 * max(0, text.count(".") - 1) for text in texts]

    encoder = Growing(8)
    parts = encoder._split("a b. c d. e f. g h.", 8)
    assert [tokens for _, tokens in parts] == encoder.count_tokens([part for part, _ in parts])
    assert max(tokens for _, tokens in parts) <= 8
    assert squeezed("".join(part for part, _ in parts)) == "ab.cd.ef.gh."


def test_cuts_are_at_sentence_ends_where_they_can_be(word_encoder):
    text = "One two three. Four five! Six seven eight nine? Ten"
    parts = word_encoder(5)._split(text, 5)
    assert [part.strip() for part, _ in parts] == ["One two three. Four five!", "Six seven eight nine? Ten"]


def test_a_word_longer_than_the_longest_is_cut_inside(word_encoder):
    class Letters(word_encoder):
        def count_tokens(self, texts):
            return [len(text) for text in texts]

    assert [part for part, _ in Letters(3)._split("ACGTACGTAC", 3)] == ["AC", "GTA", "CG", "TAC"]


@pytest.mark.parametrize("unit", [True, False])
def test_a_long_text_is_the_token_weighted_mean_of_its_parts(word_encoder, unit):
    encoder = word_encoder(5, unit=unit)
    long, short = "One two three. Four five. Six seven. Eight", "Nine ten."
    vectors, split = encoder.encode([short, long, short])
    parts, weights = ["One two three. Four five.", "Six seven. Eight"], np.array([5, 3])
    assert sorted(text.strip() for text in encoder.asked) == sorted([short, *parts, short])
    assert encoder.asked == sorted(encoder.asked, key=len, reverse=True)  # those of like length beside each other
    each = np.stack([encoder.vector(part) for part in parts])
    mean = (each * weights[:, None]).sum(0) / 8
    expected = mean / np.linalg.norm(mean) * (np.linalg.norm(each, axis=1) @ weights / 8)
    assert split.tolist() == [False, True, False]
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors[1], expected, rtol=1e-5)
    np.testing.assert_array_equal(vectors[0], encoder.vector(short).astype(np.float32))
    np.testing.assert_array_equal(vectors[0], vectors[2])
    if unit:
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)


def test_parts_that_cancel_out_give_zeros_not_nan(word_encoder):
    class Opposite(word_encoder):
        def _encode(self, texts, *, query):
            return np.array([[1.0, 0.0], [-1.0, 0.0]], dtype=np.float32)

    vectors, _ = Opposite(2).encode(["One two. Three four."])
    np.testing.assert_array_equal(vectors, [[0, 0]])


def test_no_texts_give_no_vectors(word_encoder):
    encoder = word_encoder()
    vectors, split = encoder.encode([])
    assert (vectors.shape, vectors.dtype, split.shape) == ((0, 0), np.float32, (0,))
    assert not encoder.asked


@pytest.mark.parametrize("empty", ["", "  \n"])
def test_empty_texts_are_refused(word_encoder, empty):
    encoder = word_encoder()
    with pytest.raises(EncoderError, match="empty text cannot be encoded; leave it out"):
        encoder.encode(["fine", empty])
    assert not encoder.asked


@pytest.mark.parametrize(
    "wrong", [np.zeros((1, 3)), np.zeros(2), np.array([[0.0, np.nan], [0.0, 1.0]]), np.array([[np.inf], [1.0]])]
)
def test_what_is_no_finite_vector_per_text_is_refused(word_encoder, wrong):
    class Wrong(word_encoder):
        def _encode(self, texts, *, query):
            return wrong.astype(np.float32)

    with pytest.raises(EncoderError, match=r"`words` gave an array of shape .* for 2 texts"):
        Wrong().encode(["one", "two"])


@pytest.mark.parametrize("blocks", [[1, 3], [4], [1, 1, 1, 1]])
def test_vectors_may_come_block_by_block(word_encoder, blocks):
    class Piecemeal(word_encoder):
        def _encode(self, texts, *, query):
            made = super()._encode(texts, query=query)
            ends = np.cumsum(blocks)
            return (made[end - n : end] for n, end in zip(blocks, ends, strict=True))

    texts = ["a", "b c", "d e f", "g"]
    np.testing.assert_array_equal(Piecemeal().encode(texts)[0], word_encoder().encode(texts)[0])


@pytest.mark.parametrize("widths", [[2, 3], []])
def test_blocks_that_do_not_fit_together_are_refused(word_encoder, widths):
    class Wrong(word_encoder):
        def _encode(self, texts, *, query):
            return (np.ones((1, width), dtype=np.float32) for width in widths)

    with pytest.raises(EncoderError, match="gave an array of shape"):
        Wrong().encode(["one", "two"])


def test_a_prompt_stands_before_every_part_and_takes_its_share(word_encoder):
    encoder = word_encoder(5, prompt="for storage: ", query_prompt="query: ")
    _, split = encoder.encode(["One two three. Four five six."])
    assert split.all()
    assert sorted(encoder.asked) == ["for storage: Four five six.", "for storage: One two three. "]
    encoder.asked.clear()
    vectors, split = encoder.encode(["One two three. Four."], query=True)
    assert (encoder.asked, split.any()) == (["query: One two three. Four."], False)
    np.testing.assert_array_equal(vectors[0], encoder.vector("query: One two three. Four.").astype(np.float32))


def test_a_prompt_that_leaves_no_room_is_refused(word_encoder):
    with pytest.raises(EncoderError, match=r"prompt 'a b c ' takes all 3 tokens"):
        word_encoder(3, prompt="a b c ").encode(["text"])


def test_tokens_are_counted_once_per_text(word_encoder):
    encoder = word_encoder(9)
    encoder.encode(["one two", "three", "four"])
    assert encoder.counted == 3 + 1  # and the prompt


def test_progress_counts_texts_in_the_log_where_nobody_watches(word_encoder, monkeypatch, caplog):
    monkeypatch.setattr("bftembed._progress.INTERVAL", 0.0)

    class Piecemeal(word_encoder):
        def _encode(self, texts, *, query):
            return (super(Piecemeal, self)._encode([text], query=query) for text in texts)

    with caplog.at_level("INFO", logger="bftembed"):
        Piecemeal(2).encode(["a b c d", "e"])
    assert [line.split(",")[0] for line in caplog.messages] == [f"encoding: {n} of 2 texts" for n in (0, 1, 2)]


def test_the_record_holds_what_a_query_needs(word_encoder):
    assert word_encoder().record() == {"encoder": "words", "marker": "1", "spec": ""}
    prompted = word_encoder(prompt="a: ", query_prompt="b: ")
    assert prompted.record()["query_prompt"] == "b: "
