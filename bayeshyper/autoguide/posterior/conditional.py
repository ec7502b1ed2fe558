"""The implicit posterior of flat latents given features of data: one for each of their values."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import pyro.poutine as poutine
import torch
from torch import Tensor, nn

from bayeshyper.hypernets import Trunk
from bayeshyper.inference import ImplicitDraw

from .latent import EntropyChoice, LatentPosterior
from .start import StartingGaussian

__all__ = ["ConditionalDraw", "ConditionalPosterior", "GivenContexts"]

# |l(c)| is less: exponentials of more overflow.
FURTHEST = 8.0
# Draws that are made at once where many are asked for.
AT_ONCE = 2**18


class ConditionalPosterior(nn.Module):
    """q(u | c): a `LatentPosterior` that features c of data move, widen and bend.

        u = m + m(c) + exp(l(c)) ∘ F (I + T) w,    w = μ + Aφ(z, c) + σ(z, c) ∘ ε

    m(c), l(c) and what the trunk's first layer sees of c are linear in the features ψ(c) = (h(c), c) of a
    tanh network. At one c this is an ordinary `LatentPosterior` (`at`). At the start nothing depends on c.

    Args:
        starts: Where each member starts.
        features: C.
        noise_dim: d.
        hidden: Units of the tanh layers of the trunk, and of those of c's network.
        entropy: How draws are scored; it may make no draws of its own.

    Attributes:
        base: What c moves.
        network: ψ.

    Example:
        >>> start = StartingGaussian(torch.zeros(2))
        >>> posterior = ConditionalPosterior([start], 3, noise_dim=2, hidden=(8,), entropy="hierarchical")
        >>> posterior.given(torch.randn(5, 3)).sample(10).shape  # of each of five posteriors
        torch.Size([10, 5, 2])
        >>> posterior.at(torch.randn(3)).sample(10).shape
        torch.Size([10, 2])
    """

    def __init__(
        self,
        starts: Sequence[StartingGaussian],
        features: int,
        *,
        noise_dim: int,
        hidden: Sequence[int],
        entropy: EntropyChoice,
    ) -> None:
        super().__init__()
        like, members = starts[0].mean, len(starts)
        # Stored as they are, unlike the base's matrices (`steps`): many data are fitted, as by any network.
        self.network = Trunk(features, hidden=hidden, members=members).to(like)
        width = self.network.features
        self.base = LatentPosterior(
            starts, noise_dim=noise_dim, hidden=hidden, entropy=entropy, context=width
        )
        self.matrix = nn.Parameter(like.new_zeros(members, 2 * self.size, width))

    @property
    def size(self) -> int:
        """D."""
        return self.base.size

    @property
    def features(self) -> int:
        """C."""
        return self.network.noise_dim

    def at(self, context: Tensor) -> LatentPosterior:
        """The posterior at one context ``(C,)``, a copy that knows of no other."""
        with torch.no_grad():
            seen = self.network(context.expand(self.base.members, 1, -1))
            shift, log_scale = self._moves(seen)
        alone = copy.deepcopy(self.base)
        alone.fix_context(seen, shift.squeeze(1), log_scale.squeeze(1))
        return alone

    def given(self, contexts: Tensor) -> GivenContexts:
        """The posteriors given each of the contexts ``(*batch_shape, C)``, to draw from."""
        return GivenContexts(self, contexts)

    def draw(
        self, contexts: Tensor, *, scored: bool, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """One draw given each of n contexts, differentiably.

        Args:
            contexts: ``(n, C)``.
            scored: Whether the log densities will be asked for; else they are 0.
            generator: Where the noise comes from; None is torch's global generator.

        Returns:
            ``(n, D)``, and the log density of each draw, ``(n,)``.
        """
        rows, places = self._shared_out(len(contexts), generator)
        seen = self.network(contexts[rows])
        shift, log_scale = self._moves(seen)
        net, frame = self.base.hypernetwork, self.base.frame
        draw = net.draw(rows.shape[1], generator=generator, with_jacobian=scored, context=seen)
        center = frame.location.unsqueeze(1)
        moved = center + shift + log_scale.exp() * (frame(draw.weights) - center)
        latents = moved.flatten(0, 1)[places]
        if not scored:
            return latents, latents.new_zeros(len(latents))
        log_density = -self.base.surprise(net, draw) - frame.log_volume.unsqueeze(1) - log_scale.sum(-1)
        return latents, log_density.flatten()[places]

    def _moves(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """m(c) and l(c), ``(M, R, D)`` each, for ψ(c) ``(M, R, k)``."""
        shift, log_scale = (seen @ self.matrix.mT).chunk(2, dim=-1)
        return shift, FURTHEST * torch.tanh(log_scale / FURTHEST)

    def _shared_out(self, n: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Which rows each member draws, ``(M, R)``, and where in it each row's draw then is, ``(n,)``.

        Every row is equally likely to be any member's, and they get equally many, as nearly as n allows.
        """
        members, device = self.base.members, self.matrix.device
        if members == 1:
            rows = torch.arange(n, device=device)
            return rows.unsqueeze(0), rows
        draws = math.ceil(n / members)
        places = torch.randperm(members * draws, generator=generator, device=device)[:n]
        rows = torch.zeros(members * draws, dtype=torch.long, device=device)
        rows[places] = torch.arange(n, device=device)
        return rows.reshape(members, draws), places


@dataclass(frozen=True)
class GivenContexts:
    """A `ConditionalPosterior` given each of many contexts, to draw from as from a `LatentPosterior`.

    Args:
        posterior: What is drawn from.
        contexts: ``(*batch_shape, C)``.
    """

    posterior: ConditionalPosterior
    contexts: Tensor

    @property
    def size(self) -> int:
        """How many numbers a draw given each context has, all together."""
        return math.prod(self.contexts.shape[:-1]) * self.posterior.size

    def distribution(self) -> ConditionalDraw:
        """A Pyro distribution of u given each context, which knows the log density of its own draw."""
        return ConditionalDraw(self.posterior, self.contexts)

    def only(self) -> LatentPosterior:
        """The posterior given the one context that there is, as `ConditionalPosterior.at` has it.

        Raises:
            ValueError: There are more.
        """
        contexts = self.contexts.reshape(-1, self.posterior.features)
        if len(contexts) != 1:
            raise ValueError(
                f"Got a context of {len(contexts)} rows, expected one: each row has a posterior of its own. "
                "Give the arguments of one row alone."
            )
        return self.posterior.at(contexts[0])

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``(n, *batch_shape, D)`` latents, n given each context."""
        rows = self.contexts.expand(n, *self.contexts.shape).flatten(0, -2)
        parts = [
            self.posterior.draw(part, scored=False, generator=generator)[0] for part in rows.split(AT_ONCE)
        ]
        return torch.cat(parts).reshape(n, *self.contexts.shape[:-1], self.posterior.size)


class ConditionalDraw(ImplicitDraw):
    """Draws latents given features of data, each in its own; knows the log density of its own draw alone.

    Args:
        posterior: What is drawn from.
        contexts: ``(*batch_shape, C)``.
        batch_shape: Of the draws, which the contexts broadcast to; None for the contexts' own.
    """

    def __init__(
        self, posterior: ConditionalPosterior, contexts: Tensor, batch_shape: torch.Size | None = None
    ) -> None:
        base = posterior.base
        own = contexts.shape[:-1] if batch_shape is None else batch_shape
        super().__init__(base.hypernetwork, base.surprise, local=False, batch_shape=own)
        self.posterior, self.contexts = posterior, contexts

    def expand(
        self, batch_shape: torch.Size | list[int] | tuple[int, ...], _instance: ImplicitDraw | None = None
    ) -> ConditionalDraw:
        """An undrawn copy in more plates."""
        return ConditionalDraw(self.posterior, self.contexts, torch.Size(batch_shape))

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draw ``(*sample_shape, *batch_shape, D)``."""
        shape = torch.Size(sample_shape) + self.batch_shape
        rows = self.contexts.expand(*shape, -1).reshape(-1, self.posterior.features)
        scored = poutine.get_mask() is not False  # under Predictive nobody asks for the density
        latents, log_density = self.posterior.draw(rows, scored=scored)
        self._value, self._log_density = latents.reshape(*shape, -1), log_density.reshape(shape)
        return self._value
