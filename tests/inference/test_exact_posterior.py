"""Linear regression with known noise: posterior and evidence are known, and a fit must reach them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from bayeshyper.diagnostics import Audit, audit
from bayeshyper.hypernets import HypernetworkSettings
from bayeshyper.inference import (
    ImplicitGuide,
    KLSettings,
    OptimizerSettings,
    StoppingSettings,
    SVISettings,
    fit,
)
from bayeshyper.models import BayesianModel
from tests.inference.toys import Ridge, as_low_rank


@dataclass(frozen=True)
class Fitted:
    """A fitted guide of the linear problem, with its audit."""

    problem: Ridge
    model: BayesianModel
    guide: ImplicitGuide
    audit: Audit


def fitted(hidden: tuple[int, ...], noise_dim: int, steps: int, draws: int, inner: int) -> Fitted:
    problem = Ridge.draw()
    model = problem.model()
    family = HypernetworkSettings(noise_dim=noise_dim, hidden=hidden, gain=0.2, output_noise=0.2)
    guide = problem.guide(model, family)
    recipe = SVISettings(
        optimizer=OptimizerSettings(steps=steps, learning_rate=3e-2, warmup=20),
        kl=KLSettings(anneal=0.1),
        stopping=StoppingSettings(evaluate_every=steps),
    )
    fit(model, guide, problem.x, problem.y, recipe)
    result = audit(model, guide.hypernetwork, problem.x, problem.y, draws=draws, inner=inner)
    return Fitted(problem, model, guide, result)


@pytest.fixture(scope="module")
def gaussian() -> Fitted:
    """Noise of the posterior's own dimension through no layer: the family holds the exact posterior."""
    return fitted((), noise_dim=4, steps=700, draws=1500, inner=64)


@pytest.fixture(scope="module")
def nonlinear() -> Fitted:
    """A trunk with a layer, which must bend itself straight to get there."""
    return fitted((16,), noise_dim=2, steps=400, draws=1500, inner=64)


def standardised(case: Fitted, theta: Tensor) -> Tensor:
    """Weights in units in which the exact posterior is N(0, I)."""
    exact = case.problem.posterior
    return torch.linalg.solve_triangular(exact.scale_tril, (theta.double() - exact.mean).mT, upper=False).mT


def test_the_log_evidence_is_that_of_bayes_rule_at_any_weights() -> None:
    # The reference itself: log p(y) = log p(y | θ) + log p(θ) − log p(θ | y), at θ = 0 and elsewhere.
    problem = Ridge.draw(features=2)
    model = problem.model().double()
    theta = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        joint = model.log_likelihood(theta, problem.x.double(), problem.y.double()).sum(1)
        joint = joint + model.prior().log_prob(theta)
    evidence = joint - problem.posterior.log_prob(theta)
    torch.testing.assert_close(
        evidence, torch.full_like(evidence, problem.log_evidence), rtol=1e-6, atol=1e-5
    )


def test_the_exact_posterior_is_recovered(gaussian: Fitted) -> None:
    ours = as_low_rank(gaussian.guide.hypernetwork.member(0).double())
    ours = torch.distributions.MultivariateNormal(ours.mean, ours.covariance_matrix)
    divergence = torch.distributions.kl_divergence(ours, gaussian.problem.posterior).item()
    # 0.02 nats bounds it all: no mean is off by more than √(2·0.02) = 0.2 posterior standard deviations, in
    # any direction. Measured 0.003; Adam's last steps leave about that much. A start is hundreds away.
    assert divergence < 0.02
    mean = standardised(gaussian, ours.mean.unsqueeze(0))[0]
    assert mean.norm().item() <= math.sqrt(2 * divergence)
    # The draws are the fitted Gaussian's: mean and covariance in units of the exact posterior.
    n = 20_000
    draws = gaussian.guide.hypernetwork.sample(n, generator=torch.Generator().manual_seed(1))
    white = standardised(gaussian, draws)
    drift = math.sqrt(2 * divergence)
    assert white.mean(0).abs().max().item() < drift + 4 / math.sqrt(n)
    # √(2 KL) bounds the Wasserstein distance, and so the change of a standard deviation in any direction.
    assert (white.std(0) - 1).abs().max().item() < drift + 4 / math.sqrt(2 * n)


def test_the_audited_elbo_is_the_evidence_less_the_divergence(gaussian: Fitted) -> None:
    ours = as_low_rank(gaussian.guide.hypernetwork.member(0).double())
    ours = torch.distributions.MultivariateNormal(ours.mean, ours.covariance_matrix)
    divergence = torch.distributions.kl_divergence(ours, gaussian.problem.posterior).item()
    exact, result = gaussian.problem.log_evidence - divergence, gaussian.audit
    assert result.elbo_lower - 4 * result.elbo_lower_error < exact
    assert exact < result.elbo_upper + 4 * result.elbo_upper_error
    assert abs(result.elbo_linearized - exact) < 4 * result.elbo_linearized_error  # exact where φ is affine
    assert result.elbo_upper - result.elbo_lower < 0.05
    assert not result.flagged


def test_a_bound_never_exceeds_the_evidence(gaussian: Fitted, nonlinear: Fitted) -> None:
    for case in (gaussian, nonlinear):
        evidence, result = case.problem.log_evidence, case.audit
        assert result.elbo_lower < evidence + 4 * result.elbo_lower_error
        # … and comes within 0.3 nats of it, errors included.
        assert result.elbo_lower > evidence - 0.3


def test_the_nonlinear_family_recovers_the_posterior_too(nonlinear: Fitted) -> None:
    gap = nonlinear.problem.log_evidence - nonlinear.audit.elbo_lower
    divergence = max(gap, 0.0) + 2 * nonlinear.audit.elbo_lower_error  # KL(q ‖ p) is at most this
    # Talagrand: the Wasserstein distance to a standard Gaussian is at most √(2 KL), and bounds the change of
    # mean and standard deviation in any direction.
    drift, n = math.sqrt(2 * divergence), 20_000
    assert drift < 0.85
    white = standardised(
        nonlinear, nonlinear.guide.hypernetwork.sample(n, generator=torch.Generator().manual_seed(1))
    )
    assert white.mean(0).abs().max().item() < drift + 4 / math.sqrt(n)
    assert (white.std(0) - 1).abs().max().item() < drift + 4 / math.sqrt(2 * n)
    # In fact it is far closer than this bound, whose size is the audit's own error: 0.03 and 0.07 measured.
    assert white.mean(0).norm().item() < 0.25
    assert (white.std(0) - 1).abs().max().item() < 0.2


def test_training_may_promise_more_than_the_evidence_and_the_audit_does_not(nonlinear: Fitted) -> None:
    # Nothing to bend for, and a trunk that folds to collect entropy that is not there: training's own number
    # may exceed the evidence. The upper bound on the ELBO lies below that number, so the audit shows it.
    result = nonlinear.audit
    assert result.elbo_linearized > nonlinear.problem.log_evidence + 4 * result.elbo_linearized_error
    error = math.hypot(result.entropy_upper_error, result.entropy_linearized_error)
    assert result.entropy_upper < result.entropy_linearized - 4 * error
    assert result.elbo_upper < result.elbo_linearized


def test_mean_field_reaches_the_best_independent_gaussian() -> None:
    problem = Ridge.draw(features=2, rows=20)
    model = problem.model()
    guide = problem.guide(model, HypernetworkSettings(noise_dim=0, output_noise=0.2))
    recipe = SVISettings(
        optimizer=OptimizerSettings(steps=600, learning_rate=3e-2, warmup=20),
        kl=KLSettings(anneal=0.0),
        stopping=StoppingSettings(evaluate_every=600),
    )
    fit(model, guide, problem.x, problem.y, recipe)
    net, exact = guide.hypernetwork.member(0).double(), problem.posterior
    # KL(q ‖ p) is smallest at the exact mean and at variances 1/Λ_ii of the exact precision Λ.
    best = exact.precision_matrix.diagonal().rsqrt()
    scale = (net.unit * net.output_noise[0]).detach()
    assert ((net.mean[0].detach() - exact.mean) / best).abs().max().item() < 0.1
    assert (scale / best - 1).abs().max().item() < 0.05
    # … which is narrower than the truth where weights are correlated: the price of independence, visible.
    truth = exact.variance.sqrt()
    correlated = best < 0.95 * truth
    assert correlated.sum() == 2
    assert bool((scale < truth)[correlated].all())
