"""Flipout: weight noise with each row's own signs, where a layer is used more than once on a row.

A convolution multiplies the same noise into every pixel of a row, a sequence's Linear into every position:
were it drawn afresh at each, as local reparameterisation does at a single output, it would average out where
the weights' own does not. But noise ΔW of independent symmetric entries keeps its law when signs are flipped,
so row n may have ΔW ∘ r_n s_nᵀ, with signs r_n of the layer's outputs and s_n of its inputs (Wen et al. 2018,
arXiv 1803.04386):

    y_n = W̄ ⋆ x_n + b̄ + r_n ∘ (ΔW ⋆ (s_n ∘ x_n)) + t_n ∘ Δb

The signs are the same wherever a row meets the weight again, at all positions and in all calls: what the row
passes through is one draw of the weights. Two rows' noises are uncorrelated, so that their gradients' noise
averages out over a batch. The price is the layer's arithmetic once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from .layers import CHANNEL_DIM, Layers, arguments

__all__ = ["Flipout", "draw_signs"]

Signs = dict[str, tuple[Tensor, Tensor]]


def draw_signs(layers: Layers, rows: int, like: Tensor, generator: torch.Generator | None) -> Signs:
    """The signs ``(N, inputs)`` and ``(N, outputs)`` of each flipped weight, and of each bias in both places.

    Example:
        >>> from bayeshyper.models.layers import Layer
        >>> layers = Layers(flipped=(Layer("weight", None, 3, 2),))
        >>> [tuple(signs.shape) for signs in draw_signs(layers, 5, torch.zeros(()), None)["weight"]]
        [(5, 3), (5, 2)]
    """

    def signs(width: int) -> Tensor:
        bits = torch.randint(2, (rows, width), generator=generator, device=like.device)
        return bits.to(like.dtype).mul_(2).sub_(1)

    drawn = {layer.weight: (signs(layer.inputs), signs(layer.outputs)) for layer in layers.flipped}
    for name, length in layers.biases:
        of_bias = signs(length)
        drawn[name] = (of_bias, of_bias)
    return drawn


class Flipout(TorchFunctionMode):
    """Adds the noise of the given tensors, with each row's signs, to the layers that use them.

    Args:
        noise: ``id(mean)`` → ``(noise of the same shape, signs of the inputs (N, C) and of the outputs
            (N, O))``. The tensors that the network sees are the conditional *means*, told apart by identity;
            a bias's signs are those of its outputs.
    """

    def __init__(self, noise: Mapping[int, tuple[Tensor, Tensor, Tensor]]) -> None:
        super().__init__()
        self.noise = noise

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        dim = CHANNEL_DIM.get(func)
        if dim is None:
            return func(*args, **kwargs)
        inputs, weight, bias, rest, options = arguments(*args, **kwargs)
        result = func(inputs, weight, bias, *rest, **options)
        if id(weight) in self.noise:
            noise, before, after = self.noise[id(weight)]
            flipped = func(inputs * _along(before, inputs, dim), noise, None, *rest, **options)
            result = torch.addcmul(result, _along(after, result, dim), flipped)
        if bias is not None and id(bias) in self.noise:
            noise, _, after = self.noise[id(bias)]
            result = result + _along(after * noise, result, dim)
        return result


def _along(signs: Tensor, data: Tensor, dim: int) -> Tensor:
    """``(N, C)`` shaped to multiply data whose rows are in front and whose channels are in ``dim``."""
    shape = [len(data), *(1 for _ in data.shape[1:])]
    shape[dim] = signs.shape[1]
    return signs.view(shape)
