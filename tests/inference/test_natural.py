"""Natural gradients: where they end is known for linear models, and what they may not touch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from bayeshyper.errors import TrainingDiverged
from bayeshyper.inference import NaturalGaussian, natural
from bayeshyper.models import (
    MLP,
    BayesianModel,
    Bernoulli,
    Categorical,
    FanInPrior,
    Gaussian,
    Likelihood,
    StudentT,
    Target,
)
from tests.inference.toys import KnownNoise, Ridge, same_bits, state_of

STEPS, RATE, MEMBERS = 200, 0.3, 3
# Standard errors allowed, of some ten numbers looked at in each of a few tests.
ERRORS = 5.0


# -- a linear model, whose posterior is known ---------------------------------------------------------------


@dataclass(frozen=True)
class Known:
    """A linear model whose prior's scales differ, and its tempered posterior in the prior's units.

    The targets are three times as noisy as the likelihood says: the curvature is the likelihood's business,
    so labels that the model draws give Λ, and those that were observed would give one nine times as large.
    """

    problem: Ridge
    temperature: float
    noise: float = 0.5

    @classmethod
    def draw(cls, temperature: float, rows: int = 60) -> Known:
        return cls(Ridge.draw(rows=rows, noise=1.5), temperature)

    def model(self) -> BayesianModel:
        features = self.problem.x.shape[1]
        likelihood = KnownNoise(self.noise)
        return BayesianModel(Target(nn.Linear(features, 1)), FanInPrior(), likelihood, num_data=len(self))

    def __len__(self) -> int:
        return len(self.problem.x)

    @property
    def design(self) -> Tensor:
        """Rows in units of prior and noise, s ∘ x/σ: a row's Fisher information is its outer product."""
        unit = self.model().prior.scale.double()
        return self.problem.design * unit / self.noise

    @property
    def precision(self) -> Tensor:
        """Λ = XᵀX s²/σ² + T I."""
        design = self.design
        return design.mT @ design + self.temperature * torch.eye(design.shape[1], dtype=torch.float64)

    @property
    def mean(self) -> Tensor:
        """μ with Λ μ = s Xᵀy/σ²."""
        return torch.linalg.solve(self.precision, self.design.mT @ self.problem.y.double() / self.noise)

    @property
    def root(self) -> Tensor:
        """L with L Lᵀ = Λ."""
        return torch.linalg.cholesky(self.precision)

    @property
    def white(self) -> Tensor:
        """The design's rows where Λ is the identity, ``(N, D)``."""
        return torch.linalg.solve_triangular(self.root, self.design.mT, upper=False).mT


def averaged(steps: int) -> float:
    """Σ c_t² of the weights c_t with which the steps' curvatures enter Λ."""
    total = 0.0
    for step in range(1, steps + 1):
        share = max(natural.AVERAGING, 1.0 / step)
        total = (1 - share) ** 2 * total + share**2
    return total


def wandering(steps: int, noise: float) -> float:
    """The variance of the last mean where Λ is the identity: m ← m − ρ (m + noise), with ρ as documented."""
    variance = 0.0
    for step in range(1, steps + 1):
        rho = RATE * (min(1.0, 2 * (1 - step / steps)) + 0.02)
        variance = (1 - rho) ** 2 * variance + rho**2 * noise
    return variance


def trained(known: Known, model: BayesianModel, steps: int = STEPS) -> NaturalGaussian:
    start = torch.randn(MEMBERS, model.spec.size, generator=torch.Generator().manual_seed(1))
    gaussian = NaturalGaussian(model, start, temperature=known.temperature)
    return gaussian.train(known.problem.x, known.problem.y, steps=steps, rate=RATE, seed=0)


def check(known: Known, gaussian: NaturalGaussian, curvature: Tensor, gradient: float) -> None:
    """Compare both moments with the exact ones, given the variances of one step's estimates of them."""
    root = known.root
    # L⁻¹ Λ̂ L⁻ᵀ is the identity but for what the average over steps leaves of one step's error.
    half = torch.linalg.solve_triangular(root, gaussian.precision.double(), upper=False)
    white = torch.linalg.solve_triangular(root, half.mT, upper=False)
    error = white - torch.eye(root.shape[0], dtype=torch.float64)
    assert bool((error.abs() < ERRORS * (averaged(STEPS) * curvature).sqrt()).all())
    # Lᵀ(μ̂ − μ) wanders about 0 with the draws' variance T and the gradient's own.
    offset = (gaussian.mean.double() - known.mean) @ root
    assert offset.abs().max().item() < ERRORS * math.sqrt(wandering(STEPS, known.temperature + gradient))


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_the_posterior_of_a_linear_model_is_reached(temperature: float) -> None:
    known = Known.draw(temperature)
    model = known.model()
    start = (torch.zeros(model.spec.size).double() - known.mean) @ known.root
    assert start.norm() > 20 * math.sqrt(temperature)  # far from where it has to go
    gaussian = trained(known, model)
    # At each of K draws, one step's curvature is Σ_b w_b w_bᵀ ε_b² for standard normal ε, and Var ε² = 2.
    squares, draws = known.white.square(), natural.CURVATURE_ROWS // len(known)
    check(known, gaussian, curvature=2 / draws * squares.mT @ squares, gradient=0.0)


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_batches_are_scaled_to_all_rows(temperature: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(natural, "ROWS", 200)  # of 420: two batches an epoch, and twenty rows left over
    monkeypatch.setattr(natural, "CURVATURE_ROWS", 100)
    known = Known.draw(temperature, rows=420)
    gaussian = trained(known, known.model())
    squares = known.white.square()
    residual = known.problem.y.double() / known.noise - known.design @ known.mean
    # A hundred of 420 rows, each 4.2 times: 4.2 E[ε⁴] = 12.6 bounds the variance of each row's share of Λ;
    # and 200 rows, each 2.1 times, leave a gradient with variance 2.1 − 1 times the rows' squares.
    curvature = 12.6 * squares.mT @ squares
    assert (
        ERRORS * math.sqrt(averaged(STEPS) * float(curvature.max())) < 1 - 1 / 4.2
    )  # unscaled would be seen
    gradient = 1.1 * float((squares * residual.square().unsqueeze(1)).sum(0).max())
    check(known, gaussian, curvature=curvature, gradient=gradient)


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_rows_that_stand_there_many_times_are_taken_at_many_draws(temperature: float) -> None:
    times = torch.tensor([5, 10, 15, 30])
    few = Ridge.draw(rows=4, noise=1.5)
    known = Known(Ridge(few.x.repeat_interleave(times, 0), few.y.repeat_interleave(times, 0)), temperature)
    gaussian = trained(known, known.model())
    draws = natural.CURVATURE_ROWS / 4
    squares = known.white[times.cumsum(0) - 1].square()
    # Each of the rows has the mean of ε² over so many draws, as often as it stands there.
    curvature = 2 / draws * squares.mT @ (squares * times.square().unsqueeze(1))
    check(known, gaussian, curvature=curvature, gradient=0.0)


def test_batches_weigh_against_the_prior_as_all_rows_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(natural, "ROWS", 25)
    problem = Ridge.draw(rows=60, noise=0.0)
    # So noisy, says the likelihood, that the prior shrinks the weights by half.
    known = Known(Ridge(problem.x, 8.0 * problem.y), temperature=1.0, noise=8.0)
    unweighted = torch.linalg.solve(
        25 / 60 * (known.precision - torch.eye(4)) + torch.eye(4), 25 / 60 * known.precision @ known.mean
    )
    squares = known.white.square()
    residual = known.problem.y.double() / known.noise - known.design @ known.mean
    gradient = (60 / 25 - 1) * float((squares * residual.square().unsqueeze(1)).sum(0).max())
    tolerance = ERRORS * math.sqrt(wandering(STEPS, 1.0 + gradient))
    assert ((unweighted - known.mean) @ known.root).abs().max().item() > 2 * tolerance  # it would be seen
    offset = (trained(known, known.model()).mean.double() - known.mean) @ known.root
    assert offset.abs().max().item() < tolerance


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_a_weight_that_no_row_knows_of_keeps_its_prior(temperature: float) -> None:
    known = Known.draw(temperature)
    known.problem.x[:, 2] = 0.0
    gaussian = trained(known, known.model())
    expected = torch.zeros(MEMBERS, 4)
    expected[:, 2] = temperature
    torch.testing.assert_close(gaussian.precision[:, 2], expected)
    # Its draws come back to 0 from where it started, and wander with the variance T that they are given.
    spread = math.sqrt(wandering(STEPS, 1.0))
    assert gaussian.mean[:, 2].abs().max().item() < ERRORS * spread


def test_one_step_at_full_rate_solves_the_linear_model() -> None:
    known = Known.draw(0.1)
    model = known.model()
    start = known.mean.float() + 0.01  # near enough for the step not to be cut short
    weights = (model.prior.loc + model.prior.scale * start).expand(2, -1)
    gaussian = NaturalGaussian(model, weights, temperature=0.1)
    # The last step's rate is 0.02 of the first's. Λ is this step's estimate, and the same is said to solve.
    gaussian.train(known.problem.x, known.problem.y, steps=1, rate=50.0, seed=0)
    slope = known.precision @ (known.mean - start.double())
    jitter = natural.JITTER * gaussian.precision.double().diagonal(dim1=1, dim2=2).amax(1)
    damped = gaussian.precision.double() + jitter[:, None, None] * torch.eye(len(slope))
    expected = start + torch.linalg.solve(damped, slope.expand(2, -1))
    torch.testing.assert_close(gaussian.mean.double(), expected, rtol=1e-4, atol=1e-5)  # float32


def test_no_step_is_longer_than_the_cap_and_each_member_has_its_own() -> None:
    known = Known.draw(0.1)
    model = known.model()
    # The curvature is nearly exact with this many rows, so that a full step goes all the way.
    near, far = known.mean.float() + 0.01, known.mean.float() + 50.0
    weights = model.prior.loc + model.prior.scale * torch.stack([near, far])
    gaussian = NaturalGaussian(model, weights, temperature=0.1)
    before = gaussian.mean
    gaussian.train(known.problem.x, known.problem.y, steps=1, rate=50.0, seed=0)
    lengths = (gaussian.mean - before).square().mean(-1).sqrt()
    assert lengths[1].item() == pytest.approx(natural.LONGEST, rel=1e-4)  # float32 at 50
    assert lengths[0].item() < 0.1 * natural.LONGEST
    # … in the direction of the whole step, which is towards the mode.
    assert bool(((gaussian.mean[1] - before[1]) @ known.precision.float() @ (near - far) > 0).all())


def test_a_second_round_stays_where_the_first_one_ended() -> None:
    known = Known.draw(0.1)
    model = known.model()
    gaussian = trained(known, model)
    gaussian.train(known.problem.x, known.problem.y, steps=20, rate=0.1 * RATE, decay_from=0.0, seed=1)
    squares, draws = known.white.square(), natural.CURVATURE_ROWS // len(known)
    # A tenth of the rate leaves less noise than the whole, and Λ is an average over as many steps as before.
    check(known, gaussian, curvature=2 / draws * squares.mT @ squares, gradient=0.0)


def test_draws_are_the_gaussians() -> None:
    known = Known.draw(0.1)
    model = known.model()
    gaussian = trained(known, model, steps=30)
    n = 5000
    draws = gaussian.draw(n, seed=3)
    assert draws.shape == (MEMBERS, n, model.spec.size)
    assert torch.equal(draws, gaussian.draw(n, seed=3))
    units = (draws - model.prior.loc) / model.prior.scale
    roots = torch.linalg.cholesky(gaussian.precision.double() / 0.1)
    white = (units - gaussian.mean.unsqueeze(1)).double() @ roots  # N(0, I)
    assert white.mean(1).abs().max().item() < ERRORS / math.sqrt(n)
    covariance = white.mT @ white / n
    error = (covariance - torch.eye(covariance.shape[1])).abs()
    assert error.max().item() < ERRORS * math.sqrt(2 / n)  # Var ε² = 2, Var εε' = 1


def test_before_the_first_step_its_spread_is_the_priors() -> None:
    model = Known.draw(0.1).model()
    gaussian = NaturalGaussian(model, torch.zeros(1, model.spec.size), temperature=0.1)
    spread = gaussian.draw(5000, seed=0)[0].std(0) / model.prior.scale
    assert (spread - 1).abs().max().item() < ERRORS / math.sqrt(2 * 5000)


# -- any model ----------------------------------------------------------------------------------------------

LIKELIHOODS: dict[str, Likelihood] = {
    "gaussian": Gaussian(),
    "student-t": StudentT(),
    "bernoulli": Bernoulli(),
    "categorical": Categorical(3),
}


def network_problem(likelihood: Likelihood, rows: int = 40) -> tuple[BayesianModel, Tensor, Tensor, Tensor]:
    """A small network, weights of three members, and data that the model drew."""
    torch.manual_seed(0)
    target = Target(MLP(3, likelihood.n_outputs, hidden=[4]))
    model = BayesianModel(target, FanInPrior(), likelihood, num_data=rows)
    weights = 0.3 * torch.randn(MEMBERS, model.spec.size)
    x = torch.randn(rows, 3)
    with torch.no_grad():
        y = model.predictive(torch.randn(1, model.spec.size), x).sample()[0]
    return model, weights, x, y


def after(
    model: BayesianModel, weights: Tensor, x: Tensor, y: Tensor, *, steps: int = 8, seed: int = 0
) -> list[Tensor]:
    gaussian = NaturalGaussian(model, weights, temperature=0.1)
    gaussian.train(x, y, steps=steps, rate=RATE, seed=seed)
    return [gaussian.mean, gaussian.precision, gaussian.draw(2, seed=seed)]


@pytest.mark.parametrize("likelihood", LIKELIHOODS.values(), ids=LIKELIHOODS)
def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(likelihood: Likelihood) -> None:
    model, weights, x, y = network_problem(likelihood)
    results = []
    for number, seed in enumerate((0, 0, 1)):
        torch.manual_seed(number)  # the global generator has no say
        results.append(after(model, weights, x, y, seed=seed))
    assert same_bits(results[0], results[1])
    assert not any(torch.equal(a, b) for a, b in zip(results[0], results[2], strict=True))


@pytest.mark.parametrize("likelihood", LIKELIHOODS.values(), ids=LIKELIHOODS)
def test_nothing_else_is_changed(likelihood: Likelihood) -> None:
    model, weights, x, y = network_problem(likelihood)
    given = [weights, x, y]
    before = [*state_of(model), *(tensor.clone() for tensor in given)]
    rng = torch.random.get_rng_state()
    after(model, weights.requires_grad_(), x, y)
    assert same_bits(before, [*state_of(model), *(tensor.detach() for tensor in given)])
    assert torch.equal(rng, torch.random.get_rng_state())
    assert (model.num_data, model.kl_weight, model.particles) == (len(x), 1.0, None)
    assert weights.grad is None
    assert all(parameter.grad is None for parameter in model.parameters())


# Student's t draws its labels by trial and error: how many random numbers that takes depends on the values of
# all members, and so does what the later ones get. Theirs are independent, but not the same.
@pytest.mark.parametrize("name", ["gaussian", "bernoulli", "categorical"])
def test_a_members_path_does_not_depend_on_the_others_values(name: str) -> None:
    model, weights, x, y = network_problem(LIKELIHOODS[name])
    other = weights.clone()
    other[0] += 3.0
    one, two = after(model, weights, x, y), after(model, other, x, y)
    for ours, theirs in zip(one, two, strict=True):
        torch.testing.assert_close(ours[1:], theirs[1:], rtol=1e-5, atol=1e-6)
        assert not torch.allclose(ours[0], theirs[0])


def test_members_that_start_alike_go_their_own_ways() -> None:
    model, weights, x, y = network_problem(Gaussian())
    mean, precision, draws = after(model, weights[:1].expand(MEMBERS, -1), x, y)
    for tensor in (mean, precision, draws):
        assert not torch.allclose(tensor[0], tensor[1])


@pytest.mark.parametrize("likelihood", LIKELIHOODS.values(), ids=LIKELIHOODS)
def test_the_precision_is_never_below_the_priors(likelihood: Likelihood) -> None:
    # Fisher information is a sum of squares: Λ ≥ T I, to the rounding of float32 beside the largest.
    model, weights, x, y = network_problem(likelihood)
    _, precision, _ = after(model, weights, x, y)
    values = torch.linalg.eigvalsh(precision.double())
    assert bool((values[:, 0] > 0.1 - 1e-6 * values[:, -1]).all())
    assert torch.equal(precision, precision.mT)


def test_steps_raise_the_log_joint() -> None:
    model, weights, x, y = network_problem(Gaussian())

    def log_joint(theta: Tensor) -> Tensor:
        return model.log_likelihood(theta, x, y).sum(1) + 0.1 * model.prior().log_prob(theta)

    gaussian = NaturalGaussian(model, weights, temperature=0.1)
    before = log_joint(gaussian.weights)
    assert torch.allclose(gaussian.weights, weights, atol=1e-6)
    gaussian.train(x, y, steps=60, rate=RATE, seed=0)
    # At T = 0.1 the draws cost about T/2 nats a weight, 1.2 here; a fit gains tens.
    assert bool((log_joint(gaussian.weights) > before + 5.0).all())


def test_progress_hears_of_every_step() -> None:
    model, weights, x, y = network_problem(Gaussian())
    heard: list[int] = []
    gaussian = NaturalGaussian(model, weights, temperature=1.0)
    gaussian.train(x, y, steps=5, rate=RATE, seed=0, progress=heard.append)
    assert heard == [1, 2, 3, 4, 5]


def test_no_steps_change_nothing() -> None:
    model, weights, x, y = network_problem(Gaussian())
    gaussian = NaturalGaussian(model, weights, temperature=1.0)
    before = [gaussian.mean.clone(), gaussian.precision.clone()]
    gaussian.train(x, y, steps=0, rate=RATE, seed=0)
    assert same_bits(before, [gaussian.mean, gaussian.precision])


@pytest.mark.parametrize("broken", ["x", "y"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_are_none_are_named(broken: str, value: float) -> None:
    model, weights, x, y = network_problem(Gaussian())
    {"x": x, "y": y}[broken].view(-1)[3] = value
    rng = torch.random.get_rng_state()
    with pytest.raises(TrainingDiverged) as caught:
        after(model, weights, x, y)
    assert (caught.value.term, caught.value.step) == ("natural gradient", 1)
    assert torch.equal(rng, torch.random.get_rng_state())
