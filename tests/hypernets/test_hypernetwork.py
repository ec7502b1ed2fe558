from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bayeshyper.assembly import initial_means
from bayeshyper.hypernets import MIN_OUTPUT_NOISE, Hypernetwork, HypernetworkSettings
from bayeshyper.models import MLP, BayesianModel, FanInPrior, Gaussian, Target

SIZE = 6


def make(members: int = 1, **options: Any) -> Hypernetwork:
    """A posterior that is far from standard in every part, in float64."""
    settings = HypernetworkSettings(
        **{"noise_dim": 3, "hidden": (8,), "gain": 1.5, "start_share": math.inf, **options}
    )
    mean = torch.randn(members, SIZE, dtype=torch.float64)
    unit = 0.5 + torch.rand(SIZE, dtype=torch.float64)
    network = Hypernetwork(mean, unit, settings)
    with torch.no_grad():
        network.log_output_noise.normal_(-1.0, 0.5)
    return network


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# -- the law of the draws ---------------------------------------------------------------------------------


def test_a_draw_is_the_formula() -> None:
    network, draws = make(2), 5
    draw = network.draw(draws, generator=seeded(1))
    noise = seeded(1)  # the same numbers again: z, then ε
    z = torch.randn(2, draws, 3, generator=noise, dtype=torch.float64)
    epsilon = torch.randn(2, draws, SIZE, generator=noise, dtype=torch.float64)
    for m in range(2):
        w, b = network.trunk.weights[0][m], network.trunk.biases[0][m]
        features = torch.cat([torch.tanh(z[m] @ w.T + b), z[m]], dim=-1)
        sigma = network.log_output_noise[m].exp() + 1e-4
        mean = network.mean[m] + network.unit * (features @ network.head.matrix[m].T)
        torch.testing.assert_close(draw.mean[m], mean, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(draw.scale[m, 0], network.unit * sigma, rtol=1e-12, atol=1e-12)
        expected = mean + network.unit * sigma * epsilon[m]
        torch.testing.assert_close(draw.weights[m], expected, rtol=1e-12, atol=1e-12)


def test_without_hidden_layers_draws_are_a_low_rank_plus_diagonal_gaussian() -> None:
    network, n = make(hidden=()), 100_000
    a = network.unit.unsqueeze(-1) * network.head.matrix[0]
    covariance = (a @ a.T + torch.diag((network.unit * network.output_noise[0]).square())).detach()
    sample = network.sample(n, generator=seeded(0))
    sd = covariance.diagonal().sqrt()
    # Within five standard errors: of a mean σ/√n, of a covariance √((Σ_ii Σ_jj + Σ_ij²)/n).
    assert ((sample.mean(0) - network.mean[0]).abs() < 5 * sd / math.sqrt(n)).all()
    error = ((sd[:, None] * sd).square() + covariance.square()).sqrt() / math.sqrt(n)
    assert ((torch.cov(sample.T) - covariance).abs() < 5 * error).all()


def test_given_the_noise_weights_are_independent_normals() -> None:
    network = make(2)
    draw = network.draw(40_000, generator=seeded(0))
    standard = ((draw.weights - draw.mean) / draw.scale).detach().flatten(0, 1)
    n = len(standard)
    assert (standard.mean(0).abs() < 5 / math.sqrt(n)).all()
    # entries of the identity: standard error √2/√n on the diagonal, 1/√n off it
    assert ((torch.cov(standard.T) - torch.eye(SIZE)).abs() < 5 * math.sqrt(2 / n)).all()


def test_without_noise_dimensions_it_is_mean_field() -> None:
    network, n = make(noise_dim=0), 50_000
    draw = network.draw(4)
    assert torch.equal(draw.mean, network.mean.unsqueeze(1).expand(-1, 4, -1))
    correlation = torch.corrcoef(network.sample(n, generator=seeded(0)).T) - torch.eye(SIZE)
    assert (correlation.abs() < 5 / math.sqrt(n)).all()
    # and mean field is what is trained: a mean and a scale per weight
    assert sum(p.numel() for p in network.parameters()) == 2 * SIZE


def test_with_noise_dimensions_weights_are_correlated() -> None:
    correlation = torch.corrcoef(make().sample(5_000, generator=seeded(0)).T) - torch.eye(SIZE)
    assert correlation.abs().max() > 0.2


def test_the_output_noise_never_vanishes() -> None:
    network = make()
    with torch.no_grad():
        network.log_output_noise.fill_(-1e3)
    assert (network.output_noise == MIN_OUTPUT_NOISE).all()


def test_a_draws_jacobian_is_the_trunks_and_only_on_request() -> None:
    network = make(2)
    draw = network.draw(4, generator=seeded(1))
    z = torch.randn(2, 4, 3, generator=seeded(1), dtype=torch.float64)
    assert draw.jacobian is not None
    assert torch.equal(draw.jacobian, network.trunk.with_jacobian(z)[1])
    without = network.draw(4, generator=seeded(1), with_jacobian=False)
    assert without.jacobian is None
    torch.testing.assert_close(without.weights, draw.weights, rtol=1e-13, atol=1e-13)


def test_every_parameter_gets_a_gradient() -> None:
    network = make(2)
    draw = network.draw(4)
    assert draw.jacobian is not None
    (draw.weights.square().sum() + draw.jacobian.square().sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


# -- the start --------------------------------------------------------------------------------------------


def started(members: int) -> tuple[BayesianModel, Tensor]:
    """A wide model and draws of its starting posterior, ``(M, R, D)``."""
    torch.manual_seed(3)
    model = BayesianModel(Target(MLP(40, 30, hidden=(60, 50))), FanInPrior(), Gaussian(), num_data=10)
    network = HypernetworkSettings().build(initial_means(model, members, seed=5), model.prior.scale)
    network.reset_parameters(seeded(1))
    with torch.no_grad():
        return model, network.draw(50, generator=seeded(2)).weights


SETTINGS = HypernetworkSettings()
SPREAD = math.hypot(SETTINGS.gain, SETTINGS.output_noise)  # in prior units
LAYERS = [("layers.0", 40), ("layers.2", 60), ("layers.4", 50)]


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize(("layer", "fan_in"), LAYERS)
def test_generated_weights_start_at_the_scale_of_the_networks_own(
    layer: str, fan_in: int, members: int
) -> None:
    """Every member: the init's own 1/√(3·fan_in), to which the posterior's spread adds little."""
    model, draws = started(members)
    for member in draws:
        weights = model.target.spec.unflatten(member[:, : model.target.spec.size])[f"{layer}.weight"]
        assert weights.std().item() == pytest.approx(1 / math.sqrt(3 * fan_in), rel=0.1)
        # the prior's unit is √2/√fan_in; tanh features are below unit scale, so the spread is below SPREAD
        assert weights.std(0).mean().item() < SPREAD * math.sqrt(2 / fan_in)


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize(("layer", "fan_in"), LAYERS)
def test_a_layers_outputs_start_at_the_scale_of_the_networks_own(
    layer: str, fan_in: int, members: int
) -> None:
    """For unit inputs the init gives outputs the variance 1/3 + 1/(3·fan_in), weights and bias together."""
    model, draws = started(members)
    x = torch.randn(400, fan_in)
    for member in draws:
        tensors = model.target.spec.unflatten(member[:, : model.target.spec.size])
        outputs = torch.einsum("nf,sof->sno", x, tensors[f"{layer}.weight"])
        outputs = outputs + tensors[f"{layer}.bias"].unsqueeze(1)
        assert outputs.std().item() == pytest.approx(math.sqrt((1 + 1 / fan_in) / 3), rel=0.1)


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("layer", [layer for layer, _ in LAYERS])
def test_generated_biases_start_at_the_scale_of_the_networks_own(layer: str, members: int) -> None:
    """Their prior's unit is 1 at any width, so that it is biases that a wide spread would drown first."""
    model, draws = started(members)
    for mean, member in zip(initial_means(model, members, seed=5), draws, strict=True):
        place = model.spec[f"{layer}.bias"].slice
        assert member[:, place].std().item() == pytest.approx(mean[place].std().item(), rel=0.1)


def test_members_start_at_different_networks_and_the_first_at_the_given_one() -> None:
    model, _ = started(1)
    means = initial_means(model, 3, seed=5)
    own = model.target.spec.flatten(model.target.initial())
    assert torch.equal(means[0, :-1], own)
    assert (means[1] != means[2]).float().mean() > 0.99
    assert means[:, -1].tolist() == [-1.5] * 3  # the latent, at its prior mean


def test_the_gain_and_the_output_noise_are_what_the_settings_say() -> None:
    network = Hypernetwork(
        torch.zeros(1, 2000),
        torch.full((2000,), 3.0),
        HypernetworkSettings(noise_dim=8, hidden=(), gain=0.4, output_noise=0.05),
    )
    draw = network.draw(2000)
    # the variance is a mean of 2000 χ²₈/8, so a standard deviation is known to 1/√(2·8·2000)
    assert (draw.mean.std().item() / 3.0) == pytest.approx(0.4, rel=5 / math.sqrt(2 * 8 * 2000))
    torch.testing.assert_close(draw.scale, torch.full_like(draw.scale, 3.0 * 0.05), rtol=1e-5, atol=0)


# -- mixtures ---------------------------------------------------------------------------------------------


def apart(members: int) -> Hypernetwork:
    """Members whose draws can be told apart: member m's lie near 100 m."""
    mean = 100.0 * torch.arange(members).unsqueeze(-1).expand(-1, SIZE)
    return Hypernetwork(mean, torch.ones(SIZE), HypernetworkSettings(noise_dim=2))


@pytest.mark.parametrize("members", [1, 2, 5])
@pytest.mark.parametrize("n", [1, 2, 7, 10, 23])
def test_a_sample_of_n_has_n_rows_spread_evenly_over_the_members(n: int, members: int) -> None:
    sample = apart(members).sample(n, generator=seeded(0))
    assert sample.shape == (n, SIZE)
    counts = torch.bincount((sample[:, 0] / 100).round().long(), minlength=members)
    assert counts.sum() == n
    assert counts.max() - counts.min() <= 1


def test_no_member_is_favoured_where_n_does_not_divide() -> None:
    network, generator = apart(3), seeded(0)
    first = torch.cat([network.sample(1, generator=generator)[:, 0] for _ in range(600)])
    counts = torch.bincount((first / 100).round().long(), minlength=3)
    # 600 throws of a fair three-sided die: standard deviation √(600·2/9) = 11.5
    assert ((counts - 200).abs() < 5 * 11.5).all()


def test_rows_of_a_sample_are_all_different() -> None:
    assert len(apart(3).sample(50, generator=seeded(0)).unique(dim=0)) == 50


def test_a_sample_has_the_mixtures_mean_and_needs_no_gradient() -> None:
    network, n = make(3), 60_000
    sample = network.sample(n, generator=seeded(0))
    assert not sample.requires_grad
    parts = [network.member(i).sample(20_000, generator=seeded(i + 1)) for i in range(3)]
    expected = torch.stack([part.mean(0) for part in parts]).mean(0)
    within = torch.stack([part.var(0) for part in parts]).mean(0)
    # stratified, so only the variance within members counts, in both estimates
    assert ((sample.mean(0) - expected).abs() < 5 * (2 * within / n).sqrt()).all()


def test_a_member_is_the_slice_of_the_whole() -> None:
    network = make(3)
    z = torch.randn(3, 4, 3, dtype=torch.float64)
    for index in range(3):
        alone = network.member(index)
        assert alone.members == 1
        assert torch.equal(alone.mean[0], network.mean[index])
        assert torch.equal(alone.output_noise[0], network.output_noise[index])
        assert torch.equal(alone.unit, network.unit)
        # baddbmm of one member or three may sum in another order
        torch.testing.assert_close(
            alone.head(alone.trunk(z[index : index + 1]))[0],
            network.head(network.trunk(z))[index],
            rtol=1e-12,
            atol=1e-12,
        )


def test_a_member_is_a_copy() -> None:
    network = make(2)
    before = copy.deepcopy(network.state_dict())
    with torch.no_grad():
        for parameter in network.member(1).parameters():
            parameter.zero_()
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_changing_a_member_leaves_the_others_draws_bit_equal() -> None:
    network = make(2)
    before = network.draw(4, generator=seeded(1))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter[1].mul_(2.0)
    after = network.draw(4, generator=seeded(1))
    assert torch.equal(after.weights[0], before.weights[0])
    assert not torch.equal(after.weights[1], before.weights[1])


# -- seeds, types, files ----------------------------------------------------------------------------------


def test_a_generator_decides_everything_and_the_global_one_is_left_alone() -> None:
    network = make(2)
    state = torch.random.get_rng_state()
    assert torch.equal(network.sample(7, generator=seeded(3)), network.sample(7, generator=seeded(3)))
    assert torch.equal(
        network.draw(7, generator=seeded(3)).weights, network.draw(7, generator=seeded(3)).weights
    )
    assert not torch.equal(network.sample(7, generator=seeded(3)), network.sample(7, generator=seeded(4)))
    network.reset_parameters(seeded(1))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_taking_a_member_leaves_the_global_generator_alone() -> None:
    network, state = make(2), torch.random.get_rng_state()
    network.member(0)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_resetting_starts_all_but_the_mean_afresh() -> None:
    network = make()
    before = copy.deepcopy(network.state_dict())
    network.reset_parameters(seeded(1))
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(before[name], tensor)}
    assert changed == set(before) - {"mean", "unit"}
    again = copy.deepcopy(network)  # with the same mean: σ starts in proportion to it
    again.reset_parameters(seeded(2))
    again.reset_parameters(seeded(1))
    assert all(torch.equal(network.state_dict()[name], again.state_dict()[name]) for name in changed)


def test_the_given_tensors_are_copied() -> None:
    mean, unit = torch.zeros(1, SIZE), torch.ones(SIZE)
    network = Hypernetwork(mean, unit)
    with torch.no_grad():
        network.mean.add_(1.0)
        network.unit.add_(1.0)
    assert torch.equal(mean, torch.zeros(1, SIZE))
    assert torch.equal(unit, torch.ones(SIZE))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_wholly_of_the_type_of_its_mean(dtype: torch.dtype) -> None:
    network = Hypernetwork(torch.zeros(2, SIZE, dtype=dtype), torch.ones(SIZE, dtype=dtype))
    assert {t.dtype for t in network.state_dict().values()} == {dtype}
    assert network.sample(3).dtype == dtype
    assert network.member(1).sample(3).dtype == dtype


def test_moving_it_moves_every_tensor_and_its_members() -> None:
    network = make(2).to("meta")
    assert {t.device.type for t in network.state_dict().values()} == {"meta"}
    assert {t.device.type for t in network.member(1).state_dict().values()} == {"meta"}


def test_its_state_makes_another_the_same() -> None:
    network, other = make(2), make(2)
    other.load_state_dict(network.state_dict())
    assert torch.equal(network.sample(5, generator=seeded(0)), other.sample(5, generator=seeded(0)))


def test_it_is_an_ordinary_module() -> None:
    network = make(2)
    assert isinstance(network, nn.Module)
    assert "D=6, members=2" in repr(network)
    assert torch.equal(
        copy.deepcopy(network).sample(3, generator=seeded(0)), network.sample(3, generator=seeded(0))
    )


# -- what does not fit together ---------------------------------------------------------------------------


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"mean of shape \(10,\) .* expected \(members, D\)"):
        Hypernetwork(torch.zeros(10), torch.ones(10))
    with pytest.raises(ValueError, match=r"unit of shape \(9,\)"):
        Hypernetwork(torch.zeros(1, 10), torch.ones(9))


def test_an_unknown_head_is_refused() -> None:
    with pytest.raises(ValueError, match=r"head 'sparse', expected one of .*dense, .*low-rank"):
        HypernetworkSettings(head="sparse").build(torch.zeros(1, 4), torch.ones(4))


@pytest.mark.parametrize("noise", [0.0, 1e-4, -1.0, math.nan])
def test_an_output_noise_at_or_below_the_floor_is_refused(noise: float) -> None:
    with pytest.raises(ValueError, match=r"output_noise = .*, expected more than 0.0001"):
        HypernetworkSettings(output_noise=noise).build(torch.zeros(1, 4), torch.ones(4))


def test_a_negative_noise_dimension_is_refused() -> None:
    with pytest.raises(ValueError, match="noise_dim = -2"):
        HypernetworkSettings(noise_dim=-2).build(torch.zeros(1, 4), torch.ones(4))
