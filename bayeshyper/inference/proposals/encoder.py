"""A regression of the noise z on what weights tell of it: where the search for modes of p(z | y) begins."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bayeshyper.inference.channels import Channel

__all__ = ["fit_encoder"]


def fit_encoder(channel: Channel, generator: torch.Generator, steps: int) -> nn.Module:
    """Regress z on y over fresh joint draws: E[z | y] up to the encoder's capacity. No data are needed."""
    z, y = channel.joint(1024, generator)
    center, spread = y.mean(0), y.std(0).clamp_min(1e-12)
    width = 64
    first = _linear(y.shape[-1], width)
    last = _linear(width, channel.noise_dim)
    skip = _linear(y.shape[-1], channel.noise_dim)
    with torch.no_grad():
        for layer in (first, last, skip):
            bound = 1.0 / math.sqrt(max(layer.in_features, 1))
            for parameter in layer.parameters():
                parameter.uniform_(-bound, bound, generator=generator)
        white = torch.cat([(y - center) / spread, torch.ones(len(y), 1, dtype=y.dtype)], dim=1)
        ridge = white.mT @ white + torch.eye(white.shape[1], dtype=y.dtype)
        solution = torch.linalg.solve(ridge, white.mT @ z)
        skip.weight.copy_(solution[:-1].mT)
        skip.bias.copy_(solution[-1])
        last.weight.mul_(0.1)
        last.bias.zero_()
    encoder = _Encoder(center, spread, first, last, skip)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        z, y = channel.joint(256, generator)
        optimizer.zero_grad()
        (encoder(y) - z).square().sum(-1).mean().backward()
        optimizer.step()
        schedule.step()
    return encoder.requires_grad_(False)


def _linear(fan_in: int, fan_out: int) -> nn.Linear:
    """A Linear in float64 without initial values, and so without a draw from the global generator."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, fan_in, fan_out, dtype=torch.float64)
    return layer


class _Encoder(nn.Module):
    def __init__(
        self, center: Tensor, spread: Tensor, first: nn.Linear, last: nn.Linear, skip: nn.Linear
    ) -> None:
        super().__init__()
        self.center, self.spread = center, spread
        self.first, self.last, self.skip = first, last, skip

    def forward(self, y: Tensor) -> Tensor:
        white = (y - self.center) / self.spread
        output: Tensor = self.skip(white) + self.last(torch.tanh(self.first(white)))
        return output
