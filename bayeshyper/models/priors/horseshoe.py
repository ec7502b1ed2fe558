r"""The horseshoe prior, and the density that is left when its local scales are integrated out.

    u = λ ε,   ε ~ N(0, 1),   λ ~ C⁺(0, 1)   gives   p(u) = (2π³)^-½ e^x E₁(x)   with x = u²/2

where E₁(x) = ∫_x^∞ e^-t/t dt (Carvalho, Polson, Scott 2010, Biometrika 97, Theorem 1). E₁ falls below what
floating point can hold where e^x overflows, so their product is computed as one number:

    below x = 2.5   e^x (−γ − log x − Σ_k (−x)^k/(k k!)), the series of E₁
    above           ∫_0^∞ e^-t/(x + t) dt, by Gauss–Laguerre quadrature

both to 1e-13 in float64, in which they are computed whatever the weights' type.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributions import Distribution, constraints

from .base import Prior
from .flat import Shape

__all__ = ["HorseshoePrior", "StandardHorseshoe"]

# Where the series hands over to the quadrature, and the terms of each that 1e-13 needs there.
SPLIT, TERMS, NODES = 2.5, 28, 32
# Quadrature weights below this add nothing that float64 can hold.
NEGLIGIBLE = 1e-22
# The density is infinite at u = 0; closer to it than this it is constant, some 4 nats above that at u = ½.
CLOSEST = 1e-20

_nodes, _weights = np.polynomial.laguerre.laggauss(NODES)
QUADRATURE = [(float(t), float(w)) for t, w in zip(_nodes, _weights, strict=True) if w > NEGLIGIBLE]


class _LogScaledE1(torch.autograd.Function):
    """log(e^x E₁(x)) with x = u²/2; its derivative in u is u (1 − 1/(x e^x E₁(x)))."""

    @staticmethod
    def forward(ctx: Any, u: Tensor) -> Tensor:
        x = 0.5 * u.double().abs().clamp(min=CLOSEST).square()
        near, far = x.clamp(max=SPLIT), x.clamp(min=SPLIT)
        series = torch.zeros_like(x)
        for k in range(TERMS, 0, -1):  # Horner's rule for Σ_k (−x)^k/(k k!)
            series = (series + (-1) ** k / (k * math.factorial(k))) * near
        near_value = near.exp() * (-np.euler_gamma - near.log() - series)
        far_value, far_slope = torch.zeros_like(x), torch.zeros_like(x)
        for node, weight in QUADRATURE:
            inverse = (far + node).reciprocal()
            far_value.add_(inverse, alpha=weight)
            far_slope.sub_(inverse.square_(), alpha=weight)
        # Above, 1 − 1/(x e^x E₁) would be a difference of nearly equal numbers; the quadrature's own is not.
        is_near = x < SPLIT
        value = torch.where(is_near, near_value, far_value)
        slope = torch.where(is_near, 1 - 1 / (near * near_value), far_slope / far_value)
        ctx.save_for_backward((u.double() * slope).to(u))
        return value.log().to(u)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (slope,) = ctx.saved_tensors
        result: Tensor = gradient * slope
        return result


class StandardHorseshoe(Distribution):
    """The horseshoe with global scale one: events are numbers, in the type and on the device of ``like``.

    Example:
        >>> density = StandardHorseshoe().log_prob(torch.tensor([0.1, 1.0, 10.0])).exp()
        >>> density  # (2π³)^-½ log(1 + 4/u²)/2 < p(u) < (2π³)^-½ log(1 + 2/u²)
        tensor([0.6032, 0.1172, 0.0025])
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 - torch's own protocol
    support = constraints.real

    def __init__(self, like: Tensor | None = None) -> None:
        self._like = torch.empty(()) if like is None else like
        super().__init__(validate_args=False)

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """λ ε, with λ the size of a ratio of two Normals."""
        normals = torch.randn(3, *sample_shape, dtype=self._like.dtype, device=self._like.device)
        return normals[0] * (normals[1] / normals[2]).abs()

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density, number by number; finite at zero too (see `CLOSEST`)."""
        scaled: Tensor = _LogScaledE1.apply(value)  # type: ignore[no-untyped-call]
        return scaled - 0.5 * math.log(2 * math.pi**3)


class HorseshoePrior(Prior):
    """The horseshoe: a pole at zero and the tails of a Cauchy, for networks most of whose weights do nothing.

    Each weight has a local scale with a half-Cauchy prior (Carvalho et al. 2010), integrated out in closed
    form; ``scale`` is the global one, τ. It has no variance, and the Kullback–Leibler divergence to it pulls
    hard towards zero, so give it data enough. The arguments are those of `Prior`; biases have the same law
    with ``bias_scale``.

    Example:
        >>> HorseshoePrior(gain=0.1)
        HorseshoePrior(gain=0.1, bias_scale=1)
    """

    def standard(self) -> Distribution:
        """The horseshoe with global scale one."""
        return StandardHorseshoe(self.loc)

    def expectation(self, u: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
        """Unbiased, with gradients of finite variance, which the slope of log f, having a pole, is not.

        With ε = (u − m)/σ and the mirrored draw u' = m − σε, the mean of log f(u) and log f(u') is the
        estimate. For its gradient the Normal is differentiated instead of f (Stein): ∂/∂m E[log f] =
        E[log f ε]/σ and ∂/∂σ E[log f] = E[log f (ε² − 1)]/σ, which stay the same when a number that does not
        depend on ε is taken from log f: its value at √(m² + σ²).
        """
        law = self.standard()
        with torch.no_grad():
            noise = (u - mean) / spread
            here, mirrored = law.log_prob(u), law.log_prob(2 * mean - u)
            average = 0.5 * (here + mirrored)
            by_mean = 0.5 * (here - mirrored) * noise / spread
            by_spread = (average - law.log_prob(torch.hypot(mean, spread))) * (noise.square() - 1) / spread
        # Zero in value, with these slopes.
        return average + by_mean * (mean - mean.detach()) + by_spread * (spread - spread.detach())
