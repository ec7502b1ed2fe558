"""Guides that are nothing special, and what is known of them by brute force."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bayeshyper.autoguide import AutoHypernetwork


def bent(model: Callable[..., Any], **settings: Any) -> AutoHypernetwork:
    """A guide in float64 whose means and scales follow the noise: nothing about it is left as it starts."""
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    guide = AutoHypernetwork(model, **{"noise_dim": 1, "hidden": (4,), **settings})
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in guide.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator))
    return guide


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
