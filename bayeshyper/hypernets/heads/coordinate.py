"""A coordinate head: a small network that is asked for one weight at a time, by where it stands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bayeshyper.models import WeightPiece, WeightSpec

from .base import Head

__all__ = ["CoordinateHead"]

# Positions are seen through sines and cosines of so many octaves: a network sees fine patterns no other way.
OCTAVES = 3
# So many dimensions of a tensor have positions (output, input, a kernel's two); further ones count as one.
AXES = 4


class CoordinateHead(Head, name="coordinate"):
    """w = vᵀ tanh(P c(position) + L_ℓ + Q φ): a CPPN of a weight's position, its tensor and the features.

    HyperNEAT's indirect encoding (Stanley, D'Ambrosio & Gauci 2009): c holds the positions of the units (and
    of the kernel's cell) that a weight joins. Its number of parameters does not grow with D. It is not linear
    in the features, so its entropy goes by the Jacobian at each draw.

    Args:
        spec: The tensors.
        features: k.
        members: M.
        gain: As for `Head`; kept as the log of a learned scale for each tensor.
        units: Hidden units.

    Example:
        >>> spec = WeightSpec([("weight", (50, 40)), ("bias", (50,))])
        >>> head = CoordinateHead(spec, features=16)
        >>> head(torch.randn(1, 3, 16)).shape, sum(p.numel() for p in head.parameters())
        (torch.Size([1, 3, 2050]), 690)
    """

    compressive = True

    def __init__(
        self,
        spec: WeightSpec,
        *,
        features: int,
        members: int = 1,
        gain: float | Sequence[float] = 0.1,
        units: int = 16,
    ) -> None:
        if units < 1:
            raise ValueError(f"Got units = {units}, expected at least 1.")
        super().__init__(spec, features=features, members=members, gain=gain)
        self.positions = nn.Parameter(torch.empty(members, AXES, units, 2 * OCTAVES))  # P
        self.tensors = nn.Parameter(torch.empty(members, len(spec), units))  # L
        self.encode = nn.Parameter(torch.empty(members, units, features))  # Q
        self.output = nn.Parameter(torch.empty(members, units))  # v
        self.log_gains = nn.Parameter(torch.empty(members, len(spec)))
        self._index = {piece.name: index for index, piece in enumerate(spec)}
        self.reset_parameters()

    @classmethod
    def numbers_held(cls, noise_dim: int, *, units: int = 16, **options: Any) -> int:
        """The hidden units of every weight, with what their gradients need."""
        return 8 * noise_dim + 5 * units

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Each of the three summands with variance a third, v so that the sum has about unit variance."""
        units = self.output.shape[-1]
        # tanh of a unit Normal has variance 0.394.
        third, root = 1.0 / math.sqrt(3.0), math.sqrt(0.394 * units)
        with torch.no_grad():
            self.positions.normal_(0.0, third / math.sqrt(AXES * OCTAVES), generator=generator)
            self.tensors.normal_(0.0, third, generator=generator)
            self.encode.normal_(0.0, third / math.sqrt(max(self.features, 1)), generator=generator)
            self.output.normal_(0.0, 1.0 / root, generator=generator)
            self.log_gains.copy_(self.log_gains_at_start())

    def generate(self, piece: WeightPiece, features: Tensor, base: Tensor | None = None) -> Tensor:
        """One tensor's weights, ``(M, S, size)``."""
        made: Tensor = (self._output(piece) @ self._units(piece, features)).squeeze(2)
        return made

    def slopes(
        self, piece: WeightPiece, features: Tensor, jacobian: Tensor, base: Tensor | None = None
    ) -> Tensor:
        """vᵀ diag(1 − tanh²) Q J, ``(M, S, size, d)``: one product for all of z's directions."""
        units = self._units(piece, features)
        weighted = self._output(piece).mT * (1.0 - units.square())  # (M, S, units, size)
        return weighted.mT @ (self.encode.unsqueeze(1) @ jacobian)

    def _output(self, piece: WeightPiece) -> Tensor:
        """v, scaled for a tensor, ``(M, 1, 1, units)``."""
        scale = self.log_gains[:, self._index[piece.name]].exp()
        return (self.output * scale.unsqueeze(-1))[:, None, None]

    def _units(self, piece: WeightPiece, features: Tensor) -> Tensor:
        """The hidden units at every position of a tensor, ``(M, S, units, size)``."""
        shape = (*piece.shape[: AXES - 1], math.prod(piece.shape[AXES - 1 :])) if piece.shape else (1,)
        of_tensor = self.tensors[:, None, self._index[piece.name]]
        inputs = (features @ self.encode.mT + of_tensor)[..., None]  # (M, S, units, 1)
        for axis, length in enumerate(shape):
            waves = _waves(length, like=features)  # (length, 2 · octaves)
            along = (self.positions[:, axis] @ waves.mT).unsqueeze(1)  # (M, 1, units, length)
            inputs = (inputs.unsqueeze(-1) + along.unsqueeze(-2)).flatten(-2)
        return torch.tanh(inputs)


def _waves(length: int, *, like: Tensor) -> Tensor:
    """Sines and cosines of positions from −1 to 1, ``(length, 2 · octaves)``; a single one stands at 0."""
    ends = 1.0 if length > 1 else 0.0
    positions = torch.linspace(-ends, ends, length, dtype=like.dtype, device=like.device)
    angles = positions.unsqueeze(-1) * math.pi * 2.0 ** torch.arange(OCTAVES, device=like.device)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
