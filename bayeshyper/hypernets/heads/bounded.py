"""Bounded outputs around any head: no draw moves a weight further than so many prior scales."""

from __future__ import annotations

import torch
from torch import Tensor

from bayeshyper.models import WeightPiece

from .base import Head

__all__ = ["BoundedHead"]


class BoundedHead(Head):
    """c tanh(g/c) of what a head generates, in units of the prior's scale: one composable part of three.

    A head so bounded is not linear in the features, whatever it was before.

    Args:
        head: Any head.
        bound: c.

    Raises:
        ValueError: A bound that is not positive.

    Example:
        >>> from bayeshyper.hypernets import HEADS
        >>> from bayeshyper.models import WeightSpec
        >>> dense = HEADS["dense"](WeightSpec([("weight", (2, 4))]), features=6, gain=100.0)
        >>> bool(BoundedHead(dense, 3.0)(torch.randn(1, 5, 6)).abs().max() <= 3.0)
        True
    """

    def __init__(self, head: Head, bound: float) -> None:
        if not bound > 0:
            raise ValueError(f"Got bound = {bound}, expected a positive number of prior scales.")
        gains = list(head.gains.values())
        super().__init__(head.spec, features=head.features, members=head.members, gain=gains)
        self.head, self.bound = head, bound

    @property
    def multiplies(self) -> bool:  # type: ignore[override]
        """As the head within."""
        return self.head.multiplies

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """As the head within."""
        self.head.reset_parameters(generator)

    def generate(self, piece: WeightPiece, features: Tensor, base: Tensor | None = None) -> Tensor:
        """One tensor's weights, ``(M, S, size)``, between −c and c."""
        return self.bound * torch.tanh(self.head.generate(piece, features, base) / self.bound)
