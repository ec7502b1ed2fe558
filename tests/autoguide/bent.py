"""Guides that are nothing special, and what is known of them by brute force."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bayeshyper.autoguide import AutoHypernetwork
from bayeshyper.hypernets import Hypernetwork


def bent(model: Callable[..., Any], *, log_width: float = 0.0, **settings: Any) -> AutoHypernetwork:
    """A guide in float64 whose means and scales follow the noise: nothing about it is left as it starts."""
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    guide = AutoHypernetwork(model, **{"noise_dim": 1, "hidden": (4,), **settings})
    generator = torch.Generator().manual_seed(1)

    def normal(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator)

    with torch.no_grad():
        for parameter in guide.parameters():
            parameter.add_(0.3 * normal(parameter))
        net = next(module for module in guide.modules() if isinstance(module, Hypernetwork))
        assign(net, "log_output_noise", net.log_output_noise + log_width)
        if net.varying is not None and net.trunk.features:
            assign(net.head, "matrix", net.head.matrix + 0.5 * normal(net.head.matrix))  # type: ignore[operator, arg-type]
            assign(net.varying, "matrix", normal(net.varying.matrix) / 2.0)
    return guide


@torch.no_grad()
def assign(module: nn.Module, name: str, value: Tensor) -> None:
    """Give a parameter a value, whatever the units that it is stored in."""
    if parametrize.is_parametrized(module, name):
        setattr(module, name, value)
    else:
        getattr(module, name).copy_(value)


@torch.no_grad()
def log_density_by_quadrature(guide: AutoHypernetwork, flat: Tensor) -> Tensor:
    """log q(u) of flat latents ``(S, 1)`` for one latent and one dimension of noise: by a grid of z."""
    net, frame = guide.posterior.hypernetwork, guide.posterior.frame
    z = torch.linspace(-8.0, 8.0, 4001).unsqueeze(-1)
    members = net.members
    features = net.trunk(z.expand(members, -1, -1))
    mean = frame(net.mean.unsqueeze(1) + net.offsets(features))[..., 0]
    scale = (net.noise_at(features) * frame.log_volume.exp()[:, None, None])[..., 0]
    given = torch.distributions.Normal(mean, scale).log_prob(flat.unsqueeze(-1))  # (S, M, G)
    log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(z[:, 0]) + math.log(16.0 / 4000)
    return torch.logsumexp(given + log_prior, dim=(-2, -1)) - math.log(members)
