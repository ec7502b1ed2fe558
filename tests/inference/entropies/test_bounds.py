"""Estimators that see q as a mixture over its noise: exact cases, bounds, their order, and how one breaks."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from bayeshyper.hypernets import Hypernetwork, HypernetworkSettings, WeightDraw
from bayeshyper.inference.entropies import (
    ENTROPIES,
    Entropy,
    HierarchicalEntropy,
    LinearizedEntropy,
    SemiImplicitEntropy,
    SmallestSingularValueEntropy,
)
from bayeshyper.inference.entropies.hierarchical import PRIOR_SHARE
from bayeshyper.inference.entropies.mixture import MixtureEntropy
from bayeshyper.inference.entropies.overlap import LinearOverlap, Overlap, WeightOverlap, overlap_of
from bayeshyper.inference.entropies.recognition import Recognition
from bayeshyper.inference.entropies.tangent import Tangent, jacobian_of
from bayeshyper.inference.entropies.views import NoiseView, StatisticView
from bayeshyper.models import WeightSpec
from bayeshyper.threads import seeded
from tests.inference.toys import FoldedHypernetwork, as_low_rank, random_hypernetwork


def drawn(net: Hypernetwork, draws: int, seed: int = 0) -> WeightDraw:
    return net.draw(draws, generator=torch.Generator().manual_seed(seed))


def credited(entropy: Entropy, net: Hypernetwork, draws: int, seed: int = 0) -> Tensor:
    with torch.no_grad():
        return entropy.information(net, drawn(net, draws, seed))[0]


def standard_error(values: Tensor) -> float:
    return values.std().item() / math.sqrt(len(values))


@cache
def folded(draws: int) -> tuple[Hypernetwork, Tensor]:
    """A generator that folds, and its I(θ; z) draw by draw, by quadrature over the one-dimensional z."""
    net = FoldedHypernetwork(noise=0.3)
    axis = torch.linspace(-9.0, 9.0, 2401, dtype=torch.float64).reshape(1, 2401, 1, 1)
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(axis) + math.log(18.0 / 2400)
    with torch.no_grad():
        overlap = LinearOverlap(net, drawn(net, draws)).at(axis)
    return net, -torch.logsumexp(overlap + prior[..., 0], dim=1)[0]


def of_head(head: str) -> Hypernetwork:
    """Two members of a network of 18 weights, in float64, that bend and whose parameters are all random."""
    spec = WeightSpec([("first.weight", (3, 3)), ("first.bias", (3,)), ("last.weight", (2, 3))])
    settings = HypernetworkSettings(head=head, noise_dim=2, hidden=(5,), gain=0.5, output_noise=0.3)
    with seeded(0):
        mean, unit = torch.randn(2, 18), torch.randn(18).mul(0.3).exp()
        net = settings.build(mean, unit, spec).double()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return net


@pytest.mark.parametrize("head", ["dense", "per-layer", "modulation", "coordinate"])
def test_the_overlap_is_the_ratio_of_densities_written_out(head: str) -> None:
    net = of_head(head)
    draw = drawn(net, 3)
    noise = (net.unit * net.output_noise)[:, None, None]
    here = torch.distributions.Normal(draw.mean.unsqueeze(1), noise).log_prob(draw.weights.unsqueeze(1))
    overlaps: list[Overlap] = [overlap_of(net, draw), WeightOverlap(net, draw)]
    for width in (3, 1):  # each draw its own other noises, and all draws the same
        z = torch.randn(2, 4, width, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        moved = net.offsets(net.trunk(z.flatten(1, 2))).reshape(2, 4, width, 18)
        there = torch.distributions.Normal(net.mean[:, None, None] + net.unit * moved, noise)
        ratio = (there.log_prob(draw.weights.unsqueeze(1)) - here).sum(-1)
        for overlap in overlaps:
            torch.testing.assert_close(overlap.at(z), ratio, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("head", ["dense", "per-layer", "modulation", "coordinate"])
def test_the_linearised_density_is_that_of_the_tangents_gaussian(head: str) -> None:
    net = of_head(head)
    draw = drawn(net, 3)
    found = LinearizedEntropy(net).log_density(net, draw)
    for row in range(3):

        def mean_at(z: Tensor) -> Tensor:
            return net.unit * net.offsets(net.trunk(z.unsqueeze(1)))[:, 0]

        slopes = torch.autograd.functional.jacobian(mean_at, draw.z[:, row])
        for member in range(2):
            slope = slopes[member, :, member]
            covariance = slope @ slope.mT + torch.diag(draw.scale[member, 0].square())
            center = draw.mean[member, row] - slope @ draw.z[member, row]
            exact = torch.distributions.MultivariateNormal(center, covariance)
            torch.testing.assert_close(
                found[member, row], exact.log_prob(draw.weights[member, row]), rtol=1e-8, atol=1e-8
            )


@pytest.mark.parametrize("head", ["modulation", "coordinate"])
def test_a_head_that_is_not_linear_has_all_but_what_needs_linearity(head: str) -> None:
    net = of_head(head)
    for name, kind in ENTROPIES.items():
        if name == "hierarchical":
            with pytest.raises(ValueError, match=f"with the head '{head}'"):
                kind(net)
            continue
        gradient = torch.autograd.grad(kind(net)(net, net.draw(8)).sum(), net.log_output_noise)[0]
        assert bool(gradient.isfinite().all())


def test_the_statistic_comes_from_the_weights_alone() -> None:
    net = random_hypernetwork(9, noise_dim=2, hidden=(5,), members=2)
    draw = drawn(net, 3)
    offset = (draw.weights - net.mean.unsqueeze(1)) / net.unit
    expected = net.head.project(offset, net.output_noise.pow(-2))
    torch.testing.assert_close(LinearOverlap(net, draw).statistic, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("size", "noise_dim"), [(7, 3), (3, 5), (40, 12)])
def test_densities_at_draws_are_the_low_rank_gaussians_own(size: int, noise_dim: int) -> None:
    net = random_hypernetwork(size, noise_dim=noise_dim, members=2)
    draw = drawn(net, 6)
    exact = torch.stack([as_low_rank(net.member(m)).log_prob(draw.weights[m]) for m in range(2)])
    torch.testing.assert_close(LinearizedEntropy(net).log_density(net, draw), exact, rtol=1e-8, atol=1e-8)
    # τ is q(z | θ) itself, but for its share of prior: no draw can be far from it, nor one alone below.
    for inner in (0, 5):
        found = HierarchicalEntropy(net, inner=inner).log_density(net, draw)
        assert (found - exact).max().item() <= -math.log1p(-PRIOR_SHARE) + 1e-8
    alone = HierarchicalEntropy(net, inner=0).log_density(net, draw)
    assert (alone - exact).abs().max().item() < 0.1


@pytest.mark.parametrize("newton_steps", [1, 3])
def test_the_hierarchical_bound_is_exact_for_an_affine_trunk(newton_steps: int) -> None:
    net = random_hypernetwork(40, noise_dim=6)
    entropy = HierarchicalEntropy(net, inner=3, newton_steps=newton_steps)
    exact = as_low_rank(net).entropy().item()
    with torch.no_grad():
        values = entropy(net, drawn(net, 4000))[0]
    assert abs(values.mean().item() - exact) < 4 * standard_error(values) + 0.02  # what 2 % of prior cost
    assert values.std().item() < 0.5  # and what is chance has been taken off: without that it is √(d/2)


def test_what_is_taken_off_as_chance_has_no_mean() -> None:
    net = random_hypernetwork(20, noise_dim=3, hidden=(8,), gain=2.0)
    draw = drawn(net, 20_000)
    with torch.no_grad():
        jacobian, offsets = jacobian_of(draw), (draw.weights - draw.mean) / net.unit
        curvature, pull = net.curvature(draw.features, jacobian), net.pull(draw.features, jacobian, offsets)
        chance = Tangent(curvature, pull, draw.z).chance[0]
    assert abs(chance.mean().item()) < 4 * standard_error(chance)
    assert chance.std().item() > 0.5  # and there is something to take off


@pytest.mark.parametrize("name", ["hierarchical", "semi-implicit"])
def test_bounds_stay_below_the_truth_and_rise_with_more_noises(name: str) -> None:
    net, exact = folded(draws=2000)
    # The same draws for every K (same seed, same first numbers): differences to the truth are paired.
    values = [credited(ENTROPIES[name](net, inner=inner), net, 2000) for inner in (1, 8, 128)]
    for value in values:
        gap = exact - value
        assert gap.mean().item() > -4 * standard_error(gap)
    for fewer, more in pairwise(values):
        gain = more - fewer
        assert gain.mean().item() > 3 * standard_error(gain)
    assert values[-1].mean().item() > 0.5 * exact.mean().item()
    linearized = credited(LinearizedEntropy(net), net, 2000) - exact
    assert linearized.mean().item() > 8 * standard_error(linearized)  # which the tangent's is not: it folds


def test_a_guess_that_knows_the_true_noise_breaks_the_bound() -> None:
    class Peeking(HierarchicalEntropy):
        """What a τ must not be: it starts at the z that the weights were made from."""

        def log_weights(self, overlap: Overlap, hypernetwork: Hypernetwork, draw: WeightDraw) -> Tensor:
            self.recognition.forward = lambda view: self.at(view, draw.z.double())  # type: ignore[method-assign]
            return super().log_weights(overlap, hypernetwork, draw)

        def at(self, view: NoiseView, z: Tensor) -> tuple[Tensor, Tensor]:
            return z, view.look(z).factor

    net, exact = folded(draws=2000)
    breach = credited(Peeking(net, inner=16), net, 2000) - exact
    assert breach.mean().item() > 8 * standard_error(breach)
    honest = credited(HierarchicalEntropy(net, inner=16), net, 2000) - exact
    assert honest.mean().item() < 4 * standard_error(honest)


def test_no_gauss_newton_step_leads_downhill() -> None:
    net, _ = folded(draws=2000)
    overlap = LinearOverlap(net, drawn(net, 2000))
    view = StatisticView(net, overlap.gram, overlap.statistic)
    heights = []
    for steps in (0, 1, 3):
        guess = Recognition(net, hidden=4, newton_steps=steps)
        with torch.no_grad():
            z, _ = guess(view)
            features = net.trunk(z)
            fit = ((overlap.statistic - 0.5 * features @ overlap.gram) * features).sum(-1)
        heights.append(fit - 0.5 * z.square().sum(-1))
    for lower, higher in pairwise(heights):
        assert bool((higher >= lower).all())
        assert (higher - lower).mean().item() > 1.0


def test_learning_to_guess_tightens_the_bound() -> None:
    net = random_hypernetwork(12, noise_dim=3, hidden=(8,), gain=3.0, noise=1.0).requires_grad_(False)
    entropy = HierarchicalEntropy(net, inner=1, newton_steps=0)
    before = credited(entropy, net, 2000, seed=1)
    optimizer = torch.optim.Adam(entropy.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        optimizer.zero_grad()
        (-entropy(net, net.draw(64, generator=generator)).mean()).backward()
        optimizer.step()
    gain = credited(entropy, net, 2000, seed=1) - before
    assert gain.mean().item() > 5 * standard_error(gain)


@pytest.mark.parametrize("inner", [1, 10, 100])
def test_the_semi_implicit_bound_credits_no_more_than_its_logarithm(inner: int) -> None:
    net = random_hypernetwork(200, noise_dim=8, noise=0.1)
    values = credited(SemiImplicitEntropy(net, inner=inner), net, 300)
    assert values.max().item() <= math.log(inner + 1) + 1e-12
    assert values.mean().item() > math.log(inner + 1) - 0.05  # of 24 nats: all that it can
    assert credited(LinearizedEntropy(net), net, 1).item() > 20.0


def test_the_smallest_singular_value_bounds_the_linearised_entropy() -> None:
    for seed in range(4):
        net = random_hypernetwork(12, noise_dim=3, hidden=(6,), seed=seed)
        below = credited(SmallestSingularValueEntropy(net), net, 50)
        assert bool((below < credited(LinearizedEntropy(net), net, 50)).all())
        assert below.min().item() >= 0.0
    # With all directions alike it is no longer a bound but the thing itself; with an idle one it is nothing.
    net = random_hypernetwork(12, noise_dim=3)
    with torch.no_grad():
        net.log_output_noise.fill_(math.log(0.1))
        net.head.matrix.copy_(2.0 * torch.linalg.qr(net.head.matrix).Q)
    values = [credited(kind(net), net, 5) for kind in (SmallestSingularValueEntropy, LinearizedEntropy)]
    torch.testing.assert_close(values[0], values[1], rtol=1e-10, atol=0)
    with torch.no_grad():
        net.head.matrix[..., 0] = 0.0
    assert credited(SmallestSingularValueEntropy(net), net, 5).abs().max().item() < 1e-9


@pytest.mark.parametrize("name", ENTROPIES)
def test_without_noise_input_every_estimate_is_the_mean_field_entropy(name: str) -> None:
    net = random_hypernetwork(9, noise_dim=0, members=2)
    entropy, draw = ENTROPIES[name](net), drawn(net, 3)
    exact = torch.distributions.Normal(0.0, net.unit * net.output_noise).entropy().sum(-1)
    torch.testing.assert_close(entropy(net, draw), exact.unsqueeze(1).expand(2, 3), rtol=1e-12, atol=0)
    if entropy.pointwise:
        noise = torch.distributions.Normal(net.mean.unsqueeze(1), draw.scale)
        density = noise.log_prob(draw.weights).sum(-1)
        torch.testing.assert_close(entropy.log_density(net, draw), density, rtol=1e-12, atol=0)
    else:
        with pytest.raises(ValueError, match="knows no density"):
            entropy.log_density(net, draw)


@pytest.mark.parametrize("name", ENTROPIES)
def test_members_do_not_see_each_other(name: str) -> None:
    # Two members that are one and the same, in one pass with a third that differs.
    net = random_hypernetwork(6, noise_dim=2, hidden=(4,), members=3)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter[1] = parameter[0]
    entropy = ENTROPIES[name](net).eval()
    draw = drawn(net, 8)
    same = WeightDraw(
        **{
            field: None if value is None else value[[0, 0, 2]]
            for field, value in vars(draw).items()
            if field != "generator"
        }
    )
    torch.manual_seed(0)
    values = entropy(net, same)
    if isinstance(entropy, MixtureEntropy) or name == "stein":  # whose further noise differs between members
        assert values.shape == (3, 8)
    else:
        torch.testing.assert_close(values[0], values[1], rtol=1e-12, atol=0)
    gradient = torch.autograd.grad(values[2].sum(), net.head.matrix)[0]
    assert gradient[:2].abs().max().item() == 0.0
    assert gradient[2].abs().max().item() > 0.0


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("semi-implicit", {"inner": 0}, "inner = 0"),
        ("hierarchical", {"inner": -1}, "inner = -1"),
        ("hierarchical", {"hidden": 0}, "hidden = 0"),
        ("hierarchical", {"newton_steps": -1}, "hidden = 32 and newton_steps = -1"),
        ("stein", {"draws": 7}, "draws = 7, expected 8 or more"),
        ("stein", {"share": 0.0}, "share = 0.0"),
        ("prior-contrastive", {"contrast": "posterior"}, "contrast 'posterior'"),
        ("prior-contrastive", {"draws": 0}, "draws = 0"),
    ],
)
def test_options_that_mean_nothing_are_named(name: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=f"Got {words}"):
        ENTROPIES[name](random_hypernetwork(3, noise_dim=1), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ENTROPIES)
def test_every_estimator_says_what_it_is(name: str) -> None:
    kind = ENTROPIES[name]
    assert kind.estimates
    assert kind.direction
    assert kind.cost.startswith("O(")
    assert kind.__doc__
    assert "arXiv" in kind.__doc__
