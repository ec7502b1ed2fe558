"""The weight draws' distributions of many rows, a chunk of rows and draws at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Distribution

from bayeshyper.errors import DataError
from bayeshyper.models import BayesianModel
from bayeshyper.threads import seeded

__all__ = ["DrawsByRows"]

Array = NDArray[np.float64]

# Of a network: in the units of any target that is allowed, up to 1e100, squares of it are finite.
LARGEST_OUTPUT = 1e50

# Numbers held at once, 64 MB of float64: rows × draws × outputs, or × the widest layer.
CHUNK_NUMBERS = 2**23

# Numbers of a network's outputs that are kept, 32 MB: of a few thousand rows, of which more is asked.
KEPT_NUMBERS = 2**22


class DrawsByRows:
    """S weight vectors on N rows, whose distributions are made when asked for.

    Args:
        model: Network and likelihood.
        weights: ``(S, D)``.
        x: Encoded rows ``(N, …)``.
    """

    def __init__(self, model: BayesianModel, weights: Tensor, x: Tensor) -> None:
        self.model, self.weights, self.x = model, weights, x
        self.n_rows, self.n_draws = len(x), len(weights)

    def apply(self, function: Callable[..., Array], *arrays: NDArray[np.generic], width: int = 1) -> Array:
        """Apply a function of the draws' distributions to chunks of rows; gives ``(N, …)``.

        The function gets a distribution of batch shape ``(S, rows)`` and the same rows of each array, and
        returns ``(rows, …)``; ``width`` says how many numbers per row it holds beside the draws'.
        """
        chunks = self.chunks(8 * self.n_draws * self.model.likelihood.n_outputs + width)
        with torch.no_grad():
            parts = [function(self.distribution(rows), *(array[rows] for array in arrays)) for rows in chunks]
        return np.concatenate(parts, axis=0)

    def sample(self, n: int, seed: int) -> Array:
        """Draw n targets for every row, ``(n, N, …)``, going through the weight draws evenly and in order."""
        seeds = np.random.default_rng(seed)
        used = np.arange(n) * self.n_draws // n
        turn = np.arange(n) - np.searchsorted(used, used)  # how often the same weights were used before

        def draw(part: Distribution) -> Array:
            with seeded(int(seeds.integers(2**62))):
                drawn = part.sample(torch.Size((int(turn.max()) + 1,)))
            values: Array = drawn[turn, used].double().numpy().swapaxes(0, 1)
            return values

        return self.apply(draw, width=4 * (n + self.n_draws)).swapaxes(0, 1)

    def chunks(self, per_row: int) -> list[slice]:
        """Slices of rows that keep ``per_row`` numbers each within bounds; one empty slice for no rows."""
        most = max(1, CHUNK_NUMBERS // per_row)
        # As many as need be, and all alike: the last one's few rows would cost as much as many.
        rows = max(1, math.ceil(self.n_rows / math.ceil(max(self.n_rows, 1) / most)))
        return [slice(start, start + rows) for start in range(0, max(self.n_rows, 1), rows)]

    def distribution(self, rows: slice) -> Distribution:
        """The draws' distributions for a chunk of rows, batch shape ``(S, rows)``."""
        return self.model.observe(self.weights, self.outputs(rows))

    def outputs(self, rows: slice) -> Tensor:
        """The network's outputs for a chunk of rows, ``(S, rows, O)``."""
        return self._computed(rows) if self._kept is None else self._kept[:, rows]

    @cached_property
    def _kept(self) -> Tensor | None:
        """The outputs of all rows, where they are few: a report asks for them a dozen times."""
        per_row = self.n_draws * self.model.likelihood.n_outputs
        if per_row * self.n_rows > KEPT_NUMBERS:
            return None
        return torch.cat([self._computed(rows) for rows in self.chunks(8 * per_row)], dim=1)

    def _computed(self, rows: slice) -> Tensor:
        """The outputs for a chunk of rows, a chunk of draws at a time."""
        x = self.x[rows]
        widest = max((piece.shape[0] for piece in self.model.spec if piece.shape), default=1)
        draws = max(1, CHUNK_NUMBERS // max(len(x) * widest, 1))
        outputs = torch.cat([self.model.outputs(part, x) for part in self.weights.split(draws)], dim=0)
        beyond = ~(outputs.abs() <= LARGEST_OUTPUT)  # NaN, too
        if bool(beyond.any()):
            row = int(beyond.movedim(1, 0).flatten(1).any(1).nonzero()[0])
            raise DataError(
                f"Row {rows.start + row + 1} (counting from 1) is so unlike the training rows that the "
                f"network gives it numbers beyond {LARGEST_OUTPUT:g}: correct it, or leave it out."
            )
        return outputs
