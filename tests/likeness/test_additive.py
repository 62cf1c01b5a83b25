"""Additive effects, the vote of those alike, and the cross-validated choice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bftembed.likeness import additive_effects, average_weight, cross_validated, soft, unit, voted

SEEDS = st.integers(0, 10_000)


def planted(seed=0, *, n_parts=30, n_doubles=0, noise=0.1, dimensions=3):
    """Changes of parts that go with their vectors; doubles are sums. Membership, change, noise, unit vectors."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_parts, dimensions))
    single = x @ rng.normal(size=(dimensions, 20)) + 0.5
    has = np.zeros((n_parts + n_doubles, n_parts), dtype=bool)
    has[np.arange(n_parts), np.arange(n_parts)] = True
    for row in range(n_parts, len(has)):
        has[row, rng.choice(n_parts, 2, replace=False)] = True
    change = has @ single + noise * rng.normal(size=(len(has), 20))
    return has, change, np.full_like(change, noise**2), unit(x, centre=np.zeros(dimensions))


@given(SEEDS)
def test_single_parts_are_shrunk_as_james_and_stein_do(seed):
    has, change, noise, _ = planted(seed, noise=0.7)
    effects = additive_effects(has, change, noise)
    mean = change.mean(axis=0)
    between = ((change - mean) ** 2).mean() - 0.49
    np.testing.assert_allclose(effects.mean, mean)
    kept = 1 / (1 + max(0.49 / between, 1e-3))
    np.testing.assert_allclose(effects.deviations, kept * (change - mean))


def test_effects_of_parts_are_those_of_ridge_regression():
    from sklearn.linear_model import Ridge

    has, change, noise, _ = planted(n_doubles=15)
    effects = additive_effects(has, change, noise)
    size = has.sum(axis=1, keepdims=True)
    rest = change - size * effects.mean
    ratio = noise.mean() / (rest**2 / size - noise).mean()
    expected = Ridge(alpha=ratio, fit_intercept=False).fit(has.astype(float), rest).coef_.T
    np.testing.assert_allclose(effects.deviations, expected, atol=1e-8)
    np.testing.assert_allclose(has @ (effects.mean + effects.deviations), change, atol=0.5)


def test_noise_alone_leaves_the_mean():
    has, _, _, _ = planted()
    change = np.random.default_rng(0).normal(size=(30, 20))
    effects = additive_effects(has, change, np.full_like(change, 2.0))
    assert abs(effects.deviations).max() < 0.01


@given(SEEDS, st.floats(0, 5))
def test_the_vote_is_its_formula(seed, shrinkage):
    rng = np.random.default_rng(seed)
    weights, deviations = rng.random((2, 4)), rng.normal(size=(4, 3))
    found, share = voted(weights, deviations, shrinkage, 0.3)
    for i in range(2):
        expected = weights[i] / (weights[i].sum() + shrinkage * 4 * 0.3)
        np.testing.assert_allclose(share[i], expected)
        np.testing.assert_allclose(found[i], expected @ deviations)


def test_infinite_shrinkage_and_no_weight_leave_the_mean():
    deviations = np.ones((3, 2))
    assert not voted(np.ones((1, 3)), deviations, np.inf, 1.0)[0].any()
    assert not voted(np.zeros((1, 3)), deviations, 0.0, 1.0)[0].any()


def test_the_average_weight_is_without_the_parts_themselves():
    weights = np.array([[1, 0.2, 0.4], [0.2, 1, 0.3], [0.4, 0.3, 1]])
    assert average_weight(weights) == pytest.approx(0.3)
    assert average_weight(np.ones((1, 1))) == 1


def test_what_goes_with_the_vectors_is_voted_on_and_what_does_not_is_shrunk_away():
    has, change, noise, x = planted(n_parts=60)
    near = cross_validated(has, change, noise, lambda t: soft(x @ x.T, t).astype(float))
    assert near.errors.min() < 0.6 * near.usual
    assert near.shrinkage < 1
    unrelated = unit(np.random.default_rng(1).normal(size=(60, 50)))
    far = cross_validated(has, change, noise, lambda t: soft(unrelated @ unrelated.T, t).astype(float))
    assert far.shrinkage >= 1
    assert far.errors.min() > 0.97 * far.usual


def test_an_error_is_that_of_the_folds_by_hand():
    has, change, noise, x = planted(n_parts=12, n_doubles=6)
    weights = soft(x @ x.T, 0.3).astype(float)
    choice = cross_validated(has, change, noise, lambda t: weights, temperatures=[0.3], shrinkages=[0.2])
    missed, missed_by_mean = [], []
    for part in range(12):
        train, others = ~has[:, part], np.delete(np.arange(12), part)
        seen = others[has[train][:, others].any(axis=0)]
        effects = additive_effects(has[train][:, seen], change[train], noise[train])
        average = average_weight(weights[np.ix_(seen, seen)])
        guess, _ = voted(weights[[part]][:, seen], effects.deviations, 0.2, average)
        missed.append(((change[part] - effects.mean - guess[0]) ** 2).mean())  # its single; doubles have another part
        missed_by_mean.append(((change[part] - effects.mean) ** 2).mean())
    assert choice.errors.item() == pytest.approx(np.mean(missed))
    assert choice.usual == pytest.approx(np.mean(missed_by_mean))
    assert choice.unseen.mean() == pytest.approx(np.mean(missed) - noise.mean(), rel=1e-6)


def test_parts_of_one_group_are_held_out_together():
    """Two doses of each drug do the same: a drug that is seen at the other dose would be no test."""
    has, change, noise, _ = planted(n_parts=10)
    has2 = np.kron(np.eye(20), [[1]]).astype(bool)
    change2, noise2 = np.repeat(change, 2, axis=0), np.repeat(noise, 2, axis=0)
    same_drug = np.kron(np.eye(10), np.ones((2, 2)))
    apart = cross_validated(has2, change2, noise2, lambda t: same_drug, groups=np.repeat(np.arange(10), 2))
    together = cross_validated(has2, change2, noise2, lambda t: same_drug)
    assert together.errors.min() < 0.1 * together.usual
    assert apart.errors.min() == pytest.approx(apart.usual)
    assert has.shape == (10, 10)
