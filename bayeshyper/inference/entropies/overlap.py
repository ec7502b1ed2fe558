"""How likely another noise would have made the same weights: what bounds on the entropy are made of."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from bayeshyper.hypernets import Hypernetwork, LinearHead, WeightDraw

__all__ = ["LinearOverlap", "Overlap", "WeightOverlap", "overlap_of"]

# Other noises' weights that are held at once: 16 MB of float32.
NUMBERS_AT_ONCE = 2**22


class Overlap(Protocol):
    """log q(θ | z′) − log q(θ | z) for a draw's weights θ, the z they were made with, and any other z′."""

    def at(self, z: Tensor) -> Tensor:
        """The overlap with K other noises, ``(M, K, R)`` for z′ ``(M, K, R, d)`` or ``(M, K, 1, d)``."""
        ...


def overlap_of(hypernetwork: Hypernetwork, draw: WeightDraw) -> Overlap:
    """The overlap of a draw, by the shortest way that its head allows."""
    kind = LinearOverlap if hypernetwork.linear else WeightOverlap
    return kind(hypernetwork, draw)


class LinearOverlap:
    """The overlap where weights are linear in the features, from k numbers of θ.

    With M = AᵀΣ⁻¹A, n = AᵀΣ⁻¹(σ ∘ ε) and δ = φ(z′) − φ(z),

        log q(θ | z′) − log q(θ | z) = −½‖ε − Σ^-½ A δ‖² + ½‖ε‖² = nᵀδ − ½ δᵀM δ

    so another noise costs O(k²), whatever the number of weights. What θ tells of z is the *statistic*
    t = AᵀΣ⁻¹(θ − μ)/s = Mφ(z) + n alone: whatever guesses z from θ may see t, and never z itself.

    Args:
        hypernetwork: The posterior.
        draw: R draws of each member.

    Attributes:
        gram: M, ``(M, k, k)``.
        noise: n, ``(M, R, k)``.

    Raises:
        ValueError: A head that is not linear in the features has no M.
    """

    def __init__(self, hypernetwork: Hypernetwork, draw: WeightDraw) -> None:
        head, precision = hypernetwork.head, hypernetwork.output_precision
        if not (isinstance(head, LinearHead) and hypernetwork.linear):
            raise ValueError(
                f"Got the head {hypernetwork.settings.head!r} with {hypernetwork.settings.noise!r} noise, "
                "expected weights that are linear in the features, and noise that does not vary; for others "
                "there is WeightOverlap."
            )
        self._trunk, self._context = hypernetwork.trunk, draw.context
        self._features = draw.features.double()
        self._dtype = draw.z.dtype
        self.gram = head.gram(precision)
        # From σ ∘ ε alone: through (θ − μ)/s, which is the same in the end, digits of n would be lost.
        self.noise = head.project((draw.weights - draw.mean) / hypernetwork.unit, precision)

    @property
    def statistic(self) -> Tensor:
        """t, ``(M, R, k)``: all that the weights tell of their noise."""
        return self.noise + self._features @ self.gram

    def at(self, z: Tensor) -> Tensor:
        """The overlap with K other noises, ``(M, K, R)`` for z′ ``(M, K, R, d)`` or ``(M, K, 1, d)``."""
        z, context = _in_context(z.to(self._dtype), self._context)
        features = self._trunk(z.flatten(1, 2), context).double()
        difference = features.reshape(*z.shape[:3], self._features.shape[-1]) - self._features.unsqueeze(1)
        linear = (difference * self.noise.unsqueeze(1)).sum(-1)
        quadratic = ((difference.flatten(1, 2) @ self.gram).reshape(difference.shape) * difference).sum(-1)
        overlap: Tensor = linear - 0.5 * quadratic
        return overlap


class WeightOverlap:
    """The overlap for any head and noise: means and scales at every other noise themselves, D numbers each.

        log q(θ | z′) − log q(θ | z) = −½‖ε′‖² − Σ_i log σ_i(z′) + ½‖ε‖² + Σ_i log σ_i(z),
        ε′ = ((θ − μ)/s − g(z′)) / σ(z′)

    Args:
        hypernetwork: The posterior.
        draw: R draws of each member.
    """

    def __init__(self, hypernetwork: Hypernetwork, draw: WeightDraw) -> None:
        self._hypernetwork, self._context, self._dtype = hypernetwork, draw.context, draw.z.dtype
        self._here = hypernetwork.offsets(draw.features)
        self._scale = hypernetwork.noise_at(draw.features)
        self._noise = (draw.weights - draw.mean) / draw.scale

    def at(self, z: Tensor) -> Tensor:
        """The overlap with K other noises, ``(M, K, R)`` for z′ ``(M, K, R, d)`` or ``(M, K, 1, d)``."""
        at_once = max(1, NUMBERS_AT_ONCE // self._noise.numel())
        return torch.cat([self._at(part) for part in z.to(self._dtype).split(at_once, dim=1)], dim=1)

    def _at(self, z: Tensor) -> Tensor:
        z, context = _in_context(z, self._context)
        net = self._hypernetwork
        shape = (*z.shape[:3], net.size)
        features = net.trunk(z.flatten(1, 2), context)
        means, scales = net.offsets(features).reshape(shape), net.noise_at(features)
        scales = scales.reshape(shape) if net.varying is not None else scales.unsqueeze(1)
        here = self._scale.unsqueeze(1)
        ratio = here / scales
        difference = (means - self._here.unsqueeze(1)) / here
        # ε′ = (ε − δ) σ/σ′; the squares' difference as a product, in which no digits are lost.
        noise = self._noise.unsqueeze(1)
        moved = (noise - difference) * ratio
        overlap = 0.5 * (noise - moved) * (noise + moved)
        if net.varying is not None:
            overlap = overlap + ratio.log()
        return overlap.sum(-1, dtype=torch.float64)


def _in_context(z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """K other noises for each draw, and each draw's own context K times over, ``(M, K·R, C)``."""
    if context is None:
        return z, None
    return z.expand(-1, -1, context.shape[1], -1), context.repeat(1, z.shape[1], 1)
