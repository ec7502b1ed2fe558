"""Predictive distributions of counts and shares: quantiles, units, and a calibration that chance passes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from bayeshyper.diagnostics import evaluate, uniformity
from bayeshyper.errors import DataError
from bayeshyper.models import (
    MLP,
    BayesianModel,
    Beta,
    FanInPrior,
    GaussianMixture,
    Likelihood,
    NegativeBinomial,
    Poisson,
    Target,
)
from bayeshyper.prediction import PredictiveDistribution

COUNTS = {
    "rare": Poisson(mean=0.1),
    "poisson": Poisson(mean=3.0),
    "many": Poisson(mean=2000.0),
    "negative binomial": NegativeBinomial(mean=3.0),
    "many, overdispersed": NegativeBinomial(mean=2000.0),
}
FAMILIES = pytest.mark.parametrize("likelihood", COUNTS.values(), ids=COUNTS)


def predicted(
    likelihood: Likelihood, *, draws: int = 7, rows: int = 50, spread: float = 0.5, shift: float = 0.0
) -> PredictiveDistribution:
    """A linear network with one weight vector per draw, ``spread`` apart, and latents about ``shift``."""
    target = Target(MLP(2, likelihood.n_outputs, hidden=()))
    model = BayesianModel(target, FanInPrior(), likelihood, num_data=10).double()
    generator = torch.Generator().manual_seed(1)
    weights = spread * torch.randn(draws, model.spec.size, dtype=torch.float64, generator=generator)
    weights[:, target.spec.size :] += shift
    x = torch.randn(rows, 2, dtype=torch.float64, generator=generator)
    return PredictiveDistribution(model, weights, x)


@FAMILIES
@pytest.mark.parametrize("spread", [0.0, 0.3, 3.0])
@pytest.mark.parametrize("level", [1e-4, 0.05, 0.5, 0.95, 0.9999])
def test_a_quantile_is_the_smallest_count_that_is_enough(
    likelihood: Likelihood, spread: float, level: float
) -> None:
    p = predicted(likelihood, spread=spread)
    found = p.quantiles(level)[:, 0]
    assert (found == np.floor(found)).all()
    assert (p.cdf(found) >= level).all()
    assert (p.cdf(found - 1) < level).all()


@FAMILIES
def test_an_interval_of_counts_holds_at_least_its_share(likelihood: Likelihood) -> None:
    p = predicted(likelihood)
    low, high = p.interval(0.8).T
    held = p.cdf(high) - p.cdf(low - 1)
    assert (held >= 0.8 - 1e-12).all()
    assert ((p.cdf(high - 1) - p.cdf(low - 1) < 0.9) & (p.cdf(high) - p.cdf(low) < 0.9)).all()


@FAMILIES
def test_a_median_of_one_draw_is_scipys(likelihood: Likelihood) -> None:
    p = predicted(likelihood, draws=1)
    mean, variance = p.mean, p.std**2
    if isinstance(likelihood, Poisson):
        expected = stats.poisson(mean).ppf([[0.1], [0.5], [0.999]])
    else:
        shape = mean**2 / (variance - mean)
        expected = stats.nbinom(shape, shape / (shape + mean)).ppf([[0.1], [0.5], [0.999]])
    np.testing.assert_array_equal(p.quantiles([0.1, 0.5, 0.999]), expected.T)


def test_probabilities_of_counts_have_no_unit() -> None:
    p = predicted(Poisson(mean=3.0), rows=1)
    assert np.exp([p.log_prob([k])[0] for k in range(200)]).sum() == pytest.approx(1.0)
    assert p.cdf([-1.0])[0] == 0.0
    assert p.cdf([2.5])[0] == p.cdf([2.0])[0]
    assert p.discrete


@pytest.mark.parametrize("likelihood", [Beta(mean=0.3), GaussianMixture(3)], ids=repr)
@pytest.mark.parametrize("level", [1e-3, 0.05, 0.5, 0.95, 0.999])
def test_the_distribution_function_undoes_the_quantiles(likelihood: Likelihood, level: float) -> None:
    p = predicted(likelihood, shift=-2.0)  # little noise: much of it would put shares at 0 and 1 exactly
    found = p.quantiles(level)[:, 0]
    assert (likelihood.support.lower < found).all()
    assert (found < likelihood.support.upper).all()
    np.testing.assert_allclose(p.cdf(found), level, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("likelihood", "value"), [(Poisson(), -1.0), (NegativeBinomial(), 1.5), (Beta(), 1.0)], ids=repr
)
def test_a_target_outside_the_support_is_named(likelihood: Likelihood, value: float) -> None:
    p = predicted(likelihood, rows=5)
    y = p.sample(1)[0]
    y[3] = value
    for method in (p.log_prob, p.log_likelihood):
        with pytest.raises(
            DataError, match=rf"Got the target {value:g} in row 4 .*{type(likelihood).__name__}"
        ):
            method(y)


@FAMILIES
def test_a_model_that_is_right_is_called_calibrated(likelihood: Likelihood) -> None:
    """And would not be, were counts taken for numbers: their distribution function jumps."""
    p = predicted(likelihood, draws=1, rows=2000)
    y = p.sample(1, seed=3)[0]
    found = evaluate(p, y, n_bootstrap=20)
    assert found.verdict.status == "calibrated"
    for coverage in found.coverages:
        error = np.sqrt(coverage.level * (1 - coverage.level) / 2000)
        assert abs(coverage.observed - coverage.level) < 4 * error
    if p.mean.max() < 100:
        assert uniformity(p.cdf(y)).faults


def test_counts_that_vary_more_than_predicted_are_found_out() -> None:
    p = predicted(Poisson(mean=20.0), draws=1, rows=500)
    rng = np.random.default_rng(0)
    y = rng.poisson(p.mean * rng.gamma(4.0, 0.25, size=500)).astype(float)
    verdict = evaluate(p, y, n_bootstrap=20).verdict
    assert verdict.status == "over-confident"
    assert "negative binomial" in verdict.actions[0]
