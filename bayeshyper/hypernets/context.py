"""What features of data add to a layer, where weights are drawn given data."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

__all__ = ["ContextShift"]


class ContextShift(nn.Module):
    """Wc: what features c of data add to the biases of a layer, ``(M, R, C)`` to ``(M, R, h)``.

    It starts at W = 0, where they add nothing.

    Args:
        features: C.
        units: h.
        members: M.

    Example:
        >>> shift = ContextShift(3, 5)
        >>> shift(torch.randn(1, 4, 3)).abs().max().item()
        0.0
    """

    def __init__(self, features: int, units: int, members: int = 1) -> None:
        super().__init__()
        self.members = members
        self.matrix = nn.Parameter(torch.empty(members, units, features))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """No shift."""
        nn.init.zeros_(self.matrix)

    def forward(self, context: Tensor | None) -> Tensor:
        """Wc of each draw.

        Raises:
            ValueError: No context, which is not the same as one of zeros.
        """
        if context is None:
            raise ValueError(
                "Got no context, expected one for each draw: these weights are drawn given features of data. "
                "Give draw(…, context=…) what the posterior is conditioned on; an entropy estimator that "
                "makes draws of its own, as 'stein' and 'prior-contrastive' do, knows no context."
            )
        return context @ self.matrix.mT

    @torch.no_grad()
    def fix(self, owner: nn.Module, bias: str, context: Tensor) -> None:
        """Add Wc at one context ``(M, 1, C)`` to a layer's bias ``(M, 1, h)``, for good."""
        fixed = getattr(owner, bias) + self(context)
        if is_parametrized(owner, bias):
            setattr(owner, bias, fixed)
        else:
            getattr(owner, bias).copy_(fixed)
