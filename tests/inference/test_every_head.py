"""Entropy and density of every head: by closed forms where all is affine, by brute force elsewhere."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from bayeshyper.hypernets import HEADS, Hypernetwork, HypernetworkSettings
from bayeshyper.inference import channel_of, information_bounds, linearized_entropy, log_density
from bayeshyper.models import WeightSpec

SPEC = WeightSpec([("conv.weight", (3, 2, 2, 1)), ("conv.bias", (3,)), ("out.weight", (2, 3)), ("gate", ())])
TABLES: dict[str, dict[str, Any]] = {
    **{name: {"head": name} for name in HEADS},
    "low-rank": {"head": "low-rank", "options": {"rank": 2}},
    "adapter": {"head": "adapter", "options": {"rank": 1}},
    "chunked": {"head": "chunked", "options": {"chunk": 7, "width": 5}},
    "bounded": {"head": "dense", "bound": 2.0},
    "matrix noise": {"head": "per-layer", "matrix_noise": 1},
}
LINEAR = [name for name in TABLES if name not in ("modulation", "coordinate", "bounded")]


def build(name: str, hidden: tuple[int, ...], *, gain: float = 0.7, seed: int = 0) -> Hypernetwork:
    generator = torch.Generator().manual_seed(seed)
    mean = torch.randn(1, SPEC.size, generator=generator, dtype=torch.float64)
    unit = torch.rand(SPEC.size, generator=generator, dtype=torch.float64) + 0.5
    table = TABLES[name]
    options = {"options": {"relative": gain}} if name == "modulation" else {}
    settings = HypernetworkSettings(
        noise_dim=2, hidden=hidden, gain=gain, output_noise=0.2, start_share=math.inf, **{**table, **options}
    )
    net = settings.build(mean, unit, SPEC)
    net.reset_parameters(generator)
    return net


def covariance(net: Hypernetwork) -> Tensor:
    """Cov(θ) where the weights are affine in z: from the Jacobian of the weights, by autograd."""

    def mean(z: Tensor) -> Tensor:
        weights: Tensor = net.mean[0] + net.unit * net.offsets(net.trunk(z[None, None]))[0, 0]
        return weights

    at = torch.zeros(net.trunk.noise_dim, dtype=torch.float64)
    slope = torch.autograd.functional.jacobian(mean, at)
    sigma = (net.unit * net.output_noise[0]).detach()
    return slope @ slope.mT + torch.diag(sigma.square())


@pytest.mark.parametrize("name", LINEAR)
def test_the_entropy_is_the_closed_form_where_the_trunk_is_affine(name: str) -> None:
    net = build(name, hidden=())
    exact = 0.5 * torch.logdet(2 * math.pi * math.e * covariance(net))
    estimate = linearized_entropy(net, net.draw(3)).detach()
    torch.testing.assert_close(estimate, exact.expand(1, 3), rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("name", ["modulation", "coordinate", "bounded"])
def test_the_entropy_of_heads_that_are_not_linear_tends_to_the_closed_form(name: str) -> None:
    """The smaller the steps from the mean, the more nearly affine the weights: the error falls with them."""
    errors = []
    for gain in (0.03, 0.003):
        net = build(name, hidden=(), gain=gain)
        if name == "coordinate":  # whose features enter through the tanh
            with torch.no_grad():
                net.head.encode.mul_(gain)  # type: ignore[union-attr, operator]
                net.head.log_gains.zero_()  # type: ignore[union-attr, operator]
        net.log_output_noise.data.fill_(math.log(gain))  # of the same size: what is left is only the bend
        exact = 0.5 * torch.logdet(2 * math.pi * math.e * covariance(net))
        draw = net.draw(200, generator=torch.Generator().manual_seed(1))
        errors.append(abs(linearized_entropy(net, draw).mean() - exact).item())
    assert errors[1] < 0.01
    assert errors[1] < 0.3 * errors[0]


@pytest.mark.parametrize("name", list(TABLES))
def test_the_audits_bounds_hold_the_information_by_brute_force(name: str) -> None:
    """I(θ; z) by averaging over a grid of z, with nothing but the definition of the family."""
    net = build(name, hidden=(5,))
    d = net.trunk.noise_dim
    channel = channel_of(net)
    bounds = information_bounds(channel, draws=200, inner=256, generator=torch.Generator().manual_seed(2))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        # I = E log q(θ|z₀) − log q(θ), and log q(θ) by very many draws of z from the prior.
        draw = net.draw(200, generator=generator)
        sigma = net.unit * net.output_noise[0]
        many = torch.randn(40_000, d, generator=generator, dtype=torch.float64)
        means = net.mean[0] + net.unit * net.offsets(net.trunk(many[None]))[0]
        scaled = means / sigma
        rows = draw.weights[0] / sigma
        squares = -0.5 * torch.cdist(rows, scaled).square()
        given = -0.5 * (rows - draw.mean[0] / sigma).square().sum(-1)
        log_q = torch.logsumexp(squares, dim=1) - math.log(len(many))
        information = given - log_q
    truth, error = information.mean().item(), information.std().item() / math.sqrt(200)
    spread = 4 * (error + bounds.lower.std().item() / math.sqrt(200))
    assert bounds.lower.mean().item() < truth + spread
    if d == 2:  # layers' own noise has too many dimensions for brute force, which then finds too much
        assert bounds.upper.mean().item() > truth - spread
    assert (bounds.upper - bounds.lower).mean() > -0.05


@pytest.mark.parametrize("name", [name for name in TABLES if name not in ("hierarchical", "matrix noise")])
def test_the_density_is_an_average_over_the_noise(name: str) -> None:
    """log q(θ) against quadrature on a grid of two dimensions, from the definition of the family."""
    net = build(name, hidden=(5,))
    axis = torch.linspace(-6, 6, 301, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis)
    log_cell = 2 * math.log(12 / 300)
    theta = net.sample(6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        sigma = net.unit * net.output_noise[0]
        means = net.mean[0] + net.unit * net.offsets(net.trunk(z[None]))[0]
        log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
        given = torch.distributions.Normal(means, sigma)
        exact = torch.stack(
            [torch.logsumexp(log_prior + given.log_prob(row).sum(-1), 0) + log_cell for row in theta]
        )
    runs = torch.stack(
        [log_density(net, theta, inner=2048, generator=torch.Generator().manual_seed(s)) for s in range(4)]
    )
    spread = runs.var(0).mean().sqrt().item()
    assert spread < 0.1
    assert (runs.mean(0) - exact).abs().max().item() < 6 * spread / 2 + 1e-6
