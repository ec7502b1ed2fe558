"""Noise that varies with z: its slopes, its bound, and that it starts as noise that does not."""

from __future__ import annotations

import torch
from torch.func import jacrev, vmap

from bayeshyper import Hypernetwork, HypernetworkSettings
from bayeshyper.hypernets.varying import FURTHEST, VaryingNoise


def make(noise: str) -> Hypernetwork:
    torch.manual_seed(0)
    settings = HypernetworkSettings(noise_dim=3, hidden=(6,), noise=noise)
    return Hypernetwork(torch.zeros(2, 5), torch.ones(5), settings).double()


def test_it_starts_as_noise_that_does_not_vary() -> None:
    draws = [
        make(noise).draw(4, generator=torch.Generator().manual_seed(1)) for noise in ("weight", "varying")
    ]
    assert torch.equal(draws[0].weights, draws[1].weights)
    assert torch.equal(draws[0].scale.expand(2, 4, 5), draws[1].scale)


def test_slopes_are_the_jacobian_of_the_log_scale() -> None:
    net = make("varying")
    assert net.varying is not None
    torch.nn.init.normal_(net.varying.matrix)
    z = torch.randn(2, 4, 3, dtype=torch.float64)
    features, jacobian = net.trunk.with_jacobian(z)

    def log_scale(member: int, at: torch.Tensor) -> torch.Tensor:
        one = torch.zeros(2, 1, 3, dtype=torch.float64)
        one = torch.cat([one[:member], at.reshape(1, 1, 3), one[member + 1 :]])
        return net.noise_at(net.trunk(one))[member, 0].log()

    for member in range(2):
        exact = vmap(jacrev(lambda at, m=member: log_scale(m, at)))(z[member])
        torch.testing.assert_close(
            net.varying.slopes(features, jacobian)[member], exact, rtol=1e-8, atol=1e-8
        )


def test_scales_stay_within_their_bound() -> None:
    noise = VaryingNoise(4, 3)
    torch.nn.init.normal_(noise.matrix, std=1e6)
    assert noise(torch.randn(1, 100, 3)).abs().max().item() <= FURTHEST


def test_curvature_and_pull_see_the_scale_at_each_draw() -> None:
    net = make("varying")
    assert net.varying is not None
    torch.nn.init.normal_(net.varying.matrix)
    z, offsets = torch.randn(2, 4, 3).double(), torch.randn(2, 4, 5).double()
    features, jacobian = net.trunk.with_jacobian(z)
    slopes, precision = net.slopes(features, jacobian), net.noise_at(features).pow(-2)
    weighted = slopes.mT * precision.unsqueeze(-2)
    torch.testing.assert_close(net.curvature(features, jacobian), weighted @ slopes)
    torch.testing.assert_close(
        net.pull(features, jacobian, offsets), (weighted @ offsets.unsqueeze(-1)).squeeze(-1)
    )
