"""Density ratio estimation: a network that tells the posterior's draws from those of a reference."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from bayeshyper.hypernets import Hypernetwork, WeightDraw

from .discriminator import Discriminator
from .estimator import Entropy, conditional_log_density

__all__ = ["PriorContrastiveEntropy"]

# How much of the adaptive reference's old place is kept at each step.
MEMORY = 0.9


class PriorContrastiveEntropy(Entropy):
    """A discriminator's log-odds for log q(θ)/r(θ) (AVB, Mescheder et al. 2017, arXiv 1701.04722).

        I(θ; z) = E_z KL(q(θ | z) ‖ r) − KL(q ‖ r),   KL(q ‖ r) ≈ E_q[T(θ)], exact for T = log q/r

    for any reference r. The first term is one of Normals, in closed form; T is trained to tell draws of q
    from draws of r by logistic regression. With ``contrast = "prior"`` (Huszár 2017, arXiv 1702.08235) r has
    the prior's scale, around the mean weights: in high dimension q and r are then so far apart that almost
    any T separates them, and learns no more. With ``"adaptive"`` (AVB, section 3.3) r is the Gaussian of
    independent weights that follows q's own means and variances, and correlations and shape are all that T
    has to find.

    T takes Adam steps *inside* the estimator, on fresh draws, before it scores others; it does so in training
    mode while gradients are on, and belongs to no other optimiser. A T that has not converged misses part of
    KL(q ‖ r), and the entropy comes out too high.

    Args:
        hypernetwork: What it will be asked about.
        contrast: What q is told apart from.
        hidden: T's projections, and its units.
        draws: Draws of q, and as many of r, for each of T's steps.
        inner_steps: T's steps for each of the posterior's.
        learning_rate: T's.

    Example:
        >>> net = Hypernetwork(torch.zeros(1, 2), torch.ones(2))
        >>> PriorContrastiveEntropy(net)(net, net.draw(4)).shape
        torch.Size([1, 4])
    """

    estimates = "the entropy, by the log-odds of a discriminator"
    direction = "no bound: above where the discriminator lags behind"
    cost = "O(n D h) for n draws and h units, twice"
    pointwise = True

    center: Tensor
    variance: Tensor
    begun: Tensor

    def __init__(
        self,
        hypernetwork: Hypernetwork,
        *,
        contrast: Literal["adaptive", "prior"] = "adaptive",
        hidden: int = 64,
        draws: int = 64,
        inner_steps: int = 1,
        learning_rate: float = 2e-3,
    ) -> None:
        super().__init__(hypernetwork)
        if contrast not in ("adaptive", "prior"):
            raise ValueError(f"Got contrast {contrast!r}, expected 'adaptive' or 'prior'.")
        positive = {"hidden": hidden, "draws": draws, "inner_steps": inner_steps}
        for name, value in {**positive, "learning_rate": learning_rate}.items():
            if not value > 0:
                raise ValueError(f"Got {name} = {value}, expected a positive number.")
        self.contrast = contrast
        self.draws = draws
        self.inner_steps = inner_steps
        self.discriminator = Discriminator(hypernetwork.mean.detach(), hidden=hidden)
        learned = self.discriminator.parameters()
        self.optimizer: torch.optim.Optimizer = torch.optim.Adam(learned, lr=learning_rate)
        self.discriminator.requires_grad_(False)  # but in `learn`: no other optimiser may find it
        # Of the weights' means given z, around the mean weights and in prior units; the noise is known.
        self.register_buffer("center", torch.zeros_like(hypernetwork.mean))
        self.register_buffer("variance", torch.zeros_like(hypernetwork.mean))
        self.register_buffer("begun", torch.zeros(()))

    def information(self, hypernetwork: Hypernetwork, draw: WeightDraw) -> Tensor:
        """KL(q(θ | z) ‖ r) − T(θ), ``(M, R)``, after T's steps."""
        center, scale, log_odds = self._compare(hypernetwork, draw)
        ratio = (draw.scale / scale).square().double()
        offset = ((draw.mean - center) / scale).square().double()
        divergence = 0.5 * (ratio - 1.0 - ratio.log() + offset).sum(-1)
        return divergence - log_odds

    def log_density(self, hypernetwork: Hypernetwork, draw: WeightDraw) -> Tensor:
        """log r(θ) + T(θ) at each draw, ``(M, R)``, after T's steps."""
        if hypernetwork.trunk.noise_dim == 0:
            return conditional_log_density(hypernetwork, draw)
        center, scale, log_odds = self._compare(hypernetwork, draw)
        distance = ((draw.weights - center) / scale).square().sum(-1, dtype=torch.float64)
        volume = scale.log().sum(-1, dtype=torch.float64) + 0.5 * hypernetwork.size * math.log(2 * math.pi)
        return log_odds - 0.5 * distance - volume

    def _compare(self, hypernetwork: Hypernetwork, draw: WeightDraw) -> tuple[Tensor, Tensor, Tensor]:
        """The reference's means and standard deviations, and T(θ), after T's steps."""
        if self.training and torch.is_grad_enabled():
            self.learn(hypernetwork, draw.generator)
        center, scale = self.reference(hypernetwork)
        log_odds: Tensor = self.discriminator((draw.weights - center) / scale).double()
        return center, scale, log_odds

    @torch.no_grad()
    def reference(self, hypernetwork: Hypernetwork) -> tuple[Tensor, Tensor]:
        """Means and standard deviations of r, each ``(M, 1, D)``."""
        unit = hypernetwork.unit
        if self.contrast == "prior":
            return hypernetwork.mean.unsqueeze(1).clone(), unit.expand(self.center.shape).unsqueeze(1)
        spread = (hypernetwork.output_noise.square() + self.variance).sqrt()
        return (hypernetwork.mean + unit * self.center).unsqueeze(1), (unit * spread).unsqueeze(1)

    def learn(self, hypernetwork: Hypernetwork, generator: torch.Generator | None = None) -> None:
        """Let the reference follow q, and T take its steps."""
        self.discriminator.requires_grad_(True)
        try:
            for _ in range(self.inner_steps):
                with torch.no_grad():
                    draw = hypernetwork.draw(self.draws, generator=generator, with_jacobian=False)
                self._follow((draw.mean - hypernetwork.mean.detach().unsqueeze(1)) / hypernetwork.unit)
                center, scale = self.reference(hypernetwork)
                ours = (draw.weights - center) / scale
                theirs = torch.randn(ours.shape, generator=generator, dtype=ours.dtype, device=ours.device)
                misses = softplus(-self.discriminator(ours)) + softplus(self.discriminator(theirs))
                self.optimizer.zero_grad()
                misses.mean(1).sum().backward()
                self.optimizer.step()
        finally:
            self.discriminator.requires_grad_(False)

    @torch.no_grad()
    def _follow(self, means: Tensor) -> None:
        """Move the reference's moments towards those of fresh draws, with no bias towards where it began."""
        self.begun.mul_(MEMORY).add_(1.0 - MEMORY)
        share = (1.0 - MEMORY) / self.begun
        self.center.lerp_(means.mean(1), share)
        self.variance.lerp_((means - self.center.unsqueeze(1)).square().mean(1), share)
