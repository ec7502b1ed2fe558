from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from bayeshyper.models import Bernoulli, Categorical, Likelihood
from bayeshyper.prediction import PredictiveDistribution
from tests.prediction.helpers import LOC, REGRESSION, SCALE, Case, case

S = 7


def apart(draws: int = S, rows: int = 5) -> Case:
    """Draws whose means are 100 apart under almost no noise, so that a sample tells where it came from."""
    c = case(REGRESSION["gaussian"], draws=draws, rows=rows)
    c.weights.zero_()
    c.weights[:, -2] = 100.0 * torch.arange(draws)
    c.weights[:, -1] = -5.0
    c.predictive = PredictiveDistribution(c.model, c.weights, c.x)
    return c


@pytest.mark.parametrize("n", [1, 3, S, S + 1, 10 * S, 100])
def test_the_draws_are_used_evenly_and_in_order(n: int) -> None:
    sample = apart().predictive.sample(n)
    assert sample.shape == (n, 5)
    used = (sample / 100.0).round().astype(int)
    assert (np.diff(used, axis=0) >= 0).all()
    counts = np.bincount(used[:, 0], minlength=S)
    assert counts.max() - counts.min() <= 1


def test_one_draw_uses_the_same_weights_for_all_rows() -> None:
    used = (apart().predictive.sample(3 * S) / 100.0).round()
    assert (used == used[:, :1]).all()


@pytest.mark.parametrize("likelihood", REGRESSION.values(), ids=REGRESSION)
def test_samples_follow_the_mixture(likelihood: Likelihood) -> None:
    c = case(likelihood)
    n = 4000
    sample = c.predictive.sample(n)
    for row in range(5):
        uniform = [c.mixed.cdf(np.full(5, y)).mean(0)[row] for y in sample[:400:1, row]]
        assert 0 <= min(uniform) <= max(uniform) <= 1
        at = np.sort(sample[:, row].astype(float))
        cdf = c.mixed.cdf(at[:, None, None] * np.ones((1, 1, 5)))[..., row].mean(1)
        # stratified over the draws, so nearer to the truth than independent samples
        assert np.abs(cdf - (np.arange(n) + 0.5) / n).max() < stats.kstwo.ppf(1 - 1e-4, n)


def test_noise_is_fresh_for_every_row_and_every_draw() -> None:
    c = apart(draws=1)
    residual = c.predictive.sample(2000).astype(float) / (np.exp(-5.0) + 1e-4)
    assert len(np.unique(residual)) == residual.size
    correlation = np.corrcoef(residual.T) - np.eye(5)
    assert np.abs(correlation).max() < 5 / np.sqrt(2000)


@pytest.mark.parametrize("likelihood", [Bernoulli(), Categorical(3)], ids=repr)
def test_sampled_labels_have_the_predicted_frequencies(likelihood: Likelihood) -> None:
    c = case(likelihood)
    classes = np.array(["ant", "bee", "cat"])[: max(2, likelihood.n_outputs)]
    p = PredictiveDistribution(c.model, c.weights, c.x, classes=classes)
    n = 7000
    sample = p.sample(n)
    assert sample.shape == (n, 5)
    assert set(np.unique(sample)) <= set(classes)
    for column, label in enumerate(classes):
        probability = p.probs[:, column]
        error = np.sqrt(probability * (1 - probability) / n)
        assert (np.abs((sample == label).mean(0) - probability) < 5 * error).all()


def test_fewer_samples_than_draws_have_the_targets_units() -> None:
    c = case(REGRESSION["gaussian"], draws=200)
    c.weights[:, -1] = -30.0  # noise of 1e-4
    p = PredictiveDistribution(c.model, c.weights, c.x, loc=LOC, scale=SCALE)
    chosen = np.arange(10) * 200 // 10
    # five hundredths of σ = 2e-4 and more are room enough for fifty Normals
    np.testing.assert_allclose(p.sample(10), p.functions()[chosen], rtol=0, atol=1e-3)


def test_the_seed_decides() -> None:
    p = case(REGRESSION["student-t"]).predictive
    assert (p.sample(20, seed=1) == p.sample(20, seed=1)).all()
    assert (p.sample(20) == p.sample(20, seed=0)).all()
    assert (p.sample(20, seed=1) != p.sample(20, seed=2)).all()


@pytest.mark.parametrize("likelihood", [REGRESSION["gaussian"], Categorical(3)], ids=repr)
def test_sampling_leaves_the_global_generators_alone(likelihood: Likelihood) -> None:
    p = case(likelihood).predictive
    torch_state, numpy_state = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    p.sample(30)
    assert torch.equal(torch.random.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()


def test_what_was_drawn_before_does_not_matter() -> None:
    p = case(REGRESSION["gaussian"]).predictive
    first = p.sample(20)
    torch.randn(17)
    assert (p.sample(20) == first).all()


@pytest.mark.parametrize("n", [0, -1])
def test_no_samples_are_refused(n: int) -> None:
    with pytest.raises(ValueError, match=f"n = {n}, expected at least 1"):
        case(REGRESSION["gaussian"]).predictive.sample(n)
