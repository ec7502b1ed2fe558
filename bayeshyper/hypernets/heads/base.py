"""What every head is: features φ(z) to weights in units of the prior's scale, tensor by tensor.

A head that is linear in the features, A φ, has all that entropy and density need in two products that never
hold A whole: its Gram matrix M = AᵀΣ⁻¹A and AᵀΣ⁻¹u. One that is not has its Jacobian, by Jacobian-vector
products. Both are sums over tensors, so no more than one tensor's part is ever made at a time.

A new head is a file in this folder with one class in it:

    class ConstantRowsHead(LinearHead, name="constant-rows"): ...

which is found by its name in recipes from then on; its arguments with defaults are keys of the table
``[hypernetwork]``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import jvp, vmap

from bayeshyper.models import WeightPiece, WeightSpec

from .gram import weighted, weighted_gram

__all__ = ["HEADS", "Head", "LinearHead", "matrix_shape", "usable_rank"]

HEADS: dict[str, type[Head]] = {}

DEFAULT_RANK = 4


class Head(nn.Module):
    """Features ``(M, S, k)`` to weights ``(M, S, D)``, in units of the prior's scale.

    Subclasses make the weights of one tensor (`generate`) and say how they start (`reset_parameters`). Every
    parameter has the members M as its first dimension; buffers have not.

    Args:
        spec: The tensors that D weights are made of.
        features: k.
        members: M.
        gain: The standard deviation, in prior units, that features of unit scale give each tensor's weights
            at the start: one number for each tensor, or one for all.

    Attributes:
        linear: Whether the weights are linear in the features.
        compressive: Whether D numbers are more than the head is for: then the mean weights stay where they
            start and σ is one number per tensor, unless a recipe says otherwise.
        multiplies: Whether `generate` needs the mean weights.
    """

    linear: ClassVar[bool] = False
    compressive: ClassVar[bool] = False
    multiplies: ClassVar[bool] = False

    def __init_subclass__(cls, *, name: str | None = None, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if name is not None:
            HEADS[name] = cls

    def __init__(
        self, spec: WeightSpec, *, features: int, members: int = 1, gain: float | Sequence[float] = 0.1
    ) -> None:
        super().__init__()
        self.spec, self.features, self.members = spec, features, members
        gains = [float(gain)] * len(spec) if isinstance(gain, (int, float)) else [float(g) for g in gain]
        if len(gains) != len(spec):
            raise ValueError(f"Got {len(gains)} gains, expected one for each of {len(spec)} tensors.")
        self.gains = dict(zip(spec.names, gains, strict=True))

    @classmethod
    def numbers_held(cls, noise_dim: int, **options: Any) -> int:
        """About how many numbers a training step holds for every weight of a draw, beside the draw itself."""
        return 0 if cls.linear else 8 * noise_dim

    @classmethod
    def own_noise(cls, spec: WeightSpec, **options: int) -> int:
        """How many noise values the head asks for beside the trunk's; they come as the last features."""
        return 0

    def log_gains_at_start(self) -> Tensor:
        """For heads that learn each tensor's scale: the logs of the gains, one for each tensor."""
        return torch.tensor([math.log(gain) for gain in self.gains.values()])

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Start afresh, so that features of unit scale give every tensor its gain."""
        raise NotImplementedError(f"{type(self).__name__} must define reset_parameters(generator).")

    def generate(self, piece: WeightPiece, features: Tensor, base: Tensor | None = None) -> Tensor:
        """One tensor's weights, ``(M, S, size)``.

        Args:
            piece: Which.
            features: ``(M, S, k)``.
            base: Its mean weights in prior units, ``(M, 1, size)``, where the head ``multiplies``.
        """
        raise NotImplementedError(f"{type(self).__name__} must define generate(piece, features, base).")

    def forward(self, features: Tensor, base: Tensor | None = None) -> Tensor:
        """All weights, ``(M, S, D)``, for features ``(M, S, k)`` and the mean weights ``(M, D)``."""
        return torch.cat([self.generate(piece, features, _part(base, piece)) for piece in self.spec], dim=-1)

    def curvature(
        self, features: Tensor, jacobian: Tensor, precision: Tensor, base: Tensor | None = None
    ) -> Tensor:
        """GᵀΣ⁻¹G in float64, ``(M, S, d, d)``, for the Jacobian G = ∂weights/∂z.

        A tensor at a time, so that no more than one tensor's part of G is held.

        Args:
            features: φ, ``(M, S, k)``.
            jacobian: ∂φ/∂z, ``(M, S, k, d)``.
            precision: The diagonal of Σ⁻¹, ``(M, D)``.
            base: The mean weights, ``(M, D)``, where the head ``multiplies``.
        """
        members, draws, _, noise_dim = jacobian.shape
        total = jacobian.new_zeros(members, draws, noise_dim, noise_dim, dtype=torch.float64)
        for piece, part in zip(self.spec, self.spec.split(precision), strict=True):
            slopes = self.slopes(piece, features, jacobian, _part(base, piece)).double()
            scaled = slopes * part.double().sqrt()[:, None, :, None]
            total = total + scaled.mT @ scaled
        return total

    def pull(
        self,
        features: Tensor,
        jacobian: Tensor,
        offsets: Tensor,
        precision: Tensor,
        base: Tensor | None = None,
    ) -> Tensor:
        """GᵀΣ⁻¹u in float64, ``(M, S, d)``, for offsets u ``(M, S, D)``; the others as for `curvature`."""
        members, draws, _, noise_dim = jacobian.shape
        total = jacobian.new_zeros(members, draws, noise_dim, dtype=torch.float64)
        parts = zip(self.spec, self.spec.split(offsets), self.spec.split(precision), strict=True)
        for piece, of_offsets, of_precision in parts:
            slopes = self.slopes(piece, features, jacobian, _part(base, piece)).double()
            pulled = slopes.mT @ weighted(of_offsets, of_precision).unsqueeze(-1)
            total = total + pulled.squeeze(-1)
        return total

    def slopes(
        self, piece: WeightPiece, features: Tensor, jacobian: Tensor, base: Tensor | None = None
    ) -> Tensor:
        """∂(one tensor's weights)/∂z, ``(M, S, size, d)``, by d Jacobian-vector products.

        Subclasses that know a shorter way may take it; arguments as for `generate` and `curvature`.
        """

        def along(direction: Tensor) -> Tensor:
            slope: Tensor = jvp(lambda at: self.generate(piece, at, base), (features,), (direction,))[1]
            return slope

        slopes: Tensor = vmap(along, in_dims=-1, out_dims=-1)(jacobian)
        return slopes

    def all_slopes(self, features: Tensor, jacobian: Tensor, base: Tensor | None = None) -> Tensor:
        """∂weights/∂z, ``(M, S, D, d)``, held whole; arguments as for `curvature`."""
        parts = [self.slopes(piece, features, jacobian, _part(base, piece)) for piece in self.spec]
        return torch.cat(parts, dim=-2)

    def extra_repr(self) -> str:
        """Sizes, for ``print``."""
        return f"D={self.spec.size:,}, features={self.features}, members={self.members}"


class LinearHead(Head):
    """A head whose weights are A φ.

    Subclasses may say how the products with one tensor's rows of A are had without making them (`rows`).
    """

    linear = True

    def rows(self, piece: WeightPiece) -> Tensor:
        """One tensor's rows of A, ``(M, size, k)``."""
        parameter = next(self.parameters())
        identity = torch.eye(self.features, dtype=parameter.dtype, device=parameter.device)
        return self.generate(piece, identity.expand(self.members, -1, -1)).mT

    def slopes(
        self, piece: WeightPiece, features: Tensor, jacobian: Tensor, base: Tensor | None = None
    ) -> Tensor:
        """∂(one tensor's weights)/∂z = AJ, ``(M, S, size, d)``; arguments as for `Head.slopes`."""
        return self.rows(piece).unsqueeze(1) @ jacobian

    def piece_gram(self, piece: WeightPiece, precision: Tensor) -> Tensor:
        """One tensor's part of AᵀΣ⁻¹A, ``(M, k, k)`` in float64, for its diagonal of Σ⁻¹ ``(M, size)``."""
        return weighted_gram(self.rows(piece), precision)

    def piece_projection(self, piece: WeightPiece, offsets: Tensor, precision: Tensor) -> Tensor:
        """One tensor's part of AᵀΣ⁻¹u, ``(M, S, k)`` in float64, for its offsets u ``(M, S, size)``."""
        return weighted(offsets, precision) @ self.rows(piece).double()

    def gram(self, precision: Tensor) -> Tensor:
        """M = AᵀΣ⁻¹A in float64, ``(M, k, k)``, for the diagonal of Σ⁻¹ ``(M, D)``."""
        total = precision.new_zeros(self.members, self.features, self.features, dtype=torch.float64)
        for piece, part in zip(self.spec, self.spec.split(precision), strict=True):
            total = total + self.piece_gram(piece, part)
        return total

    def project(self, offsets: Tensor, precision: Tensor) -> Tensor:
        """AᵀΣ⁻¹u in float64, ``(M, S, k)``, for offsets u ``(M, S, D)``: sufficient for z."""
        total = offsets.new_zeros(*offsets.shape[:2], self.features, dtype=torch.float64)
        parts = zip(self.spec, self.spec.split(offsets), self.spec.split(precision), strict=True)
        for piece, of_offsets, of_precision in parts:
            total = total + self.piece_projection(piece, of_offsets, of_precision)
        return total

    def curvature(
        self, features: Tensor, jacobian: Tensor, precision: Tensor, base: Tensor | None = None
    ) -> Tensor:
        """JᵀMJ in float64, ``(M, S, d, d)``; arguments as for `Head.curvature`."""
        wide = jacobian.double()
        return wide.mT @ self.gram(precision).unsqueeze(1) @ wide

    def pull(
        self,
        features: Tensor,
        jacobian: Tensor,
        offsets: Tensor,
        precision: Tensor,
        base: Tensor | None = None,
    ) -> Tensor:
        """JᵀAᵀΣ⁻¹u in float64, ``(M, S, d)``; arguments as for `Head.pull`."""
        return (jacobian.double().mT @ self.project(offsets, precision).unsqueeze(-1)).squeeze(-1)


def matrix_shape(piece: WeightPiece) -> tuple[int, int] | None:
    """A tensor as a matrix, (outputs, inputs · kernel); None for those of fewer than two dimensions.

    Example:
        >>> matrix_shape(WeightPiece("conv.weight", (16, 3, 5, 5), 0))
        (16, 75)
    """
    return (piece.shape[0], piece.size // piece.shape[0]) if len(piece.shape) > 1 else None


def _part(base: Tensor | None, piece: WeightPiece) -> Tensor | None:
    return None if base is None else base[:, None, piece.slice]


def usable_rank(rank: int | None, spec: WeightSpec) -> int:
    """A rank that fits a spec's largest matrix; None is 4, or that matrix's smaller side.

    Raises:
        ValueError: A rank below 1, or above the smaller side of every matrix.
    """
    shapes = [shape for shape in map(matrix_shape, spec) if shape is not None]
    most = max((min(shape) for shape in shapes), default=1)
    if rank is None:
        return min(DEFAULT_RANK, most)
    if not 1 <= rank <= most:
        raise ValueError(
            f"Got rank = {rank}, expected at least 1 and at most {most}, the smaller side of the largest "
            "layer; a higher rank gives it nothing more."
        )
    return rank
