"""Endless shuffled batches, which can be told to go on from where others stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor

__all__ = ["Batches"]


class Batches:
    """Endless shuffled batches of rows; all rows, in their order, where one batch holds them.

    Args:
        x: ``(N, …)``.
        y: ``(N,)``.
        size: B; the last batch of a round may have fewer rows.
        generator: Of the order, anew in each round.

    Example:
        >>> rows = torch.arange(5.0)
        >>> batches = Batches(rows, rows, 2, torch.Generator().manual_seed(0))
        >>> [len(next(batches)[0]) for _ in range(6)]
        [2, 2, 1, 2, 2, 1]
    """

    def __init__(self, x: Tensor, y: Tensor, size: int, generator: torch.Generator) -> None:
        self._x, self._y, self._size, self._generator = x, y, size, generator
        self._left = torch.empty(0, dtype=torch.long, device=x.device)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[Tensor, Tensor]:
        if len(self._x) <= self._size:
            return self._x, self._y
        if not len(self._left):
            self._left = torch.randperm(len(self._x), generator=self._generator, device=self._x.device)
        rows, self._left = self._left[: self._size], self._left[self._size :]
        return self._x[rows], self._y[rows]

    def state_dict(self) -> dict[str, Tensor]:
        """The rows that are left of this round, in their order."""
        return {"left": self._left}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on as those did whose state it is; their generator has a state of its own.

        Raises:
            KeyError, ValueError: It is not the rows that are left of as many.
        """
        left = state["left"].to(self._x.device)
        if left.dtype != torch.long or left.dim() != 1 or not ((left >= 0) & (left < len(self._x))).all():
            raise ValueError("the rows that are left are not of this table")
        self._left = left
