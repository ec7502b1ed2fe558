"""A deep ensemble (Lakshminarayanan et al. 2017) in plain torch: the peer to beat.

Five networks from different starts, each with one learned noise scale, each stopped by the log likelihood
of its own tenth of the training rows; their predictions are an equal mixture.
"""

from __future__ import annotations

import copy
import itertools
from typing import Any

import torch
from interface import Array, Fit, GaussianMixture, Setup, Standardized
from torch import Tensor, nn

MEMBERS = 5
BATCH = 100
LEARNING_RATE = 1e-2
HELD_OUT = 0.1
PATIENCE = 50  # epochs without a better held-out score
MOST_EPOCHS = 2000


class Member(nn.Module):
    """An MLP with a noise scale of its own."""

    def __init__(self, features: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        widths = [features, *hidden]
        layers: list[nn.Module] = []
        for fan_in, fan_out in itertools.pairwise(widths):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], 1))
        self.log_scale = nn.Parameter(torch.tensor(-1.0))

    def forward(self, x: Tensor) -> Tensor:
        """The mean of each row, ``(N,)``."""
        return self.layers(x)[:, 0]

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """The mean negative log likelihood, but for its constant."""
        standard = (y - self(x)) * torch.exp(-self.log_scale)
        return 0.5 * standard.square().mean() + self.log_scale


def train(member: Member, x: Tensor, y: Tensor, generator: torch.Generator) -> int:
    """Train in place up to the best held-out score; returns the steps taken."""
    order = torch.randperm(len(x), generator=generator)
    held, kept = order.tensor_split([max(1, round(HELD_OUT * len(x)))])
    x_held, y_held, x, y = x[held], y[held], x[kept], y[kept]
    optimizer = torch.optim.Adam(member.parameters(), lr=LEARNING_RATE, fused=True)
    best, state, best_epoch, steps = float("inf"), copy.deepcopy(member.state_dict()), 0, 0
    for epoch in range(MOST_EPOCHS):
        for rows in torch.randperm(len(x), generator=generator).split(BATCH):
            optimizer.zero_grad()
            member.loss(x[rows], y[rows]).backward()
            optimizer.step()
            steps += 1
        with torch.no_grad():
            score = member.loss(x_held, y_held).item()
        if score < best:
            best, state, best_epoch = score, copy.deepcopy(member.state_dict()), epoch
        elif epoch - best_epoch >= PATIENCE:
            break
    member.load_state_dict(state)
    return steps


def deep_ensemble(X: Any, y: Array, seed: int, setup: Setup) -> Fit:
    """Train the members one after the other."""
    data = Standardized(X, y)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    members = [Member(data.x.shape[1], setup.hidden) for _ in range(MEMBERS)]
    steps = sum(train(member, data.x, data.y, generator) for member in members)

    @torch.no_grad()
    def predictive(X_new: Any) -> GaussianMixture:
        x = data.encode(X_new)
        scales = torch.stack([member.log_scale.exp() for member in members])
        return data.mixture(torch.stack([member(x) for member in members]), scales[:, None])

    return Fit(predictive, steps)
