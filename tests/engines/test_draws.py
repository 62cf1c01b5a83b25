import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bftembed.engines import Sampling
from bftembed.engines.draws import Draws, processors


def draw(ids, sampling, scores, steps=1):
    """Tokens [steps, batch] that are left of the same scores at each step."""
    chain, rows = processors(ids, sampling, "cpu"), []
    for _ in range(steps):
        left = scores.clone()
        for step in chain:
            left = step(None, left)
        assert (torch.isfinite(left).sum(-1) == 1).all()
        rows.append(left.argmax(-1))
    return torch.stack(rows)


def test_tokens_are_drawn_by_their_probabilities():
    scores = torch.tensor([[0.0, 1.0, -1.0, 2.0, -torch.inf]])
    sampling = Sampling(max_new_tokens=4000, temperature=0.7)
    tokens = draw(["TP53"], sampling, scores, 4000)[:, 0]
    expected = (scores[0, :4] / 0.7).softmax(-1).double()
    counts = torch.bincount(tokens, minlength=5)
    assert counts[4] == 0
    assert stats.chisquare(counts[:4].numpy(), (expected / expected.sum() * 4000).numpy()).pvalue > 1e-3


def test_the_nucleus_leaves_out_the_tail():
    scores = torch.tensor([[0.6, 0.3, 0.1]]).log()
    tokens = draw(["a"], Sampling(max_new_tokens=300, temperature=1, top_p=0.8), scores, 300)
    assert set(tokens[:, 0].tolist()) == {0, 1}


def test_a_row_has_random_numbers_of_its_own():
    scores = torch.zeros(1, 1000).expand(3, -1)
    sampling = Sampling(max_new_tokens=8, temperature=1)
    together = draw(["a", "b", "c"], sampling, scores, 8)
    alone = draw(["b"], sampling, scores[:1], 8)
    assert torch.equal(together[:, 1], alone[:, 0])
    assert len({tuple(row) for row in together.T.tolist()}) == 3
    other = draw(["b"], Sampling(max_new_tokens=8, temperature=1, seed=1), scores[:1], 8)
    assert not torch.equal(alone, other)


@given(st.lists(st.floats(-80, 80) | st.just(-float("inf")), min_size=1, max_size=20), st.integers(0, 2**31))
def test_a_token_without_probability_is_never_drawn(values, seed):
    scores = torch.tensor([[0.0, *values]])
    step = Draws(["a"], Sampling(temperature=1, seed=seed), "cpu")
    assert scores[0, step(None, scores).argmax()] > -torch.inf


def test_rounding_seldom_turns_a_draw():
    scores = torch.randn(200, 5000, generator=torch.Generator().manual_seed(0)) * 3
    ids, sampling = [str(n) for n in range(200)], Sampling(temperature=1)
    tokens = draw(ids, sampling, scores)
    rounded = scores * (1 + 1e-6 * torch.randn(scores.shape, generator=torch.Generator().manual_seed(1)))
    assert torch.equal(draw(ids, sampling, rounded), tokens)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_greedy_decoding_draws_nothing(dtype):
    assert processors(["a"], Sampling(), "cpu") == []
    scores = torch.zeros(1, 4, dtype=dtype)
    assert Draws(["a"], Sampling(temperature=1), "cpu")(None, scores).dtype == dtype
