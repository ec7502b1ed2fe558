"""What weights tell of the noise behind them: where to look for it, and how likely each place is."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from bayeshyper.hypernets import Hypernetwork, LinearHead, WeightDraw
from bayeshyper.inference.roots import cholesky_root

__all__ = ["NoiseView", "Place", "StatisticView", "WeightView", "score_and_information"]


class Place(NamedTuple):
    """A point z ``(M, R, d)``: log q(z | θ) there but for a constant, its gradient, its precision's L."""

    z: Tensor
    height: Tensor
    gradient: Tensor
    factor: Tensor


class NoiseView(Protocol):
    """q(z | θ) for R draws of each member, seen from the weights alone: never from the z behind them.

    Attributes:
        inputs: What a recognition network sees, ``(M, R, n)``.
        guess: A first guess of z, ``(M, R, d)``.
        context: What the draws are conditioned on, which it sees as well, ``(M, R, C)``.
    """

    inputs: Tensor
    guess: Tensor
    context: Tensor | None

    def look(self, z: Tensor) -> Place:
        """The place z."""
        ...


class StatisticView:
    """The view where weights are linear in the features: from k numbers of them, t = AᵀΣ⁻¹(θ − μ)/s.

        log q(z | θ) = tᵀφ(z) − ½ φ(z)ᵀMφ(z) − ½‖z‖² + constant,    P = I + JᵀMJ

    The features' ridge solution φ̂ = (I + M)⁻¹t is of unit scale, and nearly φ(z) where the weights tell z
    well; its last d entries, z itself, are the first guess.

    Args:
        hypernetwork: The posterior.
        gram: M, ``(M, k, k)``.
        statistic: t, ``(M, R, k)``.
        context: What the draws are conditioned on, ``(M, R, C)``.
    """

    def __init__(
        self, hypernetwork: Hypernetwork, gram: Tensor, statistic: Tensor, context: Tensor | None = None
    ) -> None:
        self.context = context
        self._trunk, self._dtype = hypernetwork.trunk, hypernetwork.mean.dtype
        self._gram, self._statistic = gram, statistic
        self.inputs = _ridge(gram, statistic)
        self.guess = self.inputs[..., self.inputs.shape[-1] - self._trunk.noise_dim :]

    def look(self, z: Tensor) -> Place:
        """The place z."""
        features, jacobian = self._trunk.with_jacobian(z.to(self._dtype), self.context)
        features, jacobian = features.double(), jacobian.double()
        product = features @ self._gram
        height = ((self._statistic - 0.5 * product) * features).sum(-1) - 0.5 * z.square().sum(-1)
        gradient = (jacobian.mT @ (self._statistic - product).unsqueeze(-1)).squeeze(-1) - z
        return Place(z, height, gradient, _factor(jacobian.mT @ self._gram.unsqueeze(1) @ jacobian))


class WeightView:
    """The view where the noise's scale varies with z: from all D weights u = (θ − μ)/s.

        log q(z | θ) = −½‖ε‖² − Σ_i log σ_i(z) − ½‖z‖² + constant,    ε = (u − Aφ(z))/σ(z)
        ∇_z = GᵀΣ⁻¹(u − Aφ) + Lᵀ(ε² − 1) − z,    P = I + GᵀΣ⁻¹G + 2LᵀL

    with the Jacobians G of Aφ(z) and L of log σ(z): P is the expected curvature, the Fisher information about
    z beside the prior's. The first guess is the ridge solution that a constant σ would have.

    Args:
        hypernetwork: The posterior.
        draw: Draws of it, of whom nothing but the weights and their context is looked at.
    """

    def __init__(self, hypernetwork: Hypernetwork, draw: WeightDraw) -> None:
        head, precision = hypernetwork.head, hypernetwork.output_precision
        assert isinstance(head, LinearHead)  # any other was refused when the entropy was built
        self._net, self.context, self._dtype = hypernetwork, draw.context, hypernetwork.mean.dtype
        self.inputs = (draw.weights - hypernetwork.mean.unsqueeze(1)) / hypernetwork.unit
        ridge = _ridge(head.gram(precision), head.project(self.inputs, precision))
        self.guess = ridge[..., ridge.shape[-1] - hypernetwork.trunk.noise_dim :]

    def look(self, z: Tensor) -> Place:
        """The place z."""
        net = self._net
        features, jacobian = net.trunk.with_jacobian(z.to(self._dtype), self.context)
        scale = net.noise_at(features)
        noise = ((self.inputs - net.offsets(features)) / scale).double()
        height = -0.5 * noise.square().sum(-1) - scale.double().log().sum(-1) - 0.5 * z.square().sum(-1)
        slopes = (net.slopes(features, jacobian) / scale.unsqueeze(-1)).double()
        varying = net.varying
        widening = None if varying is None else varying.slopes(features, jacobian).double()
        score, information = score_and_information(noise, slopes, widening)
        return Place(z, height, score - z, _factor(information))


def score_and_information(noise: Tensor, slopes: Tensor, widening: Tensor | None) -> tuple[Tensor, Tensor]:
    """∇_z log q(θ | z) ``(…, d)`` of Normal weights, and the Fisher information about z, ``(…, d, d)``.

    Args:
        noise: ε, ``(…, D)``.
        slopes: The Jacobian of the means by z in units of σ(z), ``(…, D, d)``.
        widening: That of log σ(z); None where it does not vary.
    """
    score, information = (slopes.mT @ noise.unsqueeze(-1)).squeeze(-1), slopes.mT @ slopes
    if widening is not None:
        score = score + (widening.mT @ (noise.square() - 1.0).unsqueeze(-1)).squeeze(-1)
        information = information + 2.0 * widening.mT @ widening
    return score, information


def _ridge(gram: Tensor, statistic: Tensor) -> Tensor:
    """(I + M)⁻¹t, ``(M, R, k)``."""
    factor = cholesky_root(gram + torch.eye(gram.shape[-1]).to(gram))
    features: Tensor = torch.cholesky_solve(statistic.mT, factor).mT
    return features


def _factor(curvature: Tensor) -> Tensor:
    """L of I + W, ``(M, R, d, d)``."""
    identity = torch.eye(curvature.shape[-1], dtype=curvature.dtype, device=curvature.device)
    return cholesky_root(curvature + identity)
