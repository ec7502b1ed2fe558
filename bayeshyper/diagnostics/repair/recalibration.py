"""Quantile recalibration: stated quantile levels are replaced by those at which it happened."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats
from bayeshyper.diagnostics.predictives import Predictive, pit_values
from bayeshyper.diagnostics.predictives.numbers import quantile_levels
from bayeshyper.diagnostics.repair.protocol import of_numbers
from bayeshyper.diagnostics.repair.wrapped import WrappedNumbers
from bayeshyper.errors import DataError
from bayeshyper.memory import check_answers

MAX_KNOTS, ROWS_PER_KNOT = 19, 50
"""At most every 5 %, and so many rows between them: each knot costs about half a nat over all of them."""

CLOSEST = 1e-15
"""Levels nearer to 0 or 1 than this cannot be told apart from them."""

POOL, LEAST_POOL = 1_000, 200
"""Draws whose ranks stand in for the distribution function where draws or a mean are asked for; of over
200,000 rows fewer."""

_DRAWS_IN_ALL = 200_000_000
_CHUNK = 4_000_000  # draws held together: 32 MB


@dataclass(frozen=True, eq=False)
class QuantileRecalibration:
    """The distribution function F becomes R(F), R rising through a few knots.

    R(F) is a distribution function again, on the same range, with the density R'(F) f. It is learned from the
    PIT: R takes the quantiles of the PIT to their levels, so that the recalibrated PIT is uniform. On the
    normal scale, Φ⁻¹ ∘ R ∘ Φ, it is straight between the knots, and goes on so beyond them (one knot: with
    slope 1): a normal forecast's wrong mean or spread is repaired exactly, far into the tails.

    Args:
        stated: Levels as the prediction states them ``(K,)``, rising and strictly between 0 and 1.
        observed: How often it happened below them ``(K,)``, likewise.

    References:
        Kuleshov, Fenner and Ermon (2018), Accurate uncertainties for deep learning (there isotonic, without
        a density).

    Example:
        >>> from bayeshyper.diagnostics import NormalPredictive
        >>> wider = QuantileRecalibration([0.05, 0.95], [0.25, 0.75])
        >>> wider(NormalPredictive([0.0], 1.0)).interval(0.5).round(3).tolist()
        [[-1.645, 1.645]]
    """

    stated: Floats
    observed: Floats

    def __post_init__(self) -> None:
        for name in ("stated", "observed"):
            levels = quantile_levels(getattr(self, name))
            if len(levels) == 0 or not (np.diff(levels) > 0).all():
                raise DataError(f"The {name} levels must rise: got {levels.tolist()}.")
            object.__setattr__(self, name, levels)
        _checks.column("observed", self.observed, n_rows=len(self.stated))

    @classmethod
    def fit(cls, predictive: Predictive, y: ArrayLike) -> QuantileRecalibration:
        """Learns the knots: every 5 %, or fewer where there are not 50 rows between two of them.

        Args:
            predictive: Of rows that the model was not trained on; of counts, the PIT is randomised.
            y: What happened, ``(N,)``.

        Raises:
            DataError: With fewer than 10 rows, and where all that happened is beyond what was predicted.
        """
        pit = pit_values(predictive, of_numbers(predictive, y))
        knots = int(np.clip(len(pit) // ROWS_PER_KNOT - 1, 1, MAX_KNOTS))
        observed = np.arange(1, knots + 1) / (knots + 1.0)
        stated = np.quantile(pit, observed, method="weibull")
        # Levels that coincide, or lie at an end, say no more than one of them, or than the end.
        kept = (np.diff(stated, prepend=0.0) > CLOSEST) & (stated < 1.0 - CLOSEST)
        if not kept.any():
            raise DataError("All that happened lies beyond what was predicted: no level can be replaced.")
        return cls(stated[kept], observed[kept])

    def __call__(self, predictive: Predictive) -> RecalibratedPredictive:
        """Repairs a prediction of numbers, counts among them."""
        return RecalibratedPredictive(predictive, self)

    def forward(self, levels: ArrayLike) -> Floats:
        """R, elementwise: the level at which it happened."""
        read = np.asarray(levels, dtype=np.float64)
        inner = special.ndtr(_through(_normal(read), _normal(self.stated), _normal(self.observed))[0])
        return np.where(read <= 0.0, 0.0, np.where(read >= 1.0, 1.0, inner))

    def backward(self, levels: ArrayLike) -> Floats:
        """R's inverse, elementwise; kept strictly between 0 and 1."""
        line = _through(_normal(levels), _normal(self.observed), _normal(self.stated))[0]
        return np.asarray(np.clip(special.ndtr(line), CLOSEST, 1.0 - CLOSEST))

    def log_slope(self, levels: ArrayLike) -> Floats:
        """log R', elementwise."""
        at = _normal(levels)
        line, slope = _through(at, _normal(self.stated), _normal(self.observed))
        return np.asarray(np.log(slope) + 0.5 * (at**2 - line**2))


class RecalibratedPredictive(WrappedNumbers):
    """A prediction whose quantile levels are replaced.

    Draws, the mean and the standard deviation come from 1000 draws for each row (of many rows 200, and five
    times as many as are asked for, if that is more) and their ranks:
    beyond the outermost of them nothing is drawn. A draw's rows do not belong together.

    Args:
        base: The prediction as it was.
        recalibration: The levels.
    """

    def __init__(self, base: Predictive, recalibration: QuantileRecalibration) -> None:
        super().__init__(base)
        self.recalibration = recalibration

    def log_prob(self, y: ArrayLike) -> Floats:
        """The log density (of counts: the log probability), ``(N,)``."""
        seen = _checks.column("y", y, n_rows=self.n_rows, finite=False)
        at = self.base.cdf(seen)
        smooth = np.asarray(self.base.log_prob(seen) + self.recalibration.log_slope(at))
        if not self.discrete:
            return smooth
        mass = self.recalibration.forward(at) - self.recalibration.forward(self.base.cdf(seen - 1.0))
        # So far out that the distribution function rises no more, its slope must do.
        return np.where(mass > 0.0, np.log(np.where(mass > 0.0, mass, 1.0)), smooth)

    def cdf(self, y: ArrayLike) -> Floats:
        """The distribution function, ``(N,)``."""
        return self.recalibration.forward(self.base.cdf(y))

    def pit(self, y: ArrayLike, seed: int = 0) -> Floats:
        """The PIT, ``(N,)``; randomised where the base's is."""
        return self.recalibration.forward(pit_values(self.base, y, seed=seed))

    def quantiles(self, levels: ArrayLike) -> Floats:
        """The quantiles at L levels strictly between 0 and 1, ``(N, L)``."""
        return self.base.quantiles(self.recalibration.backward(quantile_levels(levels)))

    @property
    def mean(self) -> Floats:
        """The predicted mean, ``(N,)``: the base's, and what the recalibration moves the mean of draws by."""
        return self._moments[0]

    @property
    def std(self) -> Floats:
        """The predicted standard deviation, ``(N,)``."""
        return self._moments[1]

    def sample(self, n: int = 1000, seed: int = 0) -> Floats:
        """n draws, ``(n, N)``, independent from row to row."""
        check_answers(n, self.n_rows)
        rng = _checks.generator(seed)
        drawn = np.empty((n, self.n_rows))
        for part, pool in self._pools(max(self._pool, 5 * n), seed):
            levels = self.recalibration.backward(rng.random((n, pool.shape[1])))
            place = np.clip(levels * (len(pool) + 1) - 1.0, 0.0, len(pool) - 1.0)
            low = np.ceil(place).astype(np.int64) if self.discrete else place.astype(np.int64)
            high = np.minimum(low + 1, len(pool) - 1)
            first, second = (np.take_along_axis(pool, index, axis=0) for index in (low, high))
            drawn[:, part] = first if self.discrete else first + (place - low) * (second - first)
        return drawn

    def rows(self, index: Any) -> RecalibratedPredictive:
        """The prediction of some of the rows."""
        return RecalibratedPredictive(self.base.rows(index), self.recalibration)

    @cached_property
    def _moments(self) -> tuple[Floats, Floats]:
        weights = np.diff(self.recalibration.forward(np.arange(self._pool + 1.0) / self._pool))
        mean, std = np.empty(self.n_rows), np.empty(self.n_rows)
        for part, pool in self._pools(self._pool, 0):
            centre = weights @ pool
            mean[part] = self.base.mean[part] + centre - pool.mean(axis=0)
            std[part] = np.sqrt(weights @ (pool - centre) ** 2)
        return mean, std

    @property
    def _pool(self) -> int:
        return int(np.clip(_DRAWS_IN_ALL // max(self.n_rows, 1), LEAST_POOL, POOL))

    def _pools(self, size: int, seed: int) -> Any:
        """Sorted draws of the base for chunks of rows, ``(size, rows)``."""
        step = max(1, _CHUNK // size)
        for start in range(0, self.n_rows, step):
            part = slice(start, min(start + step, self.n_rows))
            yield part, np.sort(self.base.rows(part).sample(size, seed=seed), axis=0)


def _normal(levels: ArrayLike) -> Floats:
    return np.asarray(special.ndtri(np.clip(levels, CLOSEST, 1.0 - CLOSEST)))


def _through(at: Floats, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """The value and the slope of straight lines through knots, the outermost going on."""
    if len(x) == 1:
        return y[0] + at - x[0], np.ones_like(at)
    piece = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    slopes = np.diff(y) / np.diff(x)
    return y[piece] + slopes[piece] * (at - x[piece]), slopes[piece]
