"""log q of a guide's sites: it integrates to one, has the closed forms, and is what training sees."""

from __future__ import annotations

import math

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import Tensor

from tests.autoguide.amortised import local, local_context, local_data, pooled, pooled_context
from tests.autoguide.bent import bent, log_density_by_quadrature


def scale_alone() -> None:
    pyro.sample("scale", dist.LogNormal(0.0, 0.5))


def share_alone() -> None:
    pyro.sample("share", dist.Beta(2.0, 3.0))


def scale_and_share() -> None:
    pyro.sample("scale", dist.LogNormal(0.0, 0.5))
    pyro.sample("share", dist.Beta(2.0, 3.0))


def three_shares() -> None:
    pyro.sample("shares", dist.Dirichlet(torch.ones(3)))


def grid(*ends: tuple[float, float], points: int) -> tuple[list[Tensor], float]:
    """Midpoints of a grid's cells, one tensor ``(G,)`` for each axis, and the volume of a cell."""
    axes = [low + (high - low) * (torch.arange(points) + 0.5) / points for low, high in ends]
    volume = math.prod((high - low) / points for low, high in ends)
    return [axis.flatten() for axis in torch.meshgrid(*axes, indexing="ij")], volume


@pytest.mark.parametrize("members", [1, 2])
def test_it_is_the_integral_over_the_noise(members: int) -> None:
    guide = bent(scale_alone, members=members)
    values = guide.sample_posterior(20, generator=torch.Generator().manual_seed(0))
    log_scale = values["scale"].log()
    exact = log_density_by_quadrature(guide, log_scale.unsqueeze(-1)) - log_scale
    torch.testing.assert_close(guide.log_density(values, inner=2048), exact, atol=0.05, rtol=0)


@pytest.mark.parametrize("members", [1, 2])
def test_it_integrates_to_one_on_the_sites_own_scale(members: int) -> None:
    guide = bent(scale_alone, members=members)
    (scale,), cell = grid((0.0, 10.0), points=400)  # less than a thousandth lies outside
    total = guide.log_density({"scale": scale}, inner=64).exp().sum().item() * cell
    assert total == pytest.approx(1.0, abs=0.01)


def test_it_integrates_to_one_in_two_dimensions() -> None:
    guide = bent(scale_and_share)
    (log_scale, share), cell = grid((-2.2, 2.6), (0.0, 1.0), points=24)
    scale = log_scale.exp()  # closer where the scale is small, and each cell by so much smaller
    density = guide.log_density({"scale": scale, "share": share}, inner=64).exp() * scale
    assert density.sum().item() * cell == pytest.approx(1.0, abs=0.02)
    # … and the moments over the grid are those of draws.
    draws = guide.sample_posterior(20_000, generator=torch.Generator().manual_seed(0))
    for values, drawn in ((scale, draws["scale"]), (share, draws["share"])):
        mean = (density * values).sum().item() / density.sum().item()
        assert mean == pytest.approx(drawn.mean().item(), abs=5 * drawn.std().item() / math.sqrt(20_000))


def test_without_noise_it_is_the_gaussian_of_the_frame() -> None:
    guide = bent(scale_and_share, noise_dim=0)
    posterior = guide.posterior
    net, frame = posterior.hypernetwork, posterior.frame
    scale = frame.matrix()[0] * net.output_noise[0]  # type: ignore[operator, union-attr]
    mean = frame(net.mean.unsqueeze(1))[0, 0]
    gaussian = dist.MultivariateNormal(mean, scale_tril=scale)
    values = guide.sample_posterior(5, generator=torch.Generator().manual_seed(0))
    flat = torch.stack([values["scale"].log(), values["share"].logit()], dim=-1)
    # y = eᵘ and s = logistic(v): log |∂y/∂u| = log y, log |∂s/∂v| = log s(1 − s).
    volume = values["scale"].log() + (values["share"] * (1 - values["share"])).log()
    expected = gaussian.log_prob(flat) - volume
    torch.testing.assert_close(guide.log_density(values), expected.detach())
    assert not guide.log_density(values).requires_grad


def test_members_are_summed_each_in_its_own_frame() -> None:
    guide = bent(scale_alone, noise_dim=0, members=3)
    net, frame = guide.posterior.hypernetwork, guide.posterior.frame
    mean, scale = (
        frame(net.mean.unsqueeze(1))[:, 0, 0],
        (frame.factor * net.output_noise.unsqueeze(1))[:, 0, 0],
    )
    parts = dist.LogNormal(mean, scale)
    scales = torch.tensor([0.3, 1.0, 5.0])
    expected = parts.log_prob(scales.unsqueeze(-1)).exp().mean(-1).log().detach()
    torch.testing.assert_close(guide.log_density({"scale": scales}), expected)


def test_outside_of_the_support_there_is_none() -> None:
    guide = bent(scale_and_share)
    found = guide.log_density(
        {"scale": torch.tensor([1.4, -1.4, 1.4]), "share": torch.tensor([0.5, 0.5, 1.5])}
    )
    assert bool(found[0].isfinite())
    assert found[1:].tolist() == [-math.inf, -math.inf]


def test_a_simplex_has_a_density_of_two_numbers() -> None:
    guide = bent(three_shares, noise_dim=0)
    (first, second), cell = grid((0.0, 1.0), (0.0, 1.0), points=300)
    inside = first + second < 1.0
    shares = torch.stack([first, second, 1.0 - first - second], dim=-1)[inside]
    total = guide.log_density({"shares": shares}).exp().sum().item() * cell
    assert total == pytest.approx(1.0, abs=0.01)


def test_it_is_what_the_elbo_uses() -> None:
    # Training's estimate is above log q in expectation, and this one below; at the same draws they are close.
    guide = bent(scale_and_share)
    traces = [poutine.trace(guide).get_trace() for _ in range(200)]
    seen = torch.stack([trace.log_prob_sum() for trace in traces]).detach()
    values = {
        name: torch.stack([trace.nodes[name]["value"] for trace in traces]) for name in ("scale", "share")
    }
    gap = seen - guide.log_density({name: value.detach() for name, value in values.items()})
    error = gap.std().item() / math.sqrt(len(gap))
    assert -3 * error < gap.mean().item() < 0.5 + 3 * error
    # Without the noise's part, say, or the Jacobians, it would be off by nats at every draw.
    assert gap.abs().median().item() < 0.2


def test_the_same_values_have_the_same_density_and_nothing_is_left_behind() -> None:
    guide = bent(scale_and_share)
    values = guide.sample_posterior(3, generator=torch.Generator().manual_seed(0))
    before, state = [p.detach().clone() for p in guide.parameters()], torch.random.get_rng_state()
    first, again = guide.log_density(values), guide.log_density(values)
    assert torch.equal(first, again)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(map(torch.equal, before, guide.parameters()))
    assert not dict(pyro.get_param_store())


def test_a_context_has_a_density_of_its_own() -> None:
    first, other = torch.tensor([0.5, 1.5]), torch.tensor([-3.0, -2.0, -2.5])
    guide = bent(pooled, noise_dim=0, context=pooled_context, example_args=(first,))
    (mean,), cell = grid((-40.0, 40.0), points=4000)
    densities = [guide.log_density({"mean": mean}, y).exp() for y in (first, other)]
    for density in densities:
        assert density.sum().item() * cell == pytest.approx(1.0, abs=1e-3)
    assert (densities[0] - densities[1]).abs().sum().item() * cell > 0.1
    trace = poutine.trace(guide).get_trace(other)
    drawn = trace.nodes["mean"]["value"].detach().reshape(1)
    exact = trace.log_prob_sum().detach().reshape(1)
    torch.testing.assert_close(guide.log_density({"mean": drawn}, other), exact)


def test_a_row_has_a_density_given_its_own_features() -> None:
    y, scale = local_data(3)
    guide = bent(local, noise_dim=0, context=local_context, example_args=(y, scale))
    row = y[:1], scale[:1]
    trace = poutine.trace(guide).get_trace(*row)
    drawn = trace.nodes["theta"]["value"].detach().reshape(1, 1)
    torch.testing.assert_close(
        guide.log_density({"theta": drawn}, *row), trace.log_prob_sum().detach().reshape(1)
    )
    with pytest.raises(ValueError, match="3 rows"):
        guide.log_density({"theta": drawn.expand(1, 3)}, y, scale)
    with pytest.raises(ValueError, match="3 rows"):
        guide.log_density({"theta": drawn.expand(1, 3)}, *row)


def test_missing_sites_and_other_shapes_are_named() -> None:
    guide = bent(scale_and_share)
    with pytest.raises(ValueError, match="Got no value for share"):
        guide.log_density({"scale": torch.ones(3)})
    with pytest.raises(ValueError, match="'share'"):
        guide.log_density({"scale": torch.ones(3), "share": 0.5 * torch.ones(3, 2)})
    with pytest.raises(ValueError, match="'scale'"):
        guide.log_density({"scale": torch.tensor(1.0), "share": torch.tensor(0.5)})
    with pytest.raises(ValueError, match="3 of 'scale', 2 of 'share'"):
        guide.log_density({"scale": torch.ones(3), "share": 0.5 * torch.ones(2)})
    with pytest.raises(ValueError, match=r"Got values of 'slope', expected .* 'scale', 'share'"):
        guide.log_density({**guide.sample_posterior(3), "slope": torch.ones(3)})
    with pytest.raises(ValueError, match=r"Got shape \(\) for the site 'scale'"):
        guide.log_density({"scale": 1.0, "share": 0.5})


def test_values_need_not_be_tensors() -> None:
    guide = bent(scale_and_share)
    values = {"scale": [0.5, 2.0], "share": np.array([0.1, 0.7])}
    expected = guide.log_density({name: torch.tensor(value) for name, value in values.items()})
    torch.testing.assert_close(guide.log_density(values), expected)
