import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftembed.errors import EncoderError

TEXTS = st.text(st.sampled_from("ab é.!?\n\t\"')"), min_size=1, max_size=200)


def squeezed(text):
    return "".join(text.split())


@given(text=TEXTS, window=st.integers(1, 12))
def test_parts_hold_all_of_the_text_in_order_and_fit(word_encoder, text, window):
    encoder = word_encoder(window)
    parts = encoder._split(text)
    assert squeezed("".join(part for part, _ in parts)) == squeezed(text)
    assert all(tokens == len(part.split()) <= window for part, tokens in parts)
    assert all(part.strip() for part, _ in parts)


@given(text=TEXTS, window=st.integers(1, 12))
def test_halves_hold_all_of_the_text_in_order_and_fit(word_encoder, text, window):
    parts = word_encoder(window)._halve(text)
    assert squeezed("".join(part for part, _ in parts)) == squeezed(text)
    assert all(tokens == len(part.split()) <= window for part, tokens in parts)


@given(text=st.text(st.sampled_from("ab. "), min_size=1, max_size=120), window=st.integers(2, 9))
def test_parts_fit_where_tokens_of_parts_do_not_add_up(word_encoder, text, window):
    class Uneven(word_encoder):
        """Counts characters in pairs, so that two odd parts make fewer tokens than apart, and a text's end as one."""

        def count_tokens(self, texts):
            return [-(-len(text) // 2) for text in texts]

    parts = Uneven(window)._split(text)
    assert squeezed("".join(part for part, _ in parts)) == squeezed(text)
    assert all(tokens == -(-len(part) // 2) <= window for part, tokens in parts)


def test_joined_parts_that_grew_are_cut_once_more(word_encoder):
    class Growing(word_encoder):
        """Several sentences cost one token more each."""

        def count_tokens(self, texts):
            return [len(text.split()) + 2 * max(0, text.count(".") - 1) for text in texts]

    encoder = Growing(8)
    parts = encoder._split("a b. c d. e f. g h.")
    assert [tokens for _, tokens in parts] == encoder.count_tokens([part for part, _ in parts])
    assert max(tokens for _, tokens in parts) <= 8
    assert squeezed("".join(part for part, _ in parts)) == "ab.cd.ef.gh."


def test_cuts_are_at_sentence_ends_where_they_can_be(word_encoder):
    text = "One two three. Four five! Six seven eight nine? Ten"
    parts = word_encoder(5)._split(text)
    assert [part.strip() for part, _ in parts] == ["One two three. Four five!", "Six seven eight nine? Ten"]


def test_a_word_longer_than_the_window_is_cut_inside(word_encoder):
    class Letters(word_encoder):
        def count_tokens(self, texts):
            return [len(text) for text in texts]

    assert [part for part, _ in Letters(3)._split("ACGTACGTAC")] == ["AC", "GTA", "CG", "TAC"]


@pytest.mark.parametrize("unit", [True, False])
def test_a_long_text_is_the_token_weighted_mean_of_its_parts(word_encoder, unit):
    encoder = word_encoder(5, unit=unit)
    long, short = "One two three. Four five. Six seven. Eight", "Nine ten."
    vectors, n_split = encoder.encode([short, long, short])
    parts, weights = ["One two three. Four five.", "Six seven. Eight"], np.array([5, 3])
    assert [text.strip() for text in encoder.asked] == [short, *parts, short]
    each = np.stack([encoder.vector(part) for part in parts])
    mean = (each * weights[:, None]).sum(0) / 8
    expected = mean / np.linalg.norm(mean) * (np.linalg.norm(each, axis=1) @ weights / 8)
    assert n_split == 1
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors[1], expected, rtol=1e-5)
    np.testing.assert_array_equal(vectors[0], encoder.vector(short).astype(np.float32))
    np.testing.assert_array_equal(vectors[0], vectors[2])
    if unit:
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)


def test_parts_that_cancel_out_give_zeros_not_nan(word_encoder):
    class Opposite(word_encoder):
        def _encode(self, texts, *, progress):
            return np.array([[1.0, 0.0], [-1.0, 0.0]], dtype=np.float32)

    vectors, _ = Opposite(2).encode(["One two. Three four."])
    np.testing.assert_array_equal(vectors, [[0, 0]])


def test_no_texts_give_no_vectors(word_encoder):
    encoder = word_encoder()
    vectors, n_split = encoder.encode([])
    assert (vectors.shape, vectors.dtype, n_split) == ((0, 0), np.float32, 0)
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
        def _encode(self, texts, *, progress):
            return wrong.astype(np.float32)

    with pytest.raises(EncoderError, match=r"`words` gave an array of shape .* for 2 texts"):
        Wrong().encode(["one", "two"])
