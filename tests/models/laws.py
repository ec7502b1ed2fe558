"""Random laws of weight noise, how to tell two laws apart, and networks that share weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bayeshyper.models import Conditional, Target

# How many standard errors a Monte-Carlo estimate may be off: with some hundred comparisons in a file,
# a right answer fails once in about 10^4 runs of new seeds, and the seeds are fixed.
LIMIT = 5.0


def conditional_for(target: Target, groups: int = 1, draws: int = 1, noise: float = 0.3) -> Conditional:
    """A law of its own per group, the same for all draws of the group, in float64."""
    mean = torch.randn(groups, 1, target.spec.size, dtype=torch.float64).expand(-1, draws, -1)
    scale = noise * (0.5 + torch.rand(groups, 1, target.spec.size, dtype=torch.float64))
    return Conditional(mean, scale)


def weights_from(law: Conditional) -> Tensor:
    return (law.mean + law.scale * torch.randn_like(law.mean)).flatten(0, 1)


def assert_same_law(one: Tensor, other: Tensor) -> None:
    """Means and variances over the first dimension agree within their Monte-Carlo errors."""

    def estimates(sample: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        n = len(sample)
        centred = sample - sample.mean(0)
        variance = centred.square().mean(0)
        fourth = centred.pow(4).mean(0)
        # squared standard errors of a mean and of a variance
        return sample.mean(0), variance / n, variance, (fourth - variance.square()) / n

    (m1, em1, v1, ev1), (m2, em2, v2, ev2) = estimates(one), estimates(other)
    assert ((m1 - m2).abs() <= LIMIT * (em1 + em2).sqrt() + 1e-12).all()
    assert ((v1 - v2).abs() <= LIMIT * (ev1 + ev2).sqrt() + 1e-12).all()


class Reused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.again = nn.Linear(3, 3)
        self.last = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.last(self.again(torch.tanh(self.again(x))))
        return output


class Shared(nn.Module):
    """Two Linears with one matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(3, 3), nn.Linear(3, 3)
        self.two.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.two(torch.tanh(self.one(x)))
        return output


class SharedBias(Shared):
    """Two Linears with one bias."""

    def __init__(self) -> None:
        super().__init__()
        self.two = nn.Linear(3, 3)
        self.two.bias = self.one.bias


class Pooled(nn.Module):
    """One Linear over the positions of a sequence ``(N, T, 3)``, whose outputs are averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.each = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.each(x).mean(1)
        return output


class Flattened(Pooled):
    """The same function; the Linear sees ``(N·T, 3)``, and its rows are not the data's."""

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.each(x.flatten(0, 1)).reshape(len(x), -1, 1).mean(1)
        return output


class Stepwise(nn.Module):
    """A recurrent network written by hand: its Linears see 2-D inputs, once per step."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.on = nn.Linear(3, 2), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(len(x), 2, dtype=x.dtype)
        for step in range(x.shape[1]):
            h = torch.tanh(self.into(x[:, step]) + self.on(h))
        return h
