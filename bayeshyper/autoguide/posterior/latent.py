"""The implicit posterior of flat latents: a hypernetwork in a frame, with what scores its draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bayeshyper.hypernets import Hypernetwork, HypernetworkSettings, Trunk, WeightDraw
from bayeshyper.inference import ImplicitDraw
from bayeshyper.inference.entropies import ENTROPIES, Entropy, EntropyEstimator
from bayeshyper.inference.entropies.recognition import Recognition

from .frame import Frame, Shift
from .start import StartingGaussian
from .steps import step_per_input, step_per_scale

__all__ = ["CORRELATED", "EntropyChoice", "LatentPosterior"]

EntropyChoice = str | Callable[[Hypernetwork], EntropyEstimator]
"""A name in `ENTROPIES`, or what makes an estimator for a hypernetwork: a class, or a partial of one."""

# Up to so many latents, their correlations are learned one by one: D² numbers a member.
CORRELATED = 256
# σ at the start where the noise z moves a coordinate as well: most of its unit scale is z's.
NARROW = 0.3
# What the trunk's MLP adds to each coordinate at the start.
BEND = 0.1


class LatentPosterior(nn.Module):
    """q(u) of flat latents u ``(D,)``: a hypernetwork's weights w, in each member's `Frame`.

        u = m + F (I + T) w,    w = μ + Aφ(z) + σ(z) ∘ ε

    At the start w is standard Normal but for a small bend, so q(u) is the starting Gaussian: the noise z
    moves the first coordinates, which are those of the sites that the model draws first, and ε all others.

    Args:
        starts: Where each member starts.
        noise_dim: d.
        hidden: Units of the trunk's tanh layers.
        entropy: How draws are scored.
        context: How many features of data the trunk sees beside the noise (`ConditionalPosterior`).

    Attributes:
        hypernetwork: Makes w.
        frame: w to u.
        entropy: The estimator.
    """

    def __init__(
        self,
        starts: Sequence[StartingGaussian],
        *,
        noise_dim: int,
        hidden: Sequence[int],
        entropy: EntropyChoice,
        context: int = 0,
    ) -> None:
        super().__init__()
        self._made_with = {
            "noise_dim": noise_dim,
            "hidden": tuple(hidden),
            "entropy": entropy,
            "context": context,
        }
        like = starts[0].mean
        settings = HypernetworkSettings(noise_dim=noise_dim, hidden=tuple(hidden), noise="varying")
        zero = like.new_zeros(len(starts), len(like))
        self.hypernetwork = Hypernetwork(zero, torch.ones_like(like), settings, context=context)
        self._start_at([start.scale for start in starts])
        self.frame: Frame | Shift = Frame(starts) if len(like) <= CORRELATED else Shift(starts)
        self.entropy = _entropy(entropy, self.hypernetwork)
        step_per_input(self)
        step_per_scale(self.hypernetwork, "log_output_noise")

    def __reduce__(self) -> tuple[Callable[..., LatentPosterior], tuple[Any, ...]]:
        """Made again and given its state: torch pickles no module with matrices in other units."""
        starts = [StartingGaussian(mean) for mean in self.frame.location]
        return _made_again, (starts, self._made_with, self.state_dict(), self.training)

    @torch.no_grad()
    def fix_context(self, context: Tensor, shift: Tensor, log_scale: Tensor) -> None:
        """Become the posterior at one context: ``(M, 1, C)``, and what it does to the frame, ``(M, D)``."""
        for part in self.modules():
            if isinstance(part, Trunk | Recognition):
                part.fix_context(context)
        self.frame.move(shift, log_scale)
        self._made_with["context"] = 0

    @property
    def size(self) -> int:
        """D."""
        return self.hypernetwork.size

    @property
    def members(self) -> int:
        """M."""
        return self.hypernetwork.members

    def distribution(self) -> ImplicitDraw:
        """A Pyro distribution of u, which knows the log density of its own draw."""
        return ImplicitDraw(self.hypernetwork, self.surprise, local=False, frame=self.frame)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``(n, D)`` latents from the mixture of members, in random order."""
        draw = ImplicitDraw(self.hypernetwork, _unscored, generator=generator, local=False, frame=self.frame)
        latents = draw.rsample((n,))
        if self.members == 1:
            return latents
        return latents[torch.randperm(n, generator=generator, device=latents.device)]

    def surprise(self, hypernetwork: Hypernetwork, draw: WeightDraw) -> Tensor:
        """−log q(w) at each draw, where the estimator knows it; else its estimate of the entropy."""
        if isinstance(self.entropy, Entropy) and self.entropy.pointwise:
            return -self.entropy.log_density(hypernetwork, draw).to(draw.weights.dtype)
        return self.entropy(hypernetwork, draw)

    @torch.no_grad()
    def _start_at(self, scales: Sequence[float]) -> None:
        """Give each member's w its scale: in its first d numbers mostly by the noise z, else by ε."""
        net = self.hypernetwork
        d, features = net.trunk.noise_dim, net.trunk.features
        moved = torch.arange(min(d, net.size))
        noise, matrix = (
            net.mean.new_ones(net.members, net.size),
            net.mean.new_zeros(net.members, net.size, features),
        )
        noise[:, moved] = NARROW
        if features > d:
            matrix[..., : features - d].normal_(0.0, BEND / math.sqrt(features - d))
        matrix[:, moved, features - d + moved] = math.sqrt(1.0 - NARROW**2)
        scale = net.mean.new_tensor(scales).unsqueeze(-1)
        net.log_output_noise.copy_((scale * noise).log())
        net.head.start_at(scale.unsqueeze(-1) * matrix)  # type: ignore[operator]


def _made_again(
    starts: Sequence[StartingGaussian], settings: dict[str, Any], state: dict[str, Any], training: bool
) -> LatentPosterior:
    with torch.random.fork_rng(devices=[]):  # a copy moves nobody's random state
        posterior = LatentPosterior(starts, **settings)
    posterior.load_state_dict(state)
    return posterior.train(training)


def _entropy(choice: EntropyChoice, hypernetwork: Hypernetwork) -> EntropyEstimator:
    if not isinstance(choice, str):
        return choice(hypernetwork)
    if choice not in ENTROPIES:
        raise ValueError(f"Got entropy = {choice!r}, expected one of {', '.join(ENTROPIES)}, or a class.")
    return ENTROPIES[choice](hypernetwork)


def _unscored(hypernetwork: Hypernetwork, draw: WeightDraw) -> Tensor:
    return draw.weights.new_zeros(draw.weights.shape[:2])
