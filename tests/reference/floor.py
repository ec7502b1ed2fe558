"""One training step of the hypernetwork posterior, written by hand in plain torch: the floor.

This file is three things. It is the *speed reference*: no step of the library may cost much more than this
arithmetic. It is a *numeric reference*: every draw of noise can be handed in, so a test can compare values
and gradients. And it is a short way to read the method: one page, no Pyro, no `vmap`, no modules.

The target is the smallest network with everything in it: one hidden layer of H ReLU units and a Gaussian
likelihood whose log standard deviation is the last of the D inferred numbers::

    theta = [W1 (H, F) | b1 (H) | w2 (H) | b2 | log_noise]          D = H (F + 2) + 2
    prior: W1 ~ N(0, 2/F)   w2 ~ N(0, 2/H)   biases ~ N(0, 1)   log_noise ~ N(-1.5, 1)

The posterior is ``theta = mu + s * (A phi(z) + sigma * eps)`` with k features ``phi(z) = [trunk(z), z]``.
M members are the leading dimension of every tensor. They never interact: the sum of their losses has every
member's own gradient.

Shapes: M members, S particles, B rows, F inputs, H hidden units, D weights, d noise dims, k features.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn

LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Noise:
    """Everything random in one step; `Noise.draw` makes one, a test may bring its own.

    Attributes:
        z: Noise of the hypernetwork, `(M, S, d)`.
        hidden: Local noise at the hidden pre-activations, `(M, S, B, H)`.
        output: Local noise at the network's output, `(M, S, B)`.
        log_noise: The epsilon of the likelihood's own parameter, `(M, S)`.
    """

    z: Tensor
    hidden: Tensor
    output: Tensor
    log_noise: Tensor

    @classmethod
    def draw(cls, floor: Floor, particles: int, rows: int) -> Noise:
        """Draw standard normal noise for `particles` particles and a batch of `rows` rows."""
        like, lead = floor.mu, (floor.members, particles)
        return cls(
            z=like.new_empty(*lead, floor.noise_dim).normal_(),
            hidden=like.new_empty(*lead, rows, floor.hidden).normal_(),
            output=like.new_empty(*lead, rows).normal_(),
            log_noise=like.new_empty(*lead).normal_(),
        )


class Floor(nn.Module):
    """The posterior's parameters and its ELBO, by hand.

    Args:
        features: F, columns of the table.
        hidden: H, units of the target network.
        noise_dim: d; 0 makes the family mean field.
        trunk: Widths of the trunk's tanh layers; empty makes the family a low-rank Gaussian.
        members: M, posteriors trained side by side.
        sigma: Output noise at the start, in prior units.
        head: Standard deviation of the features' contribution to a weight at the start, in prior units.
        seed: Seed of the initial parameters.

    Example:
        >>> floor = Floor(features=3, hidden=5, noise_dim=2, trunk=(4,))
        >>> x, y = torch.randn(7, 3), torch.randn(7)
        >>> floor.elbo(x, y, n_rows=7, noise=Noise.draw(floor, particles=6, rows=7)).shape
        torch.Size([1])
    """

    def __init__(
        self,
        features: int,
        hidden: int = 50,
        noise_dim: int = 16,
        trunk: tuple[int, ...] = (64, 64),
        members: int = 1,
        sigma: float = 0.05,
        head: float = 0.5,
        seed: int = 0,
    ) -> None:
        """Start the posterior narrow around a freshly initialised network."""
        super().__init__()
        self.features, self.hidden, self.noise_dim, self.members = features, hidden, noise_dim, members
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.empty(members, *shape).normal_(generator=generator)

        def uniform(bound: float, *shape: int) -> Tensor:
            return torch.empty(members, *shape).uniform_(-bound, bound, generator=generator)

        sizes = [hidden * features, hidden, hidden, 1, 1]
        means = [0.0, 0.0, 0.0, 0.0, -1.5]
        scales = [math.sqrt(2 / features), 1.0, math.sqrt(2 / hidden), 1.0, 1.0]
        self.prior_mean: Tensor
        self.scale: Tensor
        counts = torch.tensor(sizes)
        self.register_buffer("prior_mean", torch.tensor(means).repeat_interleave(counts))
        self.register_buffer("scale", torch.tensor(scales).repeat_interleave(counts))
        self.ends = list(accumulate(sizes))

        # mu starts where torch's Linear layers start: uniform within 1/sqrt(fan in), weights and bias alike.
        w, v = 1 / math.sqrt(features), 1 / math.sqrt(hidden)
        start = [uniform(w, sizes[0]), uniform(w, hidden), uniform(v, hidden), uniform(v, 1)]
        self.mu = nn.Parameter(torch.cat([*start, torch.full((members, 1), -1.5)], dim=-1))
        self.log_sigma = nn.Parameter(torch.full_like(self.mu, math.log(sigma)))

        widths = [noise_dim, *trunk] if noise_dim else []
        self.trunk = nn.ParameterList()
        for fan_in, fan_out in pairwise(widths):
            self.trunk.append(normal(fan_out, fan_in) / math.sqrt(fan_in))
            self.trunk.append(torch.zeros(members, 1, fan_out))
        k = noise_dim + (trunk[-1] if trunk and noise_dim else 0)
        self.A = nn.Parameter(normal(self.mu.shape[-1], k) * (head / math.sqrt(max(k, 1))))

    def features_of(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The features phi(z) `(M, S, k)` and their Jacobian `(M, S, k, d)`, by the chain rule."""
        value = z
        identity = torch.eye(self.noise_dim, dtype=z.dtype, device=z.device).expand(*z.shape, -1)
        jacobian: Tensor | None = None
        for weight, bias in zip(self.trunk[::2], self.trunk[1::2], strict=True):
            value = torch.baddbmm(bias, value, weight.mT).tanh()
            slope = (1 - value.square()).unsqueeze(-1)
            inner = weight.unsqueeze(1)
            jacobian = slope * (inner if jacobian is None else inner @ jacobian)
        if jacobian is None:
            return z, identity
        return torch.cat([value, z], dim=-1), torch.cat([jacobian, identity], dim=-2)

    def entropy(self, jacobian: Tensor) -> Tensor:
        """The linearised entropy per particle, `(M, S)`, float64.

        ``D/2 log 2 pi e + sum log(s sigma) + 1/2 logdet(I + J' G J)``, Gram matrix ``G = A' A / sigma^2``.
        G needs one pass over the weights a step, whatever S; no D x d Jacobian is ever formed.
        """
        n_weights = self.mu.shape[-1]
        constant = 0.5 * n_weights * (1 + LOG_2PI) + self.scale.log().sum().double()
        entropy = (constant + self.log_sigma.double().sum(-1)).unsqueeze(-1)
        if self.noise_dim == 0:
            return entropy
        scaled = (self.A * (-self.log_sigma).exp().unsqueeze(-1)).double()
        gram = scaled.mT @ scaled
        j = jacobian.double()
        inner = j.mT @ (gram.unsqueeze(1) @ j)
        inner = inner + torch.eye(self.noise_dim, dtype=inner.dtype, device=inner.device)
        root: Tensor = torch.linalg.cholesky(inner)
        return entropy + root.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def log_prior(self, mean: Tensor) -> Tensor:
        """E over epsilon of log p(theta), in closed form, `(M, S)`; `mean` is E[theta | z], `(M, S, D)`."""
        standard = (mean - self.prior_mean) / self.scale
        variance = (2 * self.log_sigma).exp().sum(-1, keepdim=True)
        constant = 0.5 * self.mu.shape[-1] * LOG_2PI + self.scale.log().sum()
        return -0.5 * (standard.square().sum(-1) + variance) - constant

    def log_likelihood(self, x: Tensor, y: Tensor, mean: Tensor, noise: Noise) -> Tensor:
        """Sum over the batch of log p(y | x, theta), `(M, S)`, by local reparameterisation.

        Given z the weights of a layer are independent normals, so its pre-activations are normals too, and
        the noise is drawn there: less of it, and independent between rows. The variance of the first layer
        is the same for all particles.
        """
        a, b, c, d, _ = self.ends
        (members, draws), rows = mean.shape[:2], x.shape[-2]
        x = x.expand(members, rows, self.features)
        variance = (self.scale * self.log_sigma.exp()).square()

        # First layer: one product per draw; its variance is the same for all of a member's.
        each = mean.flatten(0, 1)
        w1 = each[:, :a].view(-1, self.hidden, self.features)
        inputs = x.unsqueeze(1).expand(-1, draws, -1, -1).reshape(members * draws, rows, self.features)
        centre = torch.baddbmm(each[:, None, a:b], inputs, w1.mT).view(members, draws, rows, self.hidden)
        w1_variance = variance[:, :a].view(members, self.hidden, self.features)
        spread = torch.baddbmm(variance[:, None, a:b], x.square(), w1_variance.mT).sqrt().unsqueeze(1)
        active = torch.addcmul(centre, spread, noise.hidden).relu()

        # Second layer: one output.
        centre = torch.baddbmm(each[:, None, c:d], active.flatten(0, 1), each[:, b:c, None])
        spread = torch.baddbmm(variance[:, None, c:d], active.square().flatten(1, 2), variance[:, b:c, None])
        output = torch.addcmul(
            centre.view_as(noise.output), spread.view_as(noise.output).sqrt(), noise.output
        )

        sigma = self.scale[d] * self.log_sigma[:, d:].exp()
        log_noise = mean[..., d] + sigma * noise.log_noise
        error = (y.expand(self.members, rows).unsqueeze(1) - output).square().sum(-1)
        return -0.5 * error * (-2 * log_noise).exp() - rows * (log_noise + 0.5 * LOG_2PI)

    def elbo(self, x: Tensor, y: Tensor, n_rows: int, noise: Noise, kl_weight: float = 1.0) -> Tensor:
        """The evidence lower bound (linearised entropy) of every member, `(M,)`, mean over particles.

        Args:
            x: Standardised inputs, `(B, F)`, or one batch a member, `(M, B, F)`.
            y: Standardised targets, `(B,)` or `(M, B)`.
            n_rows: N, rows of the whole training set; the batch stands for all of them.
            noise: The step's draws.
            kl_weight: Weight of the KL term; 1 is the plain posterior.
        """
        phi, jacobian = self.features_of(noise.z)
        mean = self.mu.unsqueeze(1) + self.scale * (phi @ self.A.mT)
        fit = (n_rows / x.shape[-2]) * self.log_likelihood(x, y, mean, noise)
        return (fit + kl_weight * (self.log_prior(mean) + self.entropy(jacobian))).mean(-1)

    @torch.no_grad()
    def draw(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw weights from each member's posterior, with all its noise: `(M, n, D)`."""
        z = torch.empty(self.members, n, self.noise_dim).normal_(generator=generator)
        eps = torch.empty(self.members, n, self.mu.shape[-1]).normal_(generator=generator)
        phi, _ = self.features_of(z)
        unit = phi @ self.A.mT + self.log_sigma.exp().unsqueeze(1) * eps
        return self.mu.unsqueeze(1) + self.scale * unit

    @torch.no_grad()
    def predict(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Network outputs `(..., B)` and noise standard deviations `(...)` of weights `(..., D)`."""
        a, b, c, d, _ = self.ends
        w1 = theta[..., :a].reshape(*theta.shape[:-1], self.hidden, self.features)
        active = (x @ w1.mT + theta[..., None, a:b]).relu()
        return (active @ theta[..., b:c].unsqueeze(-1)).squeeze(-1) + theta[..., c:d], theta[..., d].exp()


def schedule(step: int, steps: int, warmup: int = 100, last: float = 0.01) -> float:
    """Learning-rate factor: linear warm-up, then a cosine down to `last`.

    Example:
        >>> [round(schedule(t, 1000), 3) for t in (0, 99, 550, 1000)]
        [0.01, 1.0, 0.505, 0.01]
    """
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return last + (1 - last) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def clip_by_member(parameters: Iterator[nn.Parameter], largest: float) -> None:
    """Scale each member's gradient to at most `largest`: one member's spike leaves the others alone."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.stack([g.flatten(1).square().sum(-1) for g in gradients]).sum(0).sqrt()
    factor = (largest / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *[1] * (gradient.dim() - 1)))


def train(
    floor: Floor,
    x: Tensor,
    y: Tensor,
    steps: int = 2000,
    batch_size: int = 128,
    particles: int = 8,
    learning_rate: float = 1e-2,
    temperature: float = 1.0,
    anneal: float = 0.3,
    clip: float = 10.0,
) -> list[float]:
    """Train in place; returns every step's loss, -ELBO/N averaged over members.

    Batches walk through a fresh permutation each epoch; the KL weight grows from 0 to `temperature` over the
    first `anneal` of the steps.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> floor, x = Floor(features=2, hidden=4, noise_dim=2, trunk=(4,)), torch.randn(64, 2)
        >>> losses = train(floor, x, x.sum(-1), steps=300, batch_size=32)
        >>> losses[-1] < losses[0]
        True
    """
    n_rows = len(y)
    batch_size = min(batch_size, n_rows)
    optimizer = torch.optim.Adam(floor.parameters(), lr=learning_rate, fused=True)
    losses: list[float] = []
    order = torch.randperm(n_rows)
    start = 0
    for step in range(steps):
        if start + batch_size > n_rows:
            order, start = torch.randperm(n_rows), 0
        rows = order[start : start + batch_size]
        start += batch_size
        weight = temperature * min(1.0, (step + 1) / max(1.0, anneal * steps))
        noise = Noise.draw(floor, particles, len(rows))
        loss = -floor.elbo(x[rows], y[rows], n_rows, noise, weight) / n_rows
        optimizer.zero_grad()
        torch.autograd.backward(loss.sum())
        clip_by_member(floor.parameters(), clip)
        optimizer.param_groups[0]["lr"] = learning_rate * schedule(step, steps)
        optimizer.step()
        losses.append(loss.mean().item())
    return losses
