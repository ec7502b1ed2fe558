"""The Brier score taken apart by recalibration: miscalibration, discrimination, uncertainty."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats


@dataclass(frozen=True)
class BrierDecomposition:
    """The Brier score as miscalibration - discrimination + uncertainty.

    Args:
        miscalibration: What recalibration would gain (MCB); 0 for probabilities that need none. Chance alone
            makes it positive on finitely many rows.
        discrimination: What the recalibrated probabilities gain over always stating the base rate (DSC).
        uncertainty: The score of always stating the base rate (UNC).
    """

    miscalibration: float
    discrimination: float
    uncertainty: float

    @property
    def score(self) -> float:
        """The Brier score, as `brier` gives it."""
        return self.miscalibration - self.discrimination + self.uncertainty

    def to_dict(self) -> dict[str, float]:
        """Returns the parts and their sum."""
        return asdict(self) | {"score": self.score}


def brier_decomposition(probs: ArrayLike, labels: ArrayLike) -> BrierDecomposition:
    """Takes the Brier score apart, class by class, and adds the parts up; halved for two classes, as `brier`.

    Args:
        probs: Class probabilities ``(N, C)``.
        labels: The number of the class that happened, ``(N,)``.

    Raises:
        DataError: On other shapes, probabilities that do not sum to one, and unknown class numbers.

    References:
        Dimitriadis, Gneiting and Jordan (2021), Stable reliability diagrams for probabilistic classifiers.

    Example:
        >>> brier_decomposition([[0.5, 0.5], [0.5, 0.5]], [0, 1])
        BrierDecomposition(miscalibration=0.0, discrimination=0.0, uncertainty=0.25)
    """
    stated, happened = _checks.labelled(probs, labels)
    classes = [1] if stated.shape[1] == 2 else range(stated.shape[1])
    parts = [Steps.of(stated[:, k], (happened == k).astype(np.float64)).decomposition() for k in classes]
    return BrierDecomposition(
        sum(part.miscalibration for part in parts),
        sum(part.discrimination for part in parts),
        sum(part.uncertainty for part in parts),
    )


@dataclass(frozen=True, eq=False)
class Steps:
    """Distinct stated probabilities ``(G,)``, increasing, with their rows, hits and what PAV makes of them.

    Example:
        >>> Steps.of(np.array([0.3, 0.1, 0.2]), np.array([1.0, 1.0, 0.0])).recalibrated.tolist()
        [0.5, 0.5, 1.0]
    """

    stated: Floats
    counts: Floats
    hits: Floats
    recalibrated: Floats

    @classmethod
    def of(cls, stated: Floats, happened: Floats) -> Steps:
        """Sorts rows ``(N,)`` by what they state, and fits."""
        values, where = np.unique(stated, return_inverse=True)
        counts = np.bincount(where).astype(np.float64)
        return cls.fitted(values, counts, np.bincount(where, happened).astype(np.float64))

    @classmethod
    def fitted(cls, stated: Floats, counts: Floats, hits: Floats) -> Steps:
        """Fits the increasing shares that are nearest to those observed (pool adjacent violators)."""
        return cls(stated, counts, hits, optimize.isotonic_regression(hits / counts, weights=counts).x)

    def joined(self, n_cells: int) -> Steps:
        """Neighbours joined to about that many cells of equal size, each at its mean probability."""
        if len(self.stated) <= n_cells:
            return self
        cell = (np.cumsum(self.counts) - self.counts) * n_cells // self.counts.sum()
        starts = np.flatnonzero(np.diff(cell, prepend=-1.0))
        counts = np.add.reduceat(self.counts, starts)
        mean = np.add.reduceat(self.counts * self.stated, starts) / counts
        return self.fitted(mean, counts, np.add.reduceat(self.hits, starts))

    def redrawn(self, n_simulations: int, rng: np.random.Generator) -> Iterator[Steps]:
        """Fits again to outcomes drawn from the stated probabilities, that many times."""
        counts, chances = self.counts.astype(np.int64), np.minimum(self.stated, 1.0)
        for _ in range(n_simulations):
            yield self.fitted(self.stated, self.counts, rng.binomial(counts, chances).astype(np.float64))

    def decomposition(self) -> BrierDecomposition:
        """The Brier score of what was stated, taken apart."""
        total = self.counts.sum()
        base = self.hits.sum() / total

        def score(forecast: Floats | float) -> float:
            misses = self.counts - self.hits
            return float((self.hits * (1.0 - forecast) ** 2 + misses * forecast**2).sum() / total)

        recalibrated, uncertainty = score(self.recalibrated), float(base * (1.0 - base))
        return BrierDecomposition(score(self.stated) - recalibrated, uncertainty - recalibrated, uncertainty)
