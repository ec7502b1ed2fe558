"""A network that scores weight vectors: the log-odds of one source against another."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

__all__ = ["Discriminator"]


class Discriminator(nn.Module):
    """T: ``(M, n, D)`` to ``(M, n)``: projections and their squares, then smooth units; 0 at first.

    The squares are there because two Gaussians' log-odds are quadratic. Members are independent.

    Args:
        like: ``(M, D)``: gives sizes, type and device.
        hidden: Projections, and units.
    """

    def __init__(self, like: Tensor, *, hidden: int) -> None:
        super().__init__()
        members, size = like.shape
        generator = torch.Generator(device=like.device).manual_seed(0)  # nobody else's random state moves

        def drawn(fan_out: int, fan_in: int) -> nn.Parameter:
            weight = like.new_empty(members, fan_out, fan_in)
            return nn.Parameter(weight.normal_(0.0, 1.0 / math.sqrt(fan_in), generator=generator))

        self.first, self.second = drawn(hidden, size), drawn(hidden, 2 * hidden)
        self.last = nn.Parameter(like.new_zeros(members, 1, hidden))
        self.biases = nn.ParameterList(nn.Parameter(like.new_zeros(members, 1, hidden)) for _ in range(2))
        self.constant = nn.Parameter(like.new_zeros(members, 1))

    def forward(self, x: Tensor) -> Tensor:
        """The log-odds, ``(M, n)`` for ``(M, n, D)``."""
        h = torch.baddbmm(self.biases[0], x, self.first.mT)
        h = silu(torch.baddbmm(self.biases[1], torch.cat([h, h.square()], dim=-1), self.second.mT))
        return (h @ self.last.mT).squeeze(-1) + self.constant
