"""Matrices in units of an optimiser's step: a learning rate means about what it means for `AutoNormal`."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

__all__ = ["step_per_input", "step_per_scale"]

# Of k, in the unit that a matrix of k inputs is stored in.
POWER = 0.75
# log log(1 + eˢ) is s below, as eˢ is nothing beside 1.
SMALL = -17.0


def step_per_input(module: nn.Module) -> None:
    """Store every matrix of k inputs as k^¾ times itself.

    Optimisers such as Adam move each stored number by about the learning rate η. With a matrix of k inputs,
    what comes out of it would move by η k E|φ| where all steps agree, and by η √k where they are noise, while
    AutoNormal's latents move by η. What is stored k-fold moves it by η where they agree (Yang & Hu 2021,
    arXiv 2011.14522), what is stored √k-fold where they are noise. Between the two lies what was measured
    best: √k drifts off with one particle at a rate of 0.05, and k takes several times the steps to bend as
    far as a funnel is bent.

    Args:
        module: Its parameters of three dimensions or more, ``(M, outputs, inputs)``, and biases ``(M, 1,
            units)`` with them, are changed in place; no value that it computes is.

    Example:
        >>> import torch
        >>> layer = nn.ParameterDict({"matrix": nn.Parameter(torch.ones(1, 3, 4))})
        >>> step_per_input(layer)
        >>> layer["matrix"].unique().item(), [round(p.max().item(), 4) for p in layer.parameters()]
        (1.0, [2.8284])
    """
    for owner in list(module.modules()):
        for name, parameter in list(owner.named_parameters(recurse=False)):
            if parameter.dim() >= 3 and parameter.shape[-1] > 1:
                parametrize.register_parametrization(owner, name, _PerStep(parameter.shape[-1] ** POWER))


def step_per_scale(module: nn.Module, name: str) -> None:
    """Store the logarithms of scales σ as s = softplus⁻¹(σ), as AutoNormal stores its scales.

    A step of η moves a small σ by about η σ, as it would move the logarithm, but a large one by no more than
    η: where scales are far above 1, as those of sparse gammas' logarithms, steps of the logarithm run away.

    Args:
        module: Changed in place; no value that it computes is.
        name: Of its parameter log σ.

    Example:
        >>> import torch
        >>> layer = nn.ParameterDict({"log_scale": nn.Parameter(torch.tensor([0.0, 5.0]))})
        >>> step_per_scale(layer, "log_scale")
        >>> [p.tolist() for p in layer.parameters()]  # softplus⁻¹ of 1 and of e⁵
        [[0.5413248538970947, 148.4131622314453]]
    """
    parametrize.register_parametrization(module, name, _Softplus())


class _Softplus(nn.Module):
    """log σ = log log(1 + eˢ)."""

    def forward(self, stored: Tensor) -> Tensor:
        near = nn.functional.softplus(stored.clamp_min(SMALL)).log()
        return torch.where(stored < SMALL, stored, near)  # equal there, to the last digit of a float32

    def right_inverse(self, log_scale: Tensor) -> Tensor:
        scale = log_scale.exp()
        return scale + (-torch.expm1(-scale)).log()


class _PerStep(nn.Module):
    """W = W̃ / unit."""

    def __init__(self, unit: float) -> None:
        super().__init__()
        self.unit = unit

    def forward(self, stored: Tensor) -> Tensor:
        return stored / self.unit

    def right_inverse(self, matrix: Tensor) -> Tensor:
        return matrix * self.unit
