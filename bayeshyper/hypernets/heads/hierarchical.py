"""A hierarchical head: noise that all layers share, and noise of each layer's own."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bayeshyper.models import WeightPiece, WeightSpec

from .gram import weighted, weighted_gram
from .parts import Part, PartsHead

__all__ = ["HierarchicalHead"]


class HierarchicalHead(PartsHead, name="hierarchical"):
    """A_ℓ φ = B_ℓ C_ℓ h + E_ℓ z_ℓ: shared features h through the layer's code, and p noise values of its own.

    A layer is a module: its weight and its bias have z_ℓ in common. The layers' noise is d more dimensions
    of z, p for each layer, that the trunk hands on as they are.

    Args:
        spec: The tensors.
        features: k, the layers' own noise values last among them.
        members: M.
        gain: As for `Head`.
        code: Numbers in the shared part's code for each tensor.
        layer_noise: p.

    Example:
        >>> spec = WeightSpec([("a.weight", (5, 4)), ("a.bias", (5,)), ("b.weight", (1, 5))])
        >>> HierarchicalHead.own_noise(spec, layer_noise=2)
        4
    """

    def __init__(
        self,
        spec: WeightSpec,
        *,
        features: int,
        members: int = 1,
        gain: float | Sequence[float] = 0.1,
        code: int = 8,
        layer_noise: int = 2,
    ) -> None:
        own = self.own_noise(spec, layer_noise=layer_noise)
        if code < 1 or layer_noise < 1:
            raise ValueError(
                f"Got code = {code} and layer_noise = {layer_noise}, expected at least 1 of each."
            )
        if features < own:
            raise ValueError(f"Got {features} features, expected at least the layers' own {own}.")
        self.code, self.layer_noise, self.shared = code, layer_noise, features - own
        self._layers = _layers(spec)
        super().__init__(spec, features=features, members=members, gain=gain)

    @classmethod
    def own_noise(cls, spec: WeightSpec, *, layer_noise: int = 2, **options: int) -> int:
        """p for each layer."""
        return layer_noise * (max(_layers(spec).values(), default=-1) + 1)

    def make_part(self, piece: WeightPiece) -> Part:
        """The shared code's map, and the map of the layer's own noise."""
        first = self.shared + self.layer_noise * self._layers[piece.name]
        return _SharedAndOwn(
            piece.size,
            self.shared,
            slice(first, first + self.layer_noise),
            min(self.code, self.shared, piece.size),
            features=self.features,
            members=self.members,
            gain=self.gains[piece.name],
        )


class _SharedAndOwn(Part):
    def __init__(
        self, size: int, shared: int, own: slice, code: int, *, features: int, members: int, gain: float
    ) -> None:
        super().__init__(features=features, members=members, gain=gain)
        self.shared, self.own = shared, own
        self.encode = nn.Parameter(torch.empty(members, code, shared))  # C
        self.matrix = nn.Parameter(torch.empty(members, size, code))  # B
        self.own_matrix = nn.Parameter(torch.empty(members, size, own.stop - own.start))  # E

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Half of the variance from either."""
        gain = self.gain / math.sqrt(2.0)
        with torch.no_grad():
            self.encode.normal_(0.0, 1.0 / math.sqrt(max(self.shared, 1)), generator=generator)
            self.matrix.normal_(0.0, gain / math.sqrt(max(self.matrix.shape[-1], 1)), generator=generator)
            self.own_matrix.normal_(0.0, gain / math.sqrt(self.own_matrix.shape[-1]), generator=generator)

    def forward(self, features: Tensor) -> Tensor:
        shared = features[..., : self.shared] @ self.encode.mT
        return shared @ self.matrix.mT + features[..., self.own] @ self.own_matrix.mT

    def _joined(self, precision: Tensor) -> tuple[Tensor, Tensor]:
        """(B, E) side by side, ``(M, size, r + p)``, and the map to them in float64, ``(M, r + p, k)``."""
        codes, own = self.encode.shape[1], self.own_matrix.shape[2]
        spread = precision.new_zeros(self.members, codes + own, self.features, dtype=torch.float64)
        spread[:, :codes, : self.shared] = self.encode.double()
        spread[:, codes:, self.own] = torch.eye(own, dtype=torch.float64, device=precision.device)
        return torch.cat([self.matrix, self.own_matrix], dim=-1), spread

    def gram(self, precision: Tensor) -> Tensor:
        joined, spread = self._joined(precision)
        gram: Tensor = spread.mT @ weighted_gram(joined, precision) @ spread
        return gram

    def project(self, offsets: Tensor, precision: Tensor) -> Tensor:
        joined, spread = self._joined(precision)
        return weighted(offsets, precision) @ joined.double() @ spread


def _layers(spec: WeightSpec) -> dict[str, int]:
    """The number of the module that each tensor belongs to."""
    modules = {piece.name: piece.name.rpartition(".")[0] for piece in spec}
    numbers = {module: number for number, module in enumerate(dict.fromkeys(modules.values()))}
    return {name: numbers[module] for name, module in modules.items()}
