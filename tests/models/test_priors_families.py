"""The closed forms and limits of each family of priors, and where priors stand: centre and scale."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from torch import Tensor, nn

from bayeshyper.models import (
    MLP,
    PRIORS,
    BayesianModel,
    FanInPrior,
    Gaussian,
    HierarchicalPrior,
    HorseshoePrior,
    LaplacePrior,
    LearnedPrior,
    NormalPrior,
    Prior,
    ScaleMixturePrior,
    StudentTPrior,
    Target,
    WeightSpec,
)

POINTS = torch.tensor([-30.0, -2.5, -0.3, 1e-3, 0.4, 1.0, 2.2, 2.3, 7.0], dtype=torch.float64)


def laid_out(prior: Prior, network: nn.Module | None = None) -> BayesianModel:
    """The prior over a small network, in float64."""
    return BayesianModel(Target(network or MLP(3, 1, hidden=(4,))), prior, Gaussian(), num_data=5).double()


def standard_log_density(prior: Prior, u: Tensor) -> Tensor:
    """log f(u), number by number."""
    return laid_out(prior).prior.standard().log_prob(u)


# -- densities --------------------------------------------------------------------------------------------


def test_laplace_has_standard_deviation_scale() -> None:
    expected = stats.laplace(scale=1 / math.sqrt(2))
    assert expected.std() == pytest.approx(1.0, abs=1e-12)
    ours = standard_log_density(LaplacePrior(), POINTS)
    np.testing.assert_allclose(ours, expected.logpdf(POINTS), rtol=1e-13)


@pytest.mark.parametrize("df", [1.0, 2.5, 30.0])
def test_student_t_is_scipys(df: float) -> None:
    ours = standard_log_density(StudentTPrior(df=df), POINTS)
    np.testing.assert_allclose(ours, stats.t(df).logpdf(POINTS), rtol=1e-12)


def test_student_t_ends_at_the_normal() -> None:
    ours = standard_log_density(StudentTPrior(df=1e9), POINTS[1:-1])
    np.testing.assert_allclose(ours, stats.norm.logpdf(POINTS[1:-1]), atol=1e-6)


def test_scale_mixture_is_the_sum_of_two_normals() -> None:
    ours = standard_log_density(ScaleMixturePrior(share=0.3, wide=1.5, narrow=0.2), POINTS[1:]).exp()
    expected = 0.3 * stats.norm(scale=1.5).pdf(POINTS[1:]) + 0.7 * stats.norm(scale=0.2).pdf(POINTS[1:])
    np.testing.assert_allclose(ours, expected, rtol=1e-12)


def test_the_horseshoe_is_a_normal_whose_scale_is_half_cauchy() -> None:
    ours = standard_log_density(HorseshoePrior(), POINTS).exp()
    for u, density in zip(POINTS.tolist(), ours.tolist(), strict=True):
        # λ = tan a with a uniform on (0, π/2) is half-Cauchy.
        mixed, _ = integrate.quad(
            lambda a, u=u: stats.norm.pdf(u, scale=math.tan(a)) * 2 / math.pi, 0, math.pi / 2, limit=500
        )
        assert density == pytest.approx(mixed, rel=1e-6)
        factor = (2 * math.pi**3) ** -0.5
        assert factor / 2 * math.log(1 + 4 / u**2) < density < factor * math.log(1 + 2 / u**2)


def test_the_horseshoe_is_the_exponential_integral_to_thirteen_digits() -> None:
    u = torch.cat([torch.logspace(-18, 1, 400), torch.linspace(2.1, 2.4, 101)]).double()
    x = 0.5 * u.numpy() ** 2
    expected = np.log(special.exp1(x)) + x - 0.5 * math.log(2 * math.pi**3)
    np.testing.assert_allclose(standard_log_density(HorseshoePrior(), u), expected, rtol=0, atol=2e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_horseshoe_is_finite_everywhere(dtype: torch.dtype) -> None:
    tiny = torch.finfo(dtype).tiny
    u = torch.tensor([0.0, tiny, -tiny, 1e-30, -1e-12, 1e-3, 1e6, -1e18], dtype=dtype, requires_grad=True)
    scores = HorseshoePrior.standard(laid_out(HorseshoePrior()).to(dtype).prior).log_prob(u)
    (slopes,) = torch.autograd.grad(scores.sum(), u)
    assert bool(scores.isfinite().all())
    assert bool(slopes.isfinite().all())
    assert bool((slopes[3:] * u[3:] < 0).all())  # towards zero
    # Far out, log p = −2 log|u| + …: the tail of a Cauchy.
    assert slopes[-1].item() == pytest.approx(2e-18, rel=1e-6)


# -- expectations over the output noise -------------------------------------------------------------------


def expected_by_quadrature(prior: Prior, mean: float, spread: float) -> float:
    """E[log f(u)] for u ~ N(mean, spread²); the pole or kink at zero is a node's place, not inside."""
    law = laid_out(prior).prior.standard()

    def weighted(u: float) -> float:
        score = law.log_prob(torch.tensor(u, dtype=torch.float64)).item()
        return float(score * stats.norm.pdf(u, mean, spread))

    reach = 9 * spread
    pieces = sorted({mean - reach, mean + reach, *([0.0] if abs(mean) < reach else [])})
    return sum(integrate.quad(weighted, *ends, limit=400)[0] for ends in itertools.pairwise(pieces))


@pytest.mark.parametrize(("mean", "spread"), [(0.0, 0.3), (0.2, 0.1), (-1.5, 0.7), (3.0, 1e-3)])
def test_laplaces_expectation_is_closed(mean: float, spread: float) -> None:
    prior = LaplacePrior()
    m, s = torch.tensor(mean, dtype=torch.float64), torch.tensor(spread, dtype=torch.float64)
    ours = prior.expectation(m, m, s).item()
    assert ours == pytest.approx(expected_by_quadrature(prior, mean, spread), rel=1e-8)


@pytest.mark.parametrize(("mean", "spread"), [(0.0, 0.3), (0.1, 0.1), (-1.5, 0.4)])
def test_the_horseshoes_expectation_has_the_right_value_and_gradient(mean: float, spread: float) -> None:
    prior, n = laid_out(HorseshoePrior()).prior, 200_000
    m = torch.full((n,), mean, dtype=torch.float64, requires_grad=True)
    s = torch.full((n,), spread, dtype=torch.float64, requires_grad=True)
    estimates = prior.expectation((m + s * torch.randn(n, dtype=torch.float64)).detach(), m, s)
    by_mean, by_spread = torch.autograd.grad(estimates.sum(), (m, s))
    step = 1e-3 * spread

    def slope(dm: float, ds: float) -> float:
        ends = [expected_by_quadrature(HorseshoePrior(), mean + k * dm, spread + k * ds) for k in (1, -1)]
        return (ends[0] - ends[1]) / (2 * step)

    expected = [expected_by_quadrature(HorseshoePrior(), mean, spread), slope(step, 0.0), slope(0.0, step)]
    for ours, value in zip((estimates.detach(), by_mean, by_spread), expected, strict=True):
        error = ours.std().item() / math.sqrt(n)
        assert abs(ours.mean().item() - value) < 5 * error + 1e-6
        assert error * spread < 0.01  # finite variance: the slope of log f itself has none


# -- scales that are found --------------------------------------------------------------------------------


def test_a_hierarchical_prior_is_normal_given_its_scales() -> None:
    model = laid_out(HierarchicalPrior(spread=0.5, bias_scale=0.7))
    prior, spec = model.prior, model.spec
    assert model.prior_latents == ("prior.log_scale.layers.0.weight", "prior.log_scale.layers.2.weight")
    assert spec.names == (*model.target.spec.names, "log_scale", *model.prior_latents)
    weights = torch.randn(spec.size, dtype=torch.float64)
    pieces = spec.unflatten(weights)
    expected = stats.norm.logpdf(pieces["log_scale"], -1.5, 1.0)
    for name in model.prior_latents:
        expected += stats.norm.logpdf(pieces[name], 0.0, 0.5)
    for name, fan_in in (("layers.0", 3), ("layers.2", 4)):
        scale = math.sqrt(2 / fan_in) * math.exp(pieces[f"prior.log_scale.{name}.weight"])
        expected += stats.norm.logpdf(pieces[f"{name}.weight"], 0.0, scale).sum()
        expected += stats.norm.logpdf(pieces[f"{name}.bias"], 0.0, 0.7).sum()
    assert prior().log_prob(weights).item() == pytest.approx(float(expected), rel=1e-6)  # float32 scales


def test_a_learned_prior_is_normal_with_its_factors() -> None:
    model = laid_out(LearnedPrior())
    prior = model.prior
    weights = torch.randn(4, model.spec.size, dtype=torch.float64)
    assert torch.equal(prior().log_prob(weights), laid_out(FanInPrior()).prior().log_prob(weights))
    with torch.no_grad():
        prior.log_factor.copy_(torch.tensor([0.3, -1.2]))
    assert prior.factors() == pytest.approx(
        {"layers.0.weight": math.exp(0.3), "layers.2.weight": math.exp(-1.2)}
    )
    stretched = {
        "layers.0.weight": torch.full((4, 3), math.sqrt(2 / 3) * math.exp(0.3)),
        "layers.2.weight": torch.full((1, 4), math.sqrt(2 / 4) * math.exp(-1.2)),
    }
    by_hand = laid_out(FanInPrior(scale=stretched)).prior
    torch.testing.assert_close(prior().log_prob(weights), by_hand().log_prob(weights), rtol=1e-6, atol=1e-5)


def test_the_best_factor_is_the_root_mean_square_of_its_layer() -> None:
    model = laid_out(LearnedPrior())
    prior, spec = model.prior, model.target.spec
    weights = torch.randn(50, model.spec.size, dtype=torch.float64)
    for number, name in enumerate(prior.layers):
        u = weights[:, spec[name].slice] / prior.scale[spec[name].slice]
        with torch.no_grad():
            prior.log_factor[number] = u.square().mean().sqrt().log()
    prior().log_prob(weights).mean().backward()
    assert prior.log_factor.grad.abs().max().item() < 1e-12


# -- where they stand -------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", PRIORS.values(), ids=PRIORS)
def test_every_family_can_be_centred_where_the_network_starts(family: type[Prior]) -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 1))
    with torch.no_grad():
        network[1].weight.add_(0.5)
    model = laid_out(family(center="initial"), network)
    start = model.target.spec.flatten(model.target.initial())
    assert torch.equal(model.prior.loc[: len(start)], start.double())
    assert model.prior.loc[len(start)].item() == -1.5  # the likelihood's latent keeps its own
    zero = laid_out(family(), network)
    weights = 0.5 * torch.randn(model.spec.size, dtype=torch.float64)
    shifted = zero.prior().log_prob(weights - model.prior.loc + zero.prior.loc)
    torch.testing.assert_close(model.prior().log_prob(weights), shifted)


def test_given_centres_and_scales_are_those_of_the_tensors_named() -> None:
    centre, scale = torch.randn(4, 3), torch.rand(4) + 0.1
    prior = FanInPrior(center={"layers.0.weight": centre}, scale={"layers.0.bias": scale})
    model = laid_out(prior)
    loc, scales = model.spec.unflatten(model.prior.loc), model.spec.unflatten(model.prior.scale)
    assert torch.equal(loc["layers.0.weight"], centre.double())
    assert torch.equal(scales["layers.0.bias"], scale.double())
    plain = laid_out(FanInPrior())
    assert torch.equal(loc["layers.2.weight"], plain.spec.unflatten(plain.prior.loc)["layers.2.weight"])
    assert torch.equal(scales["layers.2.weight"], plain.spec.unflatten(plain.prior.scale)["layers.2.weight"])


def test_a_prior_whose_shape_does_not_fit_is_refused() -> None:
    wrong = {"layers.0.weight": torch.zeros(3, 4)}
    with pytest.raises(
        ValueError, match=r"center of 'layers.0.weight' has shape \(3, 4\), expected \(4, 3\)"
    ):
        laid_out(NormalPrior(center=wrong))
    with pytest.raises(ValueError, match=r"scale of 'layers.0.weight' has shape \(3, 4\), expected \(4, 3\)"):
        laid_out(LaplacePrior(scale=wrong))
    with pytest.raises(ValueError, match=r"center names the tensor 'layer.0.weight', .* layers.0.weight"):
        laid_out(FanInPrior(center={"layer.0.weight": torch.zeros(4, 3)}))
    with pytest.raises(ValueError, match=r"scale of 'layers.0.weight' that is not positive"):
        laid_out(FanInPrior(scale={"layers.0.weight": torch.zeros(4, 3)}))
    with pytest.raises(ValueError, match=r"center of 'layers.0.weight' with infinite or missing"):
        laid_out(FanInPrior(center={"layers.0.weight": torch.full((4, 3), math.nan)}))
    with pytest.raises(ValueError, match="center = 'start', expected 'initial'"):
        FanInPrior(center="start")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("family", "arguments"),
    [
        (StudentTPrior, {"df": 0.0}),
        (ScaleMixturePrior, {"wide": -1.0}),
        (ScaleMixturePrior, {"narrow": 0.0}),
        (ScaleMixturePrior, {"share": 1.0}),
        (HierarchicalPrior, {"spread": math.inf}),
        (HorseshoePrior, {"gain": 0.0}),
    ],
)
def test_arguments_that_make_no_sense_are_refused(family: type[Prior], arguments: dict[str, float]) -> None:
    ((name, value),) = arguments.items()
    with pytest.raises(ValueError, match=f"Got {name} = {value}, expected"):
        family(**arguments)


def test_a_prior_says_what_was_chosen() -> None:
    assert repr(StudentTPrior(df=3.0, center="initial")) == (
        "StudentTPrior(df=3, gain=1.41, bias_scale=1, center=initial)"
    )
    given = FanInPrior(scale={"a": torch.ones(1)}, center={"b": torch.ones(1)})
    assert repr(given) == "FanInPrior(gain=1.41, bias_scale=1, scale of a, center=b)"
    assert repr(NormalPrior(scale=0.5)) == "NormalPrior(scale=0.5)"


def test_the_normal_families_alone_are_normal() -> None:
    normal = {name for name, family in PRIORS.items() if laid_out(family()).prior.is_normal}
    assert normal == {"normal", "fan-in"}


def test_their_state_carries_the_scales_density_and_all() -> None:
    wide, narrow = laid_out(FanInPrior(gain=3.0)).prior, laid_out(FanInPrior(gain=0.1)).prior
    narrow.load_state_dict(wide.state_dict())
    assert torch.equal(narrow().log_prob(wide.loc), wide().log_prob(wide.loc))


def test_layers_are_tensors_of_weights_and_gains_are_none() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 1), nn.LayerNorm((2, 1)))
    layers = laid_out(LearnedPrior(), network).prior.layers
    assert {"0.weight", "2.weight"} <= set(layers)
    assert {"0.bias", "1.weight", "1.bias", "3.weight"}.isdisjoint(layers)


def test_a_hierarchical_prior_without_layers_is_normal() -> None:
    initial = {"weight": torch.zeros(3)}
    alone = HierarchicalPrior()
    assert alone.latents(initial) == {}
    alone.build(WeightSpec([("weight", (3,))]), initial, {})
    assert alone().log_prob(torch.zeros(3)).item() == pytest.approx(-1.5 * math.log(2 * math.pi))
