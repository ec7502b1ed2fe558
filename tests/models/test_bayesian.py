from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import MCMC, NUTS, Predictive
from torch import Tensor
from torch.distributions import Distribution, Laplace, Normal

from bayeshyper.models import (
    MLP,
    BayesianModel,
    Bernoulli,
    Categorical,
    FanInPrior,
    Gaussian,
    HeteroscedasticGaussian,
    Latent,
    Likelihood,
    NormalPrior,
    StudentT,
    Target,
)

N, F = 12, 3


def make(likelihood: Likelihood | None = None, **options: int) -> BayesianModel:
    likelihood = likelihood or Gaussian()
    network = MLP(F, likelihood.n_outputs, hidden=(4,), activation="tanh")
    return BayesianModel(Target(network), FanInPrior(), likelihood, num_data=N, **options).double()


def data(likelihood: Likelihood | None = None) -> tuple[Tensor, Tensor]:
    x, y = torch.randn(N, F, dtype=torch.float64), torch.randn(N, dtype=torch.float64)
    if likelihood is not None and likelihood.task == "classification":
        y = torch.arange(N, dtype=torch.float64) % max(likelihood.n_outputs, 2)
    return x, y


def log_joint(model: BayesianModel, weights: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """What Pyro makes of the two sites for given weights: log prior and scaled log likelihood."""
    trace = poutine.trace(poutine.condition(model, {"weights": weights})).get_trace(x, y)
    trace.compute_log_prob()
    return trace.nodes["weights"]["log_prob_sum"], trace.nodes["obs"]["log_prob_sum"]


def by_hand(weights: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The log joint of `make`'s Gaussian model, written out for one weight vector."""
    w1, b1, w2, b2, log_scale = weights.split([12, 4, 4, 1, 1])
    f = torch.tanh(x @ w1.reshape(4, 3).T + b1) @ w2 + b2
    prior = (
        Normal(0, math.sqrt(2 / 3)).log_prob(w1).sum()
        + Normal(0, 1).log_prob(b1).sum()
        + Normal(0, math.sqrt(2 / 4)).log_prob(w2).sum()
        + Normal(0, 1).log_prob(b2).sum()
        + Normal(-1.5, 1).log_prob(log_scale).sum()
    )
    return prior, Normal(f, log_scale.exp() + 1e-4).log_prob(y).sum()


def close(actual: Tensor, expected: Tensor, rtol: float = 1e-6) -> None:
    """The prior's scales are made in float32, hence 1e-6; what does not read them agrees to 1e-11."""
    torch.testing.assert_close(actual, expected, rtol=rtol, atol=rtol)


def test_the_log_joint_is_the_one_written_by_hand() -> None:
    model, (x, y) = make(), data()
    weights = torch.randn(model.spec.size, dtype=torch.float64)
    prior, likelihood = log_joint(model, weights, x, y)
    expected_prior, expected_likelihood = by_hand(weights, x, y)
    close(prior, expected_prior)
    close(likelihood, expected_likelihood, 1e-11)


@pytest.mark.parametrize("size", [1, 4, 5])
def test_one_batch_of_everything_is_the_mean_over_mini_batches(size: int) -> None:
    """Batch b is scaled by its own N/B_b, so its weight in the mean is B_b/N; 5 leaves a rest of 2."""
    model, (x, y) = make(), data()
    weights = torch.randn(model.spec.size, dtype=torch.float64)
    _, whole = log_joint(model, weights, x, y)
    total = torch.zeros((), dtype=torch.float64)
    for rows in torch.arange(N).split(size):
        _, scaled = log_joint(model, weights, x[rows], y[rows])
        _, unscaled = by_hand(weights, x[rows], y[rows])
        close(scaled, unscaled * N / len(rows), 1e-11)
        total += scaled * len(rows) / N
    close(total, whole, 1e-11)


def test_with_equal_batches_it_is_the_plain_mean() -> None:
    model, (x, y) = make(), data()
    weights = torch.randn(model.spec.size, dtype=torch.float64)
    parts = [log_joint(model, weights, x[rows], y[rows])[1] for rows in torch.arange(N).split(4)]
    close(torch.stack(parts).mean(), log_joint(model, weights, x, y)[1], 1e-11)


def test_particles_average() -> None:
    model, (x, y) = make(particles=5), data()
    weights = torch.randn(5, model.spec.size, dtype=torch.float64)
    prior, likelihood = log_joint(model, weights.unsqueeze(1), x, y)
    model.particles = None
    alone = [log_joint(model, row, x, y) for row in weights]
    close(prior, torch.stack([each[0] for each in alone]).mean(), 1e-11)
    close(likelihood, torch.stack([each[1] for each in alone]).mean(), 1e-11)


def test_particles_and_mini_batches_together() -> None:
    model, (x, y) = make(particles=3), data()
    weights = torch.randn(3, 1, model.spec.size, dtype=torch.float64)
    rows = slice(0, 5)
    _, likelihood = log_joint(model, weights, x[rows], y[rows])
    expected = torch.stack([by_hand(row[0], x[rows], y[rows])[1] for row in weights]).mean() * N / 5
    close(likelihood, expected, 1e-11)


def test_the_kl_weight_scales_the_prior_alone() -> None:
    model, (x, y) = make(particles=2), data()
    weights = torch.randn(2, 1, model.spec.size, dtype=torch.float64)
    prior, likelihood = log_joint(model, weights, x, y)
    model.kl_weight = 0.3
    tempered, same = log_joint(model, weights, x, y)
    close(tempered, 0.3 * prior, 1e-12)
    assert torch.equal(same, likelihood)


@pytest.mark.parametrize(
    "likelihood", [Gaussian(), HeteroscedasticGaussian(), StudentT(), Bernoulli(), Categorical(3)], ids=repr
)
def test_every_likelihood_samples_and_scores_through_pyro(likelihood: Likelihood) -> None:
    model, (x, y) = make(likelihood, particles=4), data(likelihood)
    prior_draw = poutine.trace(model).get_trace(x)
    assert prior_draw.nodes["weights"]["value"].shape == (4, 1, model.spec.size)
    assert prior_draw.nodes["obs"]["value"].shape == (4, N)
    weights = prior_draw.nodes["weights"]["value"]
    _, total = log_joint(model, weights, x, y)
    scores = model.log_likelihood(weights[:, 0], x, y)
    assert scores.shape == (4, N)
    close(total, scores.sum() / 4, 1e-11)


@pytest.mark.parametrize("lead", [(), (5,), (5, 1), (2, 3, 1)])
def test_weights_of_any_lead_mean_the_same(lead: tuple[int, ...]) -> None:
    model, (x, y) = make(StudentT()), data()
    weights = torch.randn(*lead, model.spec.size, dtype=torch.float64)
    scores = model.predictive(weights, x).log_prob(y)
    flat = weights.reshape(-1, model.spec.size)
    expected = torch.stack([model.predictive(row, x).log_prob(y) for row in flat])
    draws = lead[:-1] if len(lead) > 1 else lead
    close(scores, expected.reshape(*draws, N), 1e-11)


def test_the_log_predictive_density_is_numpys() -> None:
    model, (x, y) = make(), data()
    weights = torch.randn(7, model.spec.size, dtype=torch.float64)
    density = np.exp([Normal_log_prob(row, x, y) for row in weights])
    np.testing.assert_allclose(
        model.log_predictive(weights, x, y).numpy(), np.log(density.mean(0)), rtol=1e-12, atol=1e-12
    )


def Normal_log_prob(weights: Tensor, x: Tensor, y: Tensor) -> list[float]:
    return [by_hand(weights, x[[i]], y[[i]])[1].item() for i in range(N)]


def test_the_log_predictive_density_survives_tiny_densities() -> None:
    model, (x, _) = make(), data()
    weights = torch.randn(3, model.spec.size, dtype=torch.float64)
    far = torch.full((N,), 1e6, dtype=torch.float64)  # exp(−10¹²) is 0 in float64
    assert torch.isfinite(model.log_predictive(weights, x, far)).all()


# -- under stock Pyro -------------------------------------------------------------------------------------


def test_it_runs_under_predictive() -> None:
    model, (x, _) = make(), data()
    draws = Predictive(model, num_samples=6)(x)
    assert draws["weights"].flatten(1).shape == (6, model.spec.size)
    assert draws["obs"].shape == (6, N)
    assert len(draws["obs"].unique(dim=0)) == 6


def test_predictive_takes_posterior_draws() -> None:
    model, (x, _) = make(), data()
    weights = torch.randn(4, model.spec.size, dtype=torch.float64)
    weights[:, -1] = -30.0  # noise of 1e-4
    observed = Predictive(model, posterior_samples={"weights": weights})(x)["obs"]
    # nothing but the network is left: five hundred noise scales are room enough
    torch.testing.assert_close(observed, model.outputs(weights, x)[..., 0], rtol=0, atol=0.05)


def test_predictive_takes_more_rows_than_were_trained_on() -> None:
    model = make()
    assert Predictive(model, num_samples=2)(torch.zeros(N + 5, F).double())["obs"].shape == (2, N + 5)


class KnownNoise(Likelihood):
    """A Gaussian of noise 0.5, with which a linear model's posterior is known."""

    task = "regression"

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        return pyro.distributions.Normal(outputs[..., 0], 0.5)


def test_nuts_finds_the_exact_posterior_of_a_linear_model() -> None:
    pyro.set_rng_seed(0)
    model = BayesianModel(
        Target(MLP(1, 1, hidden=())), NormalPrior(scale=1.0), KnownNoise(), num_data=20
    ).double()
    x = torch.linspace(-1, 1, 20, dtype=torch.float64).unsqueeze(-1)
    y = 0.7 * x[:, 0] + 0.2
    design = torch.cat([x, torch.ones_like(x)], dim=-1)
    covariance = torch.linalg.inv(torch.eye(2).double() + design.T @ design / 0.25)
    exact = covariance @ design.T @ y / 0.25
    sampler = MCMC(NUTS(model, max_tree_depth=3), num_samples=100, warmup_steps=60, disable_progbar=True)
    sampler.run(x, y)
    draws = sampler.get_samples()["weights"]
    assert draws.shape == (100, 2)
    sd = covariance.diagonal().sqrt()
    # five standard errors of 100 draws, were they independent; NUTS on two weights is close to that
    assert ((draws.mean(0) - exact).abs() < 5 * sd / math.sqrt(100)).all()
    assert ((draws.std(0) / sd - 1).abs() < 5 / math.sqrt(2 * 100)).all()


# -- a likelihood of one's own ----------------------------------------------------------------------------


class LaplaceNoise(Likelihood):
    """The ten lines of the module's docstring."""

    task = "regression"
    latents = {"log_scale": Latent(loc=-1.5, scale=1.0)}  # noqa: RUF012

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        return Laplace(outputs[..., 0], latents["log_scale"].exp())


def test_a_plain_torch_likelihood_is_scored() -> None:
    model, (x, y) = make(LaplaceNoise()), data()
    weights = torch.randn(3, model.spec.size, dtype=torch.float64)
    f = model.outputs(weights, x)[..., 0]
    expected = -(y - f).abs() / weights[:, -1:].exp() - math.log(2) - weights[:, -1:]
    close(model.log_likelihood(weights, x, y), expected, 1e-11)


def test_a_plain_torch_likelihood_stands_in_the_pyro_model() -> None:
    model, (x, y) = make(LaplaceNoise(), particles=2), data()
    weights = torch.randn(2, 1, model.spec.size, dtype=torch.float64)
    expected = model.log_likelihood(weights[:, 0], x, y).sum() / 2
    close(log_joint(model, weights, x, y)[1], expected, 1e-11)


# -- what does not fit together ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "likelihood"), [(2, Gaussian()), (1, HeteroscedasticGaussian()), (3, Categorical(4))]
)
def test_the_wrong_number_of_outputs_is_refused(width: int, likelihood: Likelihood) -> None:
    model = BayesianModel(Target(MLP(F, width)), FanInPrior(), likelihood, num_data=N)
    with pytest.raises(
        ValueError, match=rf"shape \({width},\) per row, but .* needs \({likelihood.n_outputs},\)"
    ):
        model(torch.zeros(N, F))


def test_a_network_without_an_output_dimension_is_refused() -> None:
    model = BayesianModel(
        Target(torch.nn.Sequential(MLP(F, 1), torch.nn.Flatten(0))), FanInPrior(), Gaussian(), num_data=N
    )
    with pytest.raises(ValueError, match=r"shape \(\) per row, but .* needs \(1,\)"):
        model(torch.zeros(N, F))


def test_no_training_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="num_data = 0"):
        BayesianModel(Target(MLP(F, 1)), FanInPrior(), Gaussian(), num_data=0)


def test_a_networks_tensor_with_a_latents_name_is_refused() -> None:
    network = torch.nn.Module()
    network.log_scale = torch.nn.Parameter(torch.zeros(()))
    with pytest.raises(ValueError, match="'log_scale' twice"):
        BayesianModel(Target(network), FanInPrior(), Gaussian(), num_data=N)


def test_moving_it_moves_every_tensor() -> None:
    model = make()
    assert {t.dtype for t in model.state_dict().values()} == {torch.float64}
    assert {t.device.type for t in model.to("meta").state_dict().values()} == {"meta"}


def test_its_state_survives_a_round_trip() -> None:
    model, other = make(), make()
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.add_(1.0)
    other.load_state_dict(model.state_dict())
    assert all(
        torch.equal(one, two)
        for one, two in zip(model.state_dict().values(), other.state_dict().values(), strict=True)
    )
