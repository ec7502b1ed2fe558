from __future__ import annotations

import math
from fractions import Fraction
from inspect import signature
from typing import Any

import numpy as np
import pyro
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from bayeshyper._vocabulary import vocabulary
from bayeshyper.assembly import build_model
from bayeshyper.models import (
    MLP,
    PRIORS,
    BayesianModel,
    Conditional,
    FanInPrior,
    FlatNormal,
    Gaussian,
    LaplacePrior,
    Latent,
    NormalPrior,
    Prior,
    StudentT,
    Target,
    WeightPiece,
    WeightSpec,
)
from bayeshyper.recipes import read_recipe


def vectors(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def scales(*shape: int) -> Tensor:
    return 0.2 + torch.rand(*shape, dtype=torch.float64)


# -- FlatNormal -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lead", [(), (4,), (3, 1), (2, 3, 4)])
def test_log_prob_is_the_sum_of_torchs_own(lead: tuple[int, ...]) -> None:
    loc, scale, value = vectors(7), scales(7), vectors(*lead, 7)
    expected = Normal(loc, scale).log_prob(value).sum(-1)
    torch.testing.assert_close(FlatNormal(loc, scale).log_prob(value), expected, rtol=1e-13, atol=1e-12)


def test_expand_keeps_the_law_and_draws_independently() -> None:
    loc, scale = vectors(5), scales(5)
    expanded = FlatNormal(loc, scale).expand(torch.Size((3, 1)))
    assert expanded.batch_shape == (3, 1)
    assert expanded.event_shape == (5,)
    draw = expanded.rsample(torch.Size((2,)))
    assert draw.shape == (2, 3, 1, 5)
    assert len(draw.reshape(6, 5).unique(dim=0)) == 6
    value = vectors(3, 1, 5)
    assert torch.equal(expanded.log_prob(value), FlatNormal(loc, scale).log_prob(value))


def test_draws_have_mean_and_scale() -> None:
    loc, scale, n = vectors(5), scales(5), 40_000
    draws = FlatNormal(loc, scale).rsample(torch.Size((n,)))
    # five standard errors: σ/√n of a mean, σ/√(2n) of a standard deviation
    assert ((draws.mean(0) - loc).abs() < 5 * scale / math.sqrt(n)).all()
    assert ((draws.std(0) - scale).abs() < 5 * scale / math.sqrt(2 * n)).all()


def test_draws_carry_gradients() -> None:
    loc, scale = torch.zeros(3, requires_grad=True), torch.ones(3, requires_grad=True)
    FlatNormal(loc, scale).rsample(torch.Size((2,))).sum().backward()
    assert loc.grad is not None
    assert loc.grad.tolist() == [2.0, 2.0, 2.0]


def carrying(value: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """A weight draw with its law given z, as the guide makes it."""
    value.conditional = Conditional(mean, scale)  # type: ignore[attr-defined]
    return value


def test_a_draw_with_its_law_gets_the_expectation_over_the_output_noise() -> None:
    loc, prior_scale, n = vectors(6), scales(6), 200_000
    mean, scale = vectors(1, 1, 6), scales(1, 1, 6)
    prior = FlatNormal(loc, prior_scale)
    closed = prior.log_prob(carrying(vectors(1, 1, 6), mean, scale)).item()
    scores = prior.log_prob((mean + scale * vectors(1, n, 6))[0])
    assert abs(scores.mean().item() - closed) < 5 * scores.std().item() / math.sqrt(n)
    assert scores.std() > 0.5  # what the closed form saves


def test_the_expectation_is_each_draws_own_in_member_order() -> None:
    loc, prior_scale = vectors(4), scales(4)
    mean, scale = vectors(2, 3, 4), scales(2, 1, 4)
    closed = FlatNormal(loc, prior_scale).log_prob(carrying(vectors(6, 1, 4), mean, scale))
    assert closed.shape == (6, 1)
    for draw in range(6):
        m, s = mean[draw // 3, draw % 3], scale[draw // 3, 0]
        # E[log N(θ)] = log N(m) − ½ Σ s²/scale²
        by_hand = Normal(loc, prior_scale).log_prob(m).sum() - 0.5 * (s / prior_scale).square().sum()
        torch.testing.assert_close(closed[draw, 0], by_hand, rtol=1e-12, atol=1e-12)


def test_without_output_noise_the_expectation_is_the_density() -> None:
    mean = vectors(1, 5, 4)
    prior = FlatNormal(vectors(4), scales(4))
    value = carrying(mean[0].clone(), mean, torch.zeros(1, 1, 4).double())
    torch.testing.assert_close(prior.log_prob(value), prior.log_prob(mean[0]), rtol=1e-13, atol=1e-13)


def test_it_stands_in_a_pyro_trace_with_plates() -> None:
    loc, scale = vectors(5), scales(5)

    def model() -> Tensor:
        with pyro.plate("particles", 3, dim=-2):
            value: Tensor = pyro.sample("weights", FlatNormal(loc, scale))
        return value

    trace = pyro.poutine.trace(model).get_trace()
    trace.compute_log_prob()
    site = trace.nodes["weights"]
    assert site["value"].shape == (3, 1, 5)
    expected = Normal(loc, scale).log_prob(site["value"]).sum()
    torch.testing.assert_close(site["log_prob_sum"], expected, rtol=1e-13, atol=1e-12)


# -- the families -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "fan_in"), [((50, 8), 8), ((1, 100), 100), ((16, 3, 5, 5), 75), ((4, 2, 3), 6), ((3, 1), 1)]
)
def test_fan_in_counts_all_but_the_first_dimension(shape: tuple[int, ...], fan_in: int) -> None:
    piece = WeightPiece("w", shape, 0)
    assert FanInPrior().piece_scale(piece) == pytest.approx(math.sqrt(2 / fan_in), rel=1e-12)
    assert FanInPrior(gain=3.0).piece_scale(piece) == pytest.approx(3 / math.sqrt(fan_in), rel=1e-12)


def test_fan_in_keeps_the_scale_of_a_wide_linear_layer() -> None:
    """What fan-in scaling is for: with gain 1 and unit inputs, outputs have unit variance at any width."""
    for width in (10, 1000):
        scale = FanInPrior(gain=1.0).piece_scale(WeightPiece("w", (2000, width), 0))
        outputs = scale * torch.randn(2000, width) @ torch.ones(width)
        assert outputs.var().item() == pytest.approx(1.0, rel=5 * math.sqrt(2 / 2000))


@pytest.mark.parametrize("shape", [(), (7,)])
def test_biases_and_scalars_have_a_scale_of_their_own(shape: tuple[int, ...]) -> None:
    piece = WeightPiece("b", shape, 0)
    assert FanInPrior().piece_scale(piece) == 1.0
    assert FanInPrior(bias_scale=0.3).piece_scale(piece) == 0.3
    assert NormalPrior(scale=0.3).piece_scale(piece) == 0.3


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_scales_that_are_not_positive_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"Got scale = .*, expected a positive number"):
        NormalPrior(scale=value)
    with pytest.raises(ValueError, match="Got gain = "):
        FanInPrior(gain=value)
    with pytest.raises(ValueError, match="Got bias_scale = "):
        FanInPrior(bias_scale=value)


@pytest.mark.parametrize("family", [NormalPrior, LaplacePrior, FanInPrior])
@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (torch.ones(3), r"a tensor of shape \(3,\)"),
        (torch.tensor(0.5), r"a tensor of shape \(\)"),
        ("wide", "'wide'"),
    ],
)
def test_a_scale_that_is_no_number_is_told_what_it_may_be(
    family: type[Prior], given: Any, shown: str
) -> None:
    with pytest.raises(
        ValueError, match=rf"Got scale = {shown}, expected a number, or a mapping from tensor"
    ):
        family(scale=given)
    with pytest.raises(ValueError, match=rf"Got center = {shown}, expected 'initial', or a mapping"):
        family(center=given)


def test_every_number_is_a_scale() -> None:
    piece = WeightPiece("w", (4, 3), 0)
    for half in (0.5, np.float32(0.5), Fraction(1, 2)):
        assert LaplacePrior(scale=half).piece_scale(piece) == 0.5  # type: ignore[arg-type]


def test_a_number_for_a_tensor_is_that_number_for_all_its_entries() -> None:
    name = "layers.0.weight"
    whole, by_entry = (
        built(MLP(3, 1), LaplacePrior(scale={name: scale}, center={name: center}))[0]
        for scale, center in ((0.25, 2), (torch.full((50, 3), 0.25), torch.full((50, 3), 2.0)))
    )
    assert torch.equal(whole.scale, by_entry.scale)
    assert torch.equal(whole.loc, by_entry.loc)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (-1.0, "a scale of 'layers.0.weight' that is not positive"),
        (
            [1.0],
            r"scale of 'layers.0.weight' is \[1.0\], expected a number, or a tensor of the shape \(50, 3\)",
        ),
    ],
)
def test_what_a_mapping_gives_is_checked(given: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        built(MLP(3, 1), LaplacePrior(scale={"layers.0.weight": given}))


def test_recipes_know_them_by_name() -> None:
    for name, family in PRIORS.items():
        recipe = read_recipe("models", {"prior": {"family": name, "center": "initial"}})
        model = build_model(recipe, rows=5, features=3, network=None, seed=0)
        assert type(model.prior) is family
        # … and every argument with a default can be set in a recipe.
        for argument in (p.name for p in signature(family).parameters.values() if p.kind is p.KEYWORD_ONLY):
            assert f"prior.{argument}" in vocabulary("models", {"prior.family": name})
    assert "prior.bias_scale" in vocabulary("models", {"prior.family": "student-t"})


# -- laid out over a model --------------------------------------------------------------------------------


def built(network: nn.Module, prior: Prior) -> tuple[Prior, WeightSpec]:
    model = BayesianModel(Target(network), prior, StudentT(), num_data=5)
    return model.prior, model.spec


def test_each_tensor_gets_its_scale_and_each_latent_its_own_prior() -> None:
    prior, spec = built(MLP(8, 1, hidden=(50,)), FanInPrior(bias_scale=0.7))
    expected = {
        "layers.0.weight": (0.0, math.sqrt(2 / 8)),
        "layers.0.bias": (0.0, 0.7),
        "layers.2.weight": (0.0, math.sqrt(2 / 50)),
        "layers.2.bias": (0.0, 0.7),
        "log_scale": (-1.5, 1.0),
        "log_df": (1.5, 1.0),
    }
    assert spec.names == tuple(expected)
    for name, (loc, scale) in expected.items():
        place = spec[name].slice
        torch.testing.assert_close(prior.loc[place], torch.full((spec[name].size,), loc))
        torch.testing.assert_close(prior.scale[place], torch.full((spec[name].size,), scale))


def test_a_latents_prior_does_not_depend_on_the_family() -> None:
    class Odd(Gaussian):
        latents = {"log_scale": Latent(4.0, 0.25)}  # noqa: RUF012

    model = BayesianModel(Target(MLP(2, 1)), NormalPrior(scale=9.0), Odd(), num_data=5)
    assert model.prior.loc[-1].item() == 4.0
    assert model.prior.scale[-1].item() == 0.25
    assert (model.prior.scale[:-1] == 9.0).all()


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(4), nn.LayerNorm(4), nn.GroupNorm(2, 4)])
def test_the_gain_of_a_normalisation_layer_is_centred_at_one(norm: nn.Module) -> None:
    prior, spec = built(nn.Sequential(nn.Linear(3, 4), norm, nn.Linear(4, 1)), FanInPrior())
    loc = spec.unflatten(prior.loc)
    assert loc["1.weight"].tolist() == [1.0] * 4
    assert loc["1.bias"].tolist() == [0.0] * 4
    assert all((loc[name] == 0).all() for name in ("0.weight", "0.bias", "2.weight", "2.bias"))


def test_the_gain_of_a_layer_norm_over_two_dimensions_is_centred_at_one() -> None:
    network = nn.Sequential(nn.LayerNorm((2, 4)), nn.Flatten(), nn.Linear(8, 1))
    prior, spec = built(network, FanInPrior())
    assert (spec.unflatten(prior.loc)["0.weight"] == 1).all()
    assert (spec.unflatten(prior.scale)["0.weight"] == 1).all()  # a gain's scale, not a matrix's


def test_a_second_model_leaves_the_prior_of_the_first_alone() -> None:
    prior = FanInPrior()
    first = BayesianModel(Target(MLP(3, 1, hidden=(4,))), prior, Gaussian(), num_data=5)
    BayesianModel(Target(MLP(7, 1, hidden=(9,))), prior, Gaussian(), num_data=5)
    assert first.prior.scale.shape == (first.spec.size,)


def test_buffers_move_and_are_saved_with_the_model() -> None:
    prior, spec = built(MLP(3, 1), FanInPrior())
    assert set(prior.state_dict()) == {"loc", "scale"}
    assert prior().loc.dtype == torch.float32
    prior.double()
    assert (prior.loc.dtype, prior.scale.dtype, prior().rsample().dtype) == (torch.float64,) * 3
    assert prior.to("meta").scale.device.type == "meta"
    assert prior.scale.shape == (spec.size,)


def test_a_family_without_a_law_says_what_to_define() -> None:
    prior, _ = built(MLP(3, 1), type("Mine", (Prior,), {})())
    with pytest.raises(NotImplementedError, match="Mine must define standard"):
        prior()
