"""The thin curved sheet that the noise z lies on, given the weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Sheet"]


@dataclass(frozen=True)
class Sheet:
    """The residual z + T f(z) − c of z, for each of n rows: P (z − z*) to first order around a mode z*.

    P is the precision of p(z | y) at z*, and f(z) are features of which p(y | z) is made, so that the
    residual is that of y given z, projected on the directions in which z moves it at z*.

    Args:
        features: z ``(m, d)`` to f(z) ``(m, p)`` and ∂f/∂z ``(m, p, d)``.
        directions: T, ``(n, d, p)``.
        shift: c, ``(n, d)``.
    """

    features: Callable[[Tensor], tuple[Tensor, Tensor]]
    directions: Tensor
    shift: Tensor

    def residual(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The residual ``(K, n, d)`` of z ``(K, n, d)``, and its Jacobian by z ``(K, n, d, d)``."""
        features, jacobian = self.features(z.reshape(-1, z.shape[-1]))
        features = features.reshape(*z.shape[:2], -1)
        jacobian = jacobian.reshape(*z.shape[:2], *jacobian.shape[1:])
        residual = z + (self.directions @ features.unsqueeze(-1)).squeeze(-1) - self.shift
        return residual, torch.eye(z.shape[-1], dtype=z.dtype) + self.directions @ jacobian

    def __getitem__(self, rows: Tensor) -> Sheet:
        return Sheet(self.features, self.directions[rows], self.shift[rows])
