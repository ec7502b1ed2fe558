"""Matrices in units of an optimiser's step: a learning rate means here what it means for `AutoNormal`."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils import parametrize

__all__ = ["step_per_input"]


def step_per_input(module: nn.Module) -> None:
    """Store every matrix of k inputs as k times itself.

    Optimisers such as Adam move each stored number by about the learning rate η. With a matrix of k inputs,
    what comes out of it would move by η k E|φ|, where AutoNormal's latents move by η. What is stored k-fold
    moves it by η E|φ|, whatever the width of the layer (Yang & Hu 2021, arXiv 2011.14522).

    Args:
        module: Its parameters of three dimensions or more, ``(M, outputs, inputs)``, are changed in place; no
            value that it computes is.

    Example:
        >>> import torch
        >>> layer = nn.ParameterDict({"matrix": nn.Parameter(torch.ones(1, 3, 4))})
        >>> step_per_input(layer)
        >>> layer["matrix"].unique(), [p.unique().item() for p in layer.parameters()]
        (tensor([1.], grad_fn=<Unique2Backward0>), [4.0])
    """
    for owner in list(module.modules()):
        for name, parameter in list(owner.named_parameters(recurse=False)):
            if parameter.dim() >= 3 and parameter.shape[-1] > 1:
                parametrize.register_parametrization(owner, name, _PerInput(parameter.shape[-1]))


class _PerInput(nn.Module):
    """W = W̃ / k."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.inputs = inputs

    def forward(self, stored: Tensor) -> Tensor:
        return stored / self.inputs

    def right_inverse(self, matrix: Tensor) -> Tensor:
        return matrix * self.inputs
