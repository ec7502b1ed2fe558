"""The noise level that held-out rows ask for: known answers, a second implementation, and its setting."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from scipy.special import logsumexp
from torch import Tensor, nn

from bayeshyper.inference import NoiseLevel, measure_noise, noise
from bayeshyper.models import (
    BayesianModel,
    Bernoulli,
    FanInPrior,
    Gaussian,
    HeteroscedasticGaussian,
    Latent,
    Likelihood,
    MultivariateGaussian,
    StudentT,
    Target,
)
from tests.inference.toys import random_hypernetwork, same_bits, state_of

FITTED = -1.0  # log of the noise scale that was fitted
GRID = 0.05  # between two shifts
ERRORS = 4.5


def linear_model(likelihood: Likelihood | None = None) -> BayesianModel:
    """y ~ N(β x + b, e^{2ℓ}): weights β, b, ℓ."""
    likelihood = likelihood or Gaussian()
    return BayesianModel(Target(nn.Linear(1, likelihood.n_outputs)), FanInPrior(), likelihood, num_data=1)


def at_zero(members: int = 1, draws: int = 1) -> Tensor:
    """Weights that predict 0 with noise e^ℓ, ``(M, S, 3)``."""
    weights = torch.zeros(members, draws, 3)
    weights[..., 2] = FITTED
    return weights


def residuals(rows: int, factor: float, spread: float = 0.0, seed: int = 0) -> Tensor:
    """Of e^ℓ times a factor, whose own logarithm may have a spread."""
    generator = torch.Generator().manual_seed(seed)
    log_scale = FITTED + math.log(factor) + spread * torch.randn(rows, generator=generator)
    return log_scale.exp() * torch.randn(rows, generator=generator)


def measured(y: Tensor, weights: Tensor | None = None) -> NoiseLevel:
    return measure_noise(linear_model(), at_zero() if weights is None else weights, torch.zeros(len(y), 1), y)


# -- known answers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [100, 1000, 4000])
@pytest.mark.parametrize("factor", [0.6, 1.0, 1.5, 3.0])
def test_a_known_factor_is_found_to_within_its_error(rows: int, factor: float) -> None:
    level = measured(residuals(rows, factor))
    # log σ is known to one part in √(2n), and the widest level within one such error is taken, on a grid. A
    # mixture's variance is e^{2δ + 2τ²}, so that a spread lowers δ by as much as τ².
    error = 1 / math.sqrt(2 * rows)
    expected = math.log(factor) + error - level.spread**2
    assert abs(level.shift - expected) < ERRORS * error + GRID
    torch.testing.assert_close(level.location, torch.tensor([FITTED + level.shift]))


@pytest.mark.parametrize("rows", [50, 500, 5000])
def test_the_level_is_the_widest_within_one_error_of_the_likeliest(rows: int) -> None:
    y = residuals(rows, 1.5)
    y = y * (1.5 * math.exp(FITTED) / y.square().mean().sqrt())  # but for the prior, δ = log 1.5 is likeliest
    level = measured(y)
    assert level.spread <= 0.2 + 1e-6
    error = 1 / math.sqrt(2 * rows)
    # The prior draws δ towards 0 by its share of the information, 1/0.25 of 2n + 1/0.25.
    likeliest = math.log(1.5) * (1 - 4 / (2 * rows + 4)) - level.spread**2
    # The widest of the grid, or the likeliest of it where the grid is coarser than the error.
    assert max(likeliest + error - GRID, likeliest - GRID / 2) - 0.01 < level.shift
    assert level.shift < max(likeliest + error, likeliest + GRID / 2) + 0.01


@pytest.mark.parametrize("seed", range(3))
def test_gaussian_residuals_need_no_spread_and_scale_mixtures_do(seed: int) -> None:
    rows = 4000
    assert measured(residuals(rows, 1.3, seed=seed)).spread <= 0.1 + 1e-6
    mixed = measured(residuals(rows, 1.3, spread=0.5, seed=seed))
    # Var log|y| = π²/8 + τ² is known to (π²/8 + τ²)√(2/n) = 0.033, and so τ = 0.5 to 0.033 or better.
    assert abs(mixed.spread - 0.5) < 0.1 + 1e-6  # the next of the grid, three errors away
    error = math.sqrt((0.5 + 0.5**2) / rows)
    assert abs(mixed.shift - math.log(1.3)) < ERRORS * error + GRID + error


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_few_rows_move_the_level_by_less_than_they_say(rows: int) -> None:
    # Three times as wide as fitted, say all of them: n rows weigh 2n against the prior's 4.
    wide = torch.full((300,), math.exp(FITTED + 1.0))
    assert 0.0 < measured(wide[:rows]).shift < 1.0 <= measured(wide).shift + GRID
    # No noise at all, they say: −n δ − 2 δ² is largest at −n/4, and the widest within an error is above that.
    none = torch.zeros(300)
    assert -rows / 4 < measured(none[:rows]).shift
    assert measured(none).shift < measured(none[:rows]).shift


def test_the_noise_is_what_the_mean_leaves_over() -> None:
    # The same residuals around a line, and a wider posterior of the line, which explains a part of them.
    y = residuals(1000, 1.5)
    x = torch.linspace(-1, 1, 1000).unsqueeze(1)
    on_line = at_zero()
    on_line[..., 0], on_line[..., 1] = 2.0, -1.0
    level = measure_noise(linear_model(), on_line, x, y + 2.0 * x[:, 0] - 1.0)
    assert level.shift == pytest.approx(measured(y).shift, abs=1e-6)
    scattered = at_zero(draws=200)
    scattered[..., 1] = 0.4 * torch.randn(200, generator=torch.Generator().manual_seed(0))
    # 0.55² = 0.4² + 0.38²: what is left for the noise is about what was fitted.
    assert measured(y, scattered).shift < measured(y).shift - 0.2


@pytest.mark.parametrize("members", [1, 3])
def test_every_member_is_shifted_from_its_own_level(members: int) -> None:
    weights = at_zero(members, draws=50)
    weights[..., 2] += 0.3 * torch.randn(weights.shape[:2], generator=torch.Generator().manual_seed(0))
    level = measured(residuals(500, 2.0), weights)
    assert level.location.shape == (members,)
    torch.testing.assert_close(level.location - level.shift, weights[..., 2].mean(1))


# -- a second implementation --------------------------------------------------------------------------------


def brute_force(model: BayesianModel, weights: Tensor, x: Tensor, y: Tensor) -> tuple[float, float, float]:
    """δ, τ and the highest score by plain loops in float64, from scipy's densities."""
    flat = weights.flatten(0, 1).double().numpy()
    means = flat[:, 0] * x.double().numpy() + flat[:, 1]  # (N, S)
    offsets: NDArray[np.float64] = noise.OFFSETS.double().numpy()
    shifts: NDArray[np.float64] = noise.SHIFTS.double().numpy()
    predictive = np.empty((len(y), len(offsets)))
    for k, offset in enumerate(offsets):
        scale = np.exp(flat[:, 2] + offset) + 1e-4
        if isinstance(model.likelihood, StudentT):
            df = 2 + np.exp(flat[:, 3])
            densities = stats.t.pdf(y.double().numpy()[:, None], df, means, scale)
        else:
            densities = stats.norm.pdf(y.double().numpy()[:, None], means, scale)
        predictive[:, k] = densities.mean(1)
    best = (-math.inf, 0.0, 0.0)
    scores = {}
    for spread in noise.SPREADS.double().tolist():
        for shift in shifts:
            weight = np.exp(-0.5 * ((offsets - shift) / spread) ** 2)
            score = np.log(predictive @ (weight / weight.sum())).sum()
            score -= 0.5 * ((shift / noise.SHIFT_SCALE) ** 2 + (spread / noise.SPREAD_SCALE) ** 2)
            scores[spread, shift] = score
            best = max(best, (score, shift, spread))
    spread = best[2]
    return max(s for s in shifts if scores[spread, s] >= best[0] - noise.ONE_ERROR), spread, best[0]


@pytest.mark.parametrize("likelihood", [Gaussian(), StudentT()], ids=repr)
@pytest.mark.parametrize(("rows", "spread"), [(1, 0.0), (7, 0.4), (40, 0.0), (300, 0.6)])
def test_a_second_implementation_agrees(likelihood: Likelihood, rows: int, spread: float) -> None:
    model = linear_model(likelihood)
    generator = torch.Generator().manual_seed(rows)
    weights = 0.2 * torch.randn(2, 5, model.spec.size, generator=generator)
    weights[..., 2] += FITTED
    x = torch.randn(rows, 1, generator=generator)
    y = residuals(rows, 1.4, spread=spread, seed=rows)
    level = measure_noise(model, weights, x, y)
    shift, best_spread, score = brute_force(model, weights, x, y)
    assert level.score == pytest.approx(score, rel=1e-5, abs=1e-4)  # float32 densities
    assert level.spread == pytest.approx(best_spread)
    assert level.shift == pytest.approx(shift, abs=1e-5)


def test_the_grid_does_not_matter_where_it_is_finer_than_the_noise() -> None:
    # The integral over N(δ, τ²) in closed form, by quadrature: a scale mixture at the level that was found.
    y = residuals(2000, 1.4, spread=0.4)
    level = measured(y)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)

    def score(shift: float) -> float:
        scale = np.exp(FITTED + shift + level.spread * nodes) + 1e-4
        log_density = stats.norm.logpdf(y.double().numpy()[:, None], 0.0, scale)
        return float(logsumexp(log_density, b=weights / weights.sum(), axis=1).sum())

    shifts = np.arange(-0.7, 1.5, 0.01)
    scores = np.array([score(shift) for shift in shifts])
    alike = shifts[scores >= scores.max() - noise.ONE_ERROR]
    # … but for the prior, which draws by less than a hundredth with so many rows.
    assert alike.max() - GRID - 0.01 <= level.shift <= alike.max() + 0.02


@pytest.mark.parametrize("rows", [1023, 1024, 1025])
def test_rows_are_counted_once_however_they_are_cut(rows: int) -> None:
    level = measured(residuals(rows, 1.5))
    same = measured(residuals(rows, 1.5).flip(0))
    assert (level.shift, level.spread) == (same.shift, same.spread)
    assert level.score == pytest.approx(same.score)
    doubled = measured(residuals(rows, 1.5).repeat(2))
    assert doubled.score == pytest.approx(2 * level.score, rel=0.01)  # but for the prior, and the grid


# -- what it refuses, and what it leaves alone --------------------------------------------------------------


@pytest.mark.parametrize("likelihood", [HeteroscedasticGaussian(), Bernoulli()], ids=repr)
def test_a_likelihood_without_a_scale_is_refused_by_name(likelihood: Likelihood) -> None:
    model = linear_model(likelihood)
    weights = torch.zeros(1, 1, model.spec.size)
    with pytest.raises(ValueError, match=type(likelihood).__name__):
        measure_noise(model, weights, torch.zeros(3, 1), torch.zeros(3))


def test_nothing_given_is_changed() -> None:
    model, weights, y = linear_model(), at_zero(2, 4).requires_grad_(), residuals(30, 1.5)
    x = torch.zeros(30, 1)
    before = [*state_of(model), weights.detach().clone(), x.clone(), y.clone()]
    rng = torch.random.get_rng_state()
    level = measure_noise(model, weights, x, y)
    assert same_bits(before, [*state_of(model), weights.detach(), x, y])
    assert torch.equal(rng, torch.random.get_rng_state())
    assert not level.location.requires_grad


class ScaleFirst(Gaussian):
    """A likelihood of one's own, whose scale is not its last latent."""

    latents: Mapping[str, Latent] = {"width": Latent(-1.5, 1.0), "nothing": Latent(0.0, 1.0)}  # type: ignore[misc]
    scale_latent = "width"

    def distribution(
        self, outputs: Tensor, latents: Mapping[str, Tensor]
    ) -> torch.distributions.Distribution:
        return super().distribution(outputs, {"log_scale": latents["width"]})


def test_the_scale_is_found_by_its_name() -> None:
    y = residuals(300, 1.5)
    weights = torch.cat([at_zero(), torch.full((1, 1, 1), 7.0)], dim=-1)
    level = measure_noise(linear_model(ScaleFirst()), weights, torch.zeros(300, 1), y)
    same = measured(y)
    assert (level.shift, level.spread) == (same.shift, same.spread)
    torch.testing.assert_close(level.location, same.location)


def test_several_columns_share_a_level() -> None:
    """Residuals side by side are as many more of them, each column at the scale that was fitted to it."""
    y = residuals(300, 1.5)
    model = linear_model(MultivariateGaussian(2, covariance="diagonal"))
    weights = torch.zeros(1, 1, model.spec.size)
    weights[..., -2:] = torch.tensor([FITTED, FITTED + 2.0])
    pairs = torch.stack([y, math.exp(2.0) * y.flip(0)], dim=1)
    level = measure_noise(model, weights, torch.zeros(300, 1), pairs)
    assert level.location.shape == (1, 2)
    assert level.shift == pytest.approx(math.log(1.5), abs=ERRORS / math.sqrt(2 * 600) + GRID)
    assert (level.location[0, 1] - level.location[0, 0]).item() == pytest.approx(2.0)


# -- setting it ---------------------------------------------------------------------------------------------

INDEX = 3


def test_several_weights_are_set_each_to_its_own() -> None:
    one, other = (random_hypernetwork(6, noise_dim=2, members=2) for _ in range(2))
    locations = torch.tensor([[-0.7, 0.4], [0.1, 0.2]], dtype=torch.float64)
    NoiseLevel(locations, shift=0.1, spread=0.3, score=0.0).set_in(one, 3, 4)
    for index, location in zip((3, 4), locations.unbind(1), strict=True):
        NoiseLevel(location, shift=0.1, spread=0.3, score=0.0).set_in(other, index)
    assert same_bits(state_of(one), state_of(other))


@pytest.mark.parametrize("hidden", [(), (4,)])
@pytest.mark.parametrize("noise_dim", [0, 2])
@pytest.mark.parametrize("spread", [0.02, 0.6])
def test_the_weights_posterior_is_exactly_the_level_whatever_z(
    hidden: tuple[int, ...], noise_dim: int, spread: float
) -> None:
    net = random_hypernetwork(6, noise_dim=noise_dim, hidden=hidden, members=2)
    location = torch.tensor([-0.7, 0.4], dtype=torch.float64)
    before = net.draw(50, generator=torch.Generator().manual_seed(0))
    NoiseLevel(location, shift=0.1, spread=spread, score=0.0).set_in(net, INDEX)
    after = net.draw(50, generator=torch.Generator().manual_seed(0))
    # Given any z the mean is the location and the scale the spread, …
    torch.testing.assert_close(after.mean[..., INDEX], location.unsqueeze(1).expand(-1, 50))
    expected = torch.full((2, 1), spread, dtype=torch.float64)
    torch.testing.assert_close(after.scale[..., INDEX], expected, rtol=1e-6, atol=0)
    # … so that the draws are too; and the other weights are what they were.
    draws = net.draw(20_000, generator=torch.Generator().manual_seed(1)).weights[..., INDEX]
    assert ((draws.mean(1) - location).abs() < ERRORS * spread / math.sqrt(20_000)).all()
    assert ((draws.std(1) / spread - 1).abs() < ERRORS / math.sqrt(2 * 20_000)).all()
    others = [i for i in range(6) if i != INDEX]
    assert torch.equal(after.weights[..., others], before.weights[..., others])
    assert not torch.equal(after.weights[..., INDEX], before.weights[..., INDEX])
    assert all(parameter.requires_grad for parameter in net.parameters())
