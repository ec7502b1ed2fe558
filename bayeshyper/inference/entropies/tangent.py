r"""The Gaussian that q would be if the trunk were its tangent at a draw's noise.

On the tangent, θ̃(z′) = θ̄(z) + s ∘ (G (z′ − z) + σ ∘ ε′), with G = A J where the head is linear. With the
curvature W = GᵀΣ⁻¹G, P = I + W and the pull c = GᵀΣ⁻¹(σ ∘ ε), completing the square in z′ gives the density
at the draw itself,

    log q̃(θ) = log q(θ | z) − ½ logdet P + ½ ‖P^-½ (c − z)‖² − ½ ‖z‖²
"""

from __future__ import annotations

import torch
from torch import Tensor

from bayeshyper.hypernets import WeightDraw
from bayeshyper.inference.roots import cholesky_root

__all__ = ["Tangent", "jacobian_of"]


def jacobian_of(draw: WeightDraw) -> Tensor:
    """J ``(M, R, k, d)`` in float64.

    Raises:
        ValueError: The draw was made without it.
    """
    if draw.jacobian is None:
        raise ValueError("Got a draw without its Jacobian; draw with with_jacobian=True to ask for entropy.")
    return draw.jacobian.double()


class Tangent:
    """The tangents at R draws of each member, with what their densities are made of.

    Args:
        curvature: W in float64, ``(M, R, d, d)``.
        pull: c in float64, ``(M, R, d)``.
        z: ``(M, R, d)``.
    """

    def __init__(self, curvature: Tensor, pull: Tensor, z: Tensor) -> None:
        self._z = z.double()
        identity = torch.eye(z.shape[-1], dtype=curvature.dtype, device=curvature.device)
        factor = cholesky_root(curvature + identity)
        self._inverse = torch.linalg.solve_triangular(factor, identity, upper=False)  # L⁻¹, with P = L Lᵀ
        self._solved = (self._inverse @ (pull - self._z).unsqueeze(-1)).squeeze(-1)
        self._log_volume = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    @property
    def log_ratio(self) -> Tensor:
        """log q̃(θ) − log q(θ | z), ``(M, R)``."""
        log_ratio: Tensor = (
            0.5 * (self._solved.square().sum(-1) - self._z.square().sum(-1)) - self._log_volume
        )
        return log_ratio

    @property
    def chance(self) -> Tensor:
        """The part of `log_ratio` that is chance: its mean over draws is exactly 0, for any trunk.

        E‖z‖² = d, and given z, c ~ N(0, W), so that E‖P^-½ (c − z)‖² = tr(P⁻¹W) + ‖P^-½ z‖². Taken off an
        estimate that follows the true log density, it leaves the mean, and takes most of the variance.
        """
        width = self._z.shape[-1]
        expected = width - self._inverse.square().sum((-2, -1))
        expected = expected + (self._inverse @ self._z.unsqueeze(-1)).square().sum((-2, -1))
        chance: Tensor = self._solved.square().sum(-1) - expected - self._z.square().sum(-1) + width
        return 0.5 * chance
