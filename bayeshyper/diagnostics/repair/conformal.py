"""Split conformal prediction of numbers: intervals that hold their level whatever the model is.

Rows that the model was not trained on give scores of how far off it was; what happens next scores at most as
their ⌈(n + 1)·level⌉-th smallest with that probability or more, and with no more than 1/(n + 1) above it
where no scores are equal, if the rows are exchangeable. That is on average over rows: rows of one kind may
be held more often than those of another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats
from bayeshyper.diagnostics.predictives import Predictive
from bayeshyper.diagnostics.predictives.numbers import central_levels
from bayeshyper.diagnostics.repair.protocol import of_numbers
from bayeshyper.diagnostics.repair.wrapped import WrappedNumbers
from bayeshyper.errors import DataError

Distance: TypeAlias = Literal["absolute", "standardised"]
Ends: TypeAlias = Callable[[Predictive, float], Floats]


def rows_needed(level: float) -> int:
    """Returns how many rows a conformal guarantee at a level needs at least.

    Example:
        >>> rows_needed(0.9), rows_needed(0.99)
        (9, 99)
    """
    central_levels(level)
    return int(np.ceil(level / (1.0 - level) - 1e-9))


def conformal_quantile(scores: ArrayLike, level: float) -> float:
    """Returns the ⌈(n + 1)·level⌉-th smallest of n scores.

    Raises:
        DataError: With too few scores for the level: only an infinite one would do.

    Example:
        >>> conformal_quantile([3.0, 1.0, 2.0], 0.5)
        2.0
    """
    read = _checks.column("scores", scores)
    if len(read) < rows_needed(level):
        raise DataError(
            f"A conformal guarantee at level {level:g} needs at least {rows_needed(level)} rows to learn "
            f"from: got {len(read)}. Take more rows, or a lower level."
        )
    place = int(np.ceil((len(read) + 1) * level - 1e-9))
    return float(np.partition(read, place - 1)[place - 1])


@dataclass(frozen=True, eq=False)
class ConformalIntervals:
    """Intervals about the mean, as wide as the errors on other rows were.

    Args:
        scores: Those errors, ``(n,)``.
        distance: "absolute" errors, which make all intervals alike, or "standardised" ones, over the
            predicted standard deviation.

    References:
        Lei et al. (2018), Distribution-free predictive inference for regression.

    Example:
        >>> from bayeshyper.diagnostics import NormalPredictive
        >>> repaired = ConformalIntervals(np.arange(1.0, 20.0))(NormalPredictive([50.0], 1.0))
        >>> repaired.interval(0.9).tolist()
        [[32.0, 68.0]]
    """

    scores: Floats
    distance: Distance = "absolute"

    @classmethod
    def fit(
        cls, predictive: Predictive, y: ArrayLike, *, distance: Distance = "absolute"
    ) -> ConformalIntervals:
        """Takes the errors on rows that the model was not trained on.

        Args:
            predictive: Of those rows.
            y: What happened, ``(N,)``.
            distance: "absolute" or "standardised".

        Raises:
            DataError: Where y or the prediction cannot be read, or has no ``std`` where one is needed.
        """
        seen = of_numbers(predictive, y, least=1)
        return cls(np.abs(seen - predictive.mean) / _unit(predictive, distance), distance)

    def __call__(self, predictive: Predictive) -> ConformalPredictive:
        """Repairs a prediction of numbers."""
        return ConformalPredictive(predictive, self.interval)

    def interval(self, predictive: Predictive, level: float) -> Floats:
        """The intervals of a prediction's rows, ``(N, 2)``.

        Raises:
            DataError: With too few rows learned from for this level.
        """
        half = conformal_quantile(self.scores, level) * _unit(predictive, self.distance)
        mean = predictive.mean
        return np.stack([mean - half, mean + half], axis=1)


@dataclass(frozen=True, eq=False)
class ConformalQuantiles:
    """Conformalised quantile regression (CQR): the stated interval, both ends moved by the same distance.

    Args:
        predictive: Of rows that the model was not trained on.
        y: What happened to them, ``(n,)``.

    References:
        Romano, Patterson and Candès (2019), Conformalized quantile regression.

    Example:
        >>> from bayeshyper.diagnostics import NormalPredictive
        >>> stated = NormalPredictive(np.zeros(59), 1.0)
        >>> repaired = ConformalQuantiles.fit(stated, np.linspace(-29.0, 29.0, 59))(stated)
        >>> repaired.interval(0.9)[0].round(6).tolist()
        [-27.0, 27.0]
    """

    predictive: Predictive
    y: Floats
    _shifts: dict[float, float] = field(default_factory=dict, repr=False)

    @classmethod
    def fit(cls, predictive: Predictive, y: ArrayLike) -> ConformalQuantiles:
        """Keeps the rows: each level that is asked for needs their intervals at that level.

        Raises:
            DataError: Where y or the prediction cannot be read.
        """
        return cls(predictive, of_numbers(predictive, y, least=1))

    def __call__(self, predictive: Predictive) -> ConformalPredictive:
        """Repairs a prediction of numbers."""
        return ConformalPredictive(predictive, self.interval)

    def shift(self, level: float) -> float:
        """How far both ends move outwards; below zero inwards."""
        if level not in self._shifts:
            low, high = np.asarray(self.predictive.interval(level)).T
            self._shifts[level] = conformal_quantile(np.maximum(low - self.y, self.y - high), level)
        return self._shifts[level]

    def interval(self, predictive: Predictive, level: float) -> Floats:
        """The intervals of a prediction's rows, ``(N, 2)``; ends that would cross meet in the middle.

        Raises:
            DataError: With too few rows learned from for this level.
        """
        shift = self.shift(level)
        ends = np.asarray(predictive.interval(level))
        middle = ends.mean(axis=1)
        return np.stack(
            [np.minimum(ends[:, 0] - shift, middle), np.maximum(ends[:, 1] + shift, middle)], axis=1
        )


class ConformalPredictive(WrappedNumbers):
    """A prediction whose ``interval`` is conformal at any level; all else is as it was.

    Args:
        base: The prediction as it was.
        ends: Makes the intervals ``(N, 2)`` from it and a level.
    """

    def __init__(self, base: Predictive, ends: Ends) -> None:
        super().__init__(base)
        self._ends = ends

    @property
    def crps(self) -> Callable[[ArrayLike], Floats]:
        """The base's own CRPS, where it has one."""
        own: Callable[[ArrayLike], Floats] = getattr(self.base, "crps")  # noqa: B009 (not every one has it)
        return own

    def interval(self, level: float = 0.9) -> Floats:
        """The conformal interval, ``(N, 2)``.

        Raises:
            DataError: With too few rows learned from for this level.
        """
        return self._ends(self.base, level)

    def rows(self, index: Any) -> ConformalPredictive:
        """The prediction of some of the rows."""
        return ConformalPredictive(self.base.rows(index), self._ends)


def _unit(predictive: Predictive, distance: Distance) -> Floats | float:
    """What an error is measured in: ``(N,)`` standard deviations, or one."""
    if distance == "absolute":
        return 1.0
    if distance != "standardised":
        raise DataError(f'distance must be "absolute" or "standardised": got {distance!r}.')
    std = getattr(predictive, "std", None)
    if std is None:
        raise DataError('A prediction without std has no standardised errors: use distance="absolute".')
    read = _checks.column("std", std, n_rows=predictive.n_rows)
    if read.min() <= 0.0:
        raise DataError('A standard deviation of zero cannot measure an error: use distance="absolute".')
    return read
