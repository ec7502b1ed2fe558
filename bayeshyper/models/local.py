"""Local reparameterisation: sample a Linear's outputs instead of its weights, where that is exact.

With W ~ N(W̄, V) elementwise and x fixed, xWᵀ + b has independent entries N(x W̄ᵀ + b̄, x² Vᵀ + v_b)
for a row of x (Kingma, Salimans, Welling 2015, arXiv 1506.02557). Sampling there gives every row its own
noise, and so gradients of far less variance. It changes the joint law over *rows*, which the ELBO, a sum
over rows, cannot see. Positions of one sequence or patches of one image that share a weight are not rows:
there it would be wrong, so only a Linear called once per forward pass on ``(N, F)`` input qualifies
(`find_layers`); for the others there is `Flipout`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from .layers import arguments

__all__ = ["Conditional", "LocalReparameterization", "spread"]

# The derivative of √v is infinite at v = 0, which a bias-free Linear on an all-zero row would reach.
MIN_VARIANCE = 1e-12


@dataclass(frozen=True)
class Conditional:
    """The law of a weight draw given its noise z: independent Normals, in G groups of R draws.

    Args:
        mean: ``(G, R, D)``, m = μ + s ∘ A φ(z).
        scale: ``(G, 1, D)``, s ∘ σ, shared by the draws of a group.
        generator: Where further noise comes from; None is torch's global generator.
    """

    mean: Tensor
    scale: Tensor
    generator: torch.Generator | None = None


def spread(variance: Tensor, *, has_bias: bool) -> Tensor:
    """The standard deviation of a Linear's outputs; its bias's variance, or a floor, keeps it above 0."""
    return (variance if has_bias else variance.clamp_min(MIN_VARIANCE)).sqrt()


class LocalReparameterization(TorchFunctionMode):
    """Replaces ``F.linear`` for the given weights, told apart by the identity of the tensor passed in.

    Args:
        layers: ``id(mean weight)`` → ``(weight variance (out, in), bias variance (out,) or None,
            noise (N, out))``. The tensors that the network sees are the conditional *means*.
    """

    def __init__(self, layers: Mapping[int, tuple[Tensor, Tensor | None, Tensor]]) -> None:
        super().__init__()
        self.layers = layers

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is not F.linear:
            return func(*args, **kwargs)
        inputs, weight, bias, _, _ = arguments(*args, **kwargs)
        layer = self.layers.get(id(weight))
        if layer is None:
            return func(inputs, weight, bias)
        weight_variance, bias_variance, noise = layer
        variance = func(inputs.square(), weight_variance, bias_variance)
        scale = spread(variance, has_bias=bias_variance is not None)
        return torch.addcmul(func(inputs, weight, bias), scale, noise)
