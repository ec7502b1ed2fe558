"""Laplace: exact where the network is linear and the noise Gaussian; its curvature the likelihood's own."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import optimize
from torch import Tensor, nn

from bayeshyper.errors import RecipeError
from bayeshyper.inference import OptimizerSettings, SVISettings
from bayeshyper.inference.baselines import BASELINES, Laplace, LinearizedTarget, Problem
from bayeshyper.models import (
    MLP,
    BayesianModel,
    Bernoulli,
    Categorical,
    FanInPrior,
    Gaussian,
    HorseshoePrior,
    Likelihood,
    NormalPrior,
    Poisson,
    StudentT,
    Target,
)
from tests.inference.toys import KnownNoise, Ridge

MIN_SCALE = 1e-4


def around(problem: Ridge) -> Laplace:
    model, mean = problem.model().double(), problem.posterior.mean
    return Laplace(model, mean, torch.arange(4), problem.x, problem.y)


def test_a_linear_regressions_posterior_is_exact() -> None:
    problem, count = Ridge.draw(), 40_000
    exact = problem.posterior
    draws = around(problem).draw(count, torch.Generator().manual_seed(0))
    # Of the standardised draws: identity within five standard errors.
    standard = (draws - exact.mean) @ torch.linalg.cholesky(exact.precision_matrix)
    assert standard.mean(0).abs().max() < 5 / count**0.5
    assert (standard.T.cov() - torch.eye(4)).abs().max() < 5 * (2 / count) ** 0.5


def test_the_same_by_the_whole_way_from_training_to_draws() -> None:
    ridge = Ridge.draw()
    settings = SVISettings(optimizer=OptimizerSettings(learning_rate=3e-2, steps=1500, final=1e-3))
    problem = Problem(ridge.model(), torch.zeros(1, 4), ridge.x, ridge.y, settings, n_draws=20_000)
    draws = BASELINES["laplace"].fit(problem).draws
    torch.testing.assert_close(draws.mean(0), ridge.posterior.mean, atol=5e-3, rtol=0)
    torch.testing.assert_close(draws.T.cov(), ridge.posterior.covariance_matrix, atol=1e-3, rtol=0)


def test_weights_that_are_not_chosen_stay() -> None:
    problem = Ridge.draw()
    mean = problem.posterior.mean
    laplace = Laplace(problem.model().double(), mean, torch.tensor([1, 3]), problem.x, problem.y)
    draws = laplace.draw(20_000, torch.Generator().manual_seed(0))
    assert torch.equal(draws[:, [0, 2]], mean[[0, 2]].expand(20_000, 2))
    # Given the others, the precision is the joint one's block.
    block = torch.linalg.inv(problem.posterior.precision_matrix[[1, 3]][:, [1, 3]])
    torch.testing.assert_close(draws[:, [1, 3]].T.cov(), block, atol=1e-3, rtol=0)


def test_the_noise_is_where_the_exact_evidence_is_highest() -> None:
    problem = Ridge.draw(rows=12, features=5)
    torch.manual_seed(0)
    model = BayesianModel(Target(nn.Linear(5, 1)), NormalPrior(scale=1.0), Gaussian(), num_data=12).double()

    def known(log_scale: float) -> Ridge:
        return Ridge(problem.x, problem.y, math.exp(log_scale) + MIN_SCALE)

    def loss(log_scale: float) -> float:
        return -known(log_scale).log_evidence + 0.5 * (log_scale + 1.5) ** 2

    best = optimize.minimize_scalar(loss, bounds=(-4, 1), method="bounded", options={"xatol": 1e-6}).x
    log_scale = 0.0
    for _ in range(30):  # the maximum moves with the noise
        weights = torch.cat([known(log_scale).posterior.mean, torch.tensor([log_scale])])
        laplace = Laplace(model, weights, torch.arange(6), problem.x, problem.y)
        log_scale = laplace.maximise_evidence(torch.Generator()).item()
    assert log_scale == pytest.approx(best, abs=2e-2)


def expected_information(likelihood: Likelihood, f: Tensor) -> Tensor:
    """Of log-concave likelihoods in their natural parameter: the variance of the target."""
    part = likelihood.distribution(f.unsqueeze(0), {})
    if isinstance(likelihood, Categorical):
        p = part.probs[0]
        return torch.diag_embed(p) - p.unsqueeze(-1) * p.unsqueeze(-2)
    return part.variance[0][:, None, None]


@pytest.mark.parametrize("likelihood", [Bernoulli(), Categorical(3), Poisson(mean=2.0)], ids=repr)
def test_the_matrix_is_the_fisher_information(likelihood: Likelihood) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(15, 2, generator=generator).double()
    y = torch.randint(0, likelihood.n_classes, (15,), generator=generator)
    y = y if isinstance(likelihood, Categorical) else y.double()
    torch.manual_seed(0)
    network = MLP(2, likelihood.n_outputs, hidden=[4], activation="tanh")
    model = BayesianModel(Target(network), NormalPrior(scale=2.0), likelihood, num_data=15).double()
    size = model.spec.size
    weights = torch.randn(size, generator=generator).double()
    laplace = Laplace(model, weights, torch.arange(size), x, y)
    slopes = torch.func.jacrev(lambda at: model.outputs(at.unsqueeze(0), x)[0])(weights)
    information = expected_information(likelihood, model.outputs(weights.unsqueeze(0), x)[0])
    expected = torch.eye(size) / 4.0 + torch.einsum("noc,nop,npd->cd", slopes, information, slopes)
    torch.testing.assert_close(laplace.precision(), expected)


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_the_matrix_is_laplace_torchs(kind: str) -> None:
    # Beside a CPU's torch it runs only where torchvision, which it asks for and has no use for, is missing.
    reference = pytest.importorskip("laplace", exc_type=ImportError, reason="laplace-torch is not installed")
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 3, generator=generator).double()
    likelihood: Likelihood = KnownNoise(0.5)
    y = torch.randn(40, generator=generator).double()
    if kind == "classification":
        likelihood, y = Categorical(3), torch.randint(0, 3, (40,), generator=generator)
    torch.manual_seed(0)
    network = MLP(3, likelihood.n_outputs, hidden=[6], activation="tanh").double()
    model = BayesianModel(Target(network), NormalPrior(scale=0.5), likelihood, num_data=40).double()
    at = model.target.spec.flatten(model.target.initial())
    options = {"sigma_noise": 0.5} if kind == "regression" else {}
    theirs = reference.Laplace(network, kind, "all", "full", prior_precision=4.0, **options)
    rows = torch.utils.data.TensorDataset(x, y.unsqueeze(1) if kind == "regression" else y)
    theirs.fit(torch.utils.data.DataLoader(rows, batch_size=8))
    ours = Laplace(model, at, torch.arange(model.spec.size), x, y).precision()
    # Theirs is summed in torch's default type, float32.
    torch.testing.assert_close(ours, theirs.posterior_precision, atol=1e-5, rtol=1e-5)


def test_a_likelihood_that_is_not_log_concave_still_has_a_posterior() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(30, 2, generator=generator)
    y = x[:, 0] + 3.0 * (torch.arange(30) % 5 == 0)  # outliers, at which the curvature is negative
    torch.manual_seed(0)
    model = BayesianModel(Target(MLP(2, 1, hidden=[6])), FanInPrior(), StudentT(), num_data=30).double()
    weights = 0.3 * torch.randn(model.spec.size, generator=generator).double()
    laplace = Laplace(model, weights, torch.arange(model.target.spec.size), x, y)
    size = model.target.spec.size
    f = model.outputs(weights.unsqueeze(0), x.double())[0]
    curvature = -torch.func.hessian(lambda f: model.observe(weights, f).log_prob(y.double()).sum())(f)
    curvature = curvature[:, 0, :, 0].diagonal()
    assert curvature.min() < 0
    slopes = LinearizedTarget(model.target, weights[:size]).jacobian(x.double())[:, 0]
    expected = model.prior.scale[:size].square().reciprocal().diag()
    expected = expected + slopes.mT @ (curvature.clamp_min(0.0).unsqueeze(1) * slopes)
    torch.testing.assert_close(laplace.precision(), expected)
    assert laplace.draw(5, generator).isfinite().all()


def test_a_linearised_network_is_the_tangent() -> None:
    torch.manual_seed(0)
    target = Target(MLP(3, 2, hidden=[5], activation="tanh")).double()
    at, x = torch.randn(target.spec.size).double(), torch.randn(7, 3).double()
    linear = LinearizedTarget(target, at)
    torch.testing.assert_close(linear(at.unsqueeze(0), x), target(at.unsqueeze(0), x))
    move = torch.randn(4, target.spec.size).double()
    moved = linear(at + move, x)
    torch.testing.assert_close(
        moved, linear(at.unsqueeze(0), x) + torch.einsum("nod,sd->sno", linear.jacobian(x), move)
    )
    step = 1e-6
    nearby = (target(at + step * move, x) - target(at.unsqueeze(0), x)) / step
    torch.testing.assert_close(moved - linear(at.unsqueeze(0), x), nearby, atol=1e-4, rtol=0)


def test_a_large_networks_last_layer_alone_is_uncertain() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20, 50, generator=generator)
    torch.manual_seed(0)
    model = BayesianModel(Target(MLP(50, 1, hidden=[45])), FanInPrior(), Gaussian(), num_data=20)
    start = 0.1 * torch.randn(1, model.spec.size, generator=generator)
    settings = SVISettings(optimizer=OptimizerSettings(steps=10))
    fitted = BASELINES["laplace"].fit(Problem(model, start, x, x[:, 0], settings, n_draws=5))
    assert "of the last layer's weights" in fitted.about["posterior"]
    varied = [p.name for p in model.spec if fitted.draws[:, p.slice].std(0).max() > 0]
    assert varied == ["layers.2.weight", "layers.2.bias"]


def test_a_prior_without_a_known_width_is_refused() -> None:
    model = BayesianModel(Target(MLP(1, 1, hidden=[3])), HorseshoePrior(), Gaussian(), num_data=5)
    problem = Problem(
        model, torch.zeros(1, model.spec.size), torch.zeros(5, 1), torch.zeros(5), SVISettings()
    )
    with pytest.raises(RecipeError, match="for Laplace, expected a Normal one"):
        BASELINES["laplace"].fit(problem)
