"""The benchmark's peers: each learns, each from the model that all share, and exact cases come out exact."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from bayeshyper.models import MLP, BayesianModel, FanInPrior, Gaussian, Target
from tests.test_uci_harness import imported

UNITS = (3, 5, 1)


@pytest.fixture(scope="module")
def line() -> tuple[Any, Any]:
    """Rows whose target is a line and a little noise, in units far from 1."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 2))
    return x, 500.0 + 100.0 * x[:, 0] + 20.0 * rng.normal(size=80)


def peers() -> dict[str, Any]:
    """Every trained peer with a budget for tests."""
    guides, dropout, laplace = (imported(name) for name in ("pyro_guides", "mc_dropout", "laplace"))
    return {
        "mc-dropout": lambda *given: dropout.mc_dropout(*given, steps=150),
        "laplace": lambda *given: laplace.laplace(*given, steps=150),
        "auto-normal": guides.guided(guides.normal, 3e-2, 400),
        "auto-low-rank": guides.guided(guides.low_rank, 3e-2, 400),
        "auto-iaf": guides.guided(guides.iaf, 1e-2, 1000),
    }


@pytest.mark.parametrize("name", ["mc-dropout", "laplace", "auto-normal", "auto-low-rank", "auto-iaf"])
def test_a_peer_learns_a_line_and_repeats_itself(line: tuple[Any, Any], name: str) -> None:
    x, y = line
    setup = imported("interface").Setup((5,))
    assert name in imported("methods").PEERS
    first, second = (peers()[name](x[:60], y[:60], 3, setup) for _ in range(2))
    found = first.predictive(x[60:])
    scores = found.log_prob(y[60:])
    # The truth scores −log 20 − ½ log 2πe = −4.41 on average, the Gaussian near −6.
    assert -5.2 < scores.mean() < -4.1
    np.testing.assert_array_equal(scores, second.predictive(x[60:]).log_prob(y[60:]))
    np.testing.assert_array_equal(scores, first.predictive(x[60:]).log_prob(y[60:]))
    assert found.sample(7).shape == (7, 20)
    assert (first.steps or 0) >= 150


def test_the_shared_network_and_prior_are_those_of_bayeshyper() -> None:
    bnn = imported("bnn")
    torch.manual_seed(1)
    target = MLP(3, 1, hidden=(5,))
    model = BayesianModel(Target(target), FanInPrior(), Gaussian(), num_data=1)
    u = torch.randn(bnn.size(UNITS))
    scales = model.prior().scale[: bnn.size(UNITS)]
    torch.nn.utils.vector_to_parameters(u * scales, target.parameters())
    x = torch.randn(40, 3)
    assert target(x).std() > 0.1  # units that give 0 for all rows would hide a difference
    torch.testing.assert_close(bnn.function(u, x, UNITS), target(x)[:, 0])
    torch.testing.assert_close(
        bnn.functions(u.expand(3, -1), x, UNITS, chunk=2), target(x)[:, 0].expand(3, -1)
    )
    noise = Gaussian.latents["log_scale"]
    assert (noise.loc, noise.scale) == (bnn.LOG_SCALE_MEAN, bnn.LOG_SCALE_DEVIATION)
    assert int(bnn.is_weight(UNITS).sum()) == 20
    start = bnn.prior_draw(UNITS, torch.Generator().manual_seed(0))
    assert torch.equal(start == 0, ~bnn.is_weight(UNITS))


def test_laplace_is_exact_for_a_linear_model() -> None:
    """Without a hidden layer, it is Bayesian linear regression."""
    laplace = imported("laplace")
    rng = np.random.default_rng(1)
    x, x_new = (torch.from_numpy(rng.normal(size=(n, 2))) for n in (12, 5))
    y = x @ torch.tensor([0.7, -0.2], dtype=torch.float64) + 0.3
    y += 0.5 * torch.from_numpy(rng.normal(size=12))
    at = laplace.Evidence(delta=2.0, variance=0.3)
    u, units = torch.zeros(3, dtype=torch.float64), (2, 1)
    laplace.train(u, x, y, units, at, torch.Generator().manual_seed(0), 1500)
    mean, variance = laplace.moments(u, laplace.cholesky(laplace.gram(u, x, units), at), x_new, units)

    def design(rows: torch.Tensor) -> Any:  # fan_in is 2, so that a weight's scale is √(2/2) = 1
        return np.column_stack([rows.numpy(), np.ones(len(rows))])

    covariance = np.linalg.inv(design(x).T @ design(x) / at.variance + at.delta * np.eye(3))
    expected = design(x_new) @ covariance @ design(x).T @ y.numpy() / at.variance
    np.testing.assert_allclose(mean.numpy(), expected, rtol=1e-4)
    np.testing.assert_allclose(
        variance.numpy(), np.diag(design(x_new) @ covariance @ design(x_new).T), rtol=1e-10
    )


def test_the_evidence_is_highest_at_the_fixed_point() -> None:
    """Against the evidence of Bayesian linear regression, written out, over a grid around it."""
    laplace = imported("laplace")
    rng = np.random.default_rng(2)
    design = rng.normal(size=(200, 6))
    y = design @ rng.normal(scale=0.5, size=6) + 0.3 * rng.normal(size=200)

    def evidence(delta: float, variance: float) -> float:
        law = stats.multivariate_normal(cov=variance * np.eye(200) + design @ design.T / delta)
        return float(law.logpdf(y))

    matrix, at = torch.from_numpy(design.T @ design), laplace.Evidence()
    for _ in range(20):
        precision = design.T @ design / at.variance + at.delta * np.eye(6)
        u = np.linalg.solve(precision, design.T @ y / at.variance)
        squares = float(np.square(y - design @ u).sum())
        at = laplace.maximise_evidence(matrix, torch.from_numpy(u), squares, 200, at)
    best = evidence(at.delta, at.variance)
    assert all(
        evidence(at.delta * d, at.variance * v) < best
        for d, v in [(1.1, 1.0), (1 / 1.1, 1.0), (1.0, 1.03), (1.0, 1 / 1.03)]
    )


def test_dropout_scales_what_it_keeps_and_learns_its_noise_on_held_out_rows() -> None:
    dropout, bnn = imported("mc_dropout"), imported("bnn")
    generator = torch.Generator().manual_seed(0)
    u, x = torch.randn(1, 4, generator=generator), torch.randn(1, 6, 3, generator=generator)
    found = dropout.passes(u, x, (3, 1), torch.tensor([0.3]), 20_000, generator)
    assert found.shape == (20_000, 1, 6)
    torch.testing.assert_close(found.mean(0)[0], bnn.function(u[0], x[0], (3, 1)), atol=0.05, rtol=0.0)
    # Var = Σ_j (w_j x_j)² r/(1 − r).
    weights = u[0, :3] * (2 / 3) ** 0.5
    expected = (weights * x[0]).square().sum(-1) * 0.3 / 0.7
    torch.testing.assert_close(found.var(0)[0], expected, rtol=0.1, atol=1e-3)

    x = torch.randn(400, 2, generator=generator)
    y = x[:, 0] + 0.2 * torch.randn(400, generator=generator)
    rate, scale = dropout.choose(x, y, (2, 8, 1), 400, generator)
    assert rate in dropout.RATES
    assert 0.12 < scale < 0.3


@pytest.mark.long  # JAX compiles for ten seconds
def test_nuts_draws_from_the_exact_posterior(line: tuple[Any, Any]) -> None:
    """Of a linear model, whose posterior given the noise is Gaussian."""
    pytest.importorskip("numpyro")
    nuts, interface = imported("nuts"), imported("interface")
    x, y = line
    fit = nuts.nuts(x[:60], y[:60], 0, interface.Setup(()), warmup=150, draws=200, depth=5)
    assert fit.rhat(x[60:]) < 1.05
    data = interface.Standardized(x[:60], y[:60])
    design = np.column_stack([data.x.numpy(), np.ones(60)])
    new = np.column_stack([data.encode(x[60:]).numpy(), np.ones(20)])
    # Weights: 2/fan_in = 1, so that the prior of all three coefficients is N(0, 1). The noise barely varies.
    variance = 0.2**2
    covariance = np.linalg.inv(design.T @ design / variance + np.eye(3))
    mean = data.mixture(
        torch.from_numpy(new @ covariance @ design.T @ data.y.numpy() / variance)[None], torch.ones(1, 1)
    ).mean
    np.testing.assert_allclose(fit.predictive(x[60:]).mean, mean, atol=1.5)  # of a target whose scale is 100


def test_rhat_sees_a_chain_that_is_elsewhere() -> None:
    pytest.importorskip("numpyro")
    nuts = imported("nuts")
    chains = np.random.default_rng(0).normal(size=(4, 200, 3))
    assert nuts.split_rhat(chains) < 1.03
    chains[2, :, 1] += 1.0
    assert nuts.split_rhat(chains) > 1.1


def test_without_numpyro_all_else_works_and_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("jax", "numpyro"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "nuts", raising=False)
    nuts = imported("nuts")
    with pytest.raises(ImportError, match=r"pip install -c constraints.txt -e '.\[bench\]'"):
        nuts.nuts(np.zeros((4, 1)), np.arange(4.0), 0, imported("interface").Setup((2,)))
