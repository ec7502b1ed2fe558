"""CORP: a reliability curve without bins.

The recalibrated probabilities are the isotonic regression of what happened on what was stated: the best
increasing correction there is for these rows. How much it gains is the miscalibration.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats
from bayeshyper.diagnostics.calibration.decomposition import BrierDecomposition, Steps
from bayeshyper.diagnostics.calibration.reliability import check_confidence
from bayeshyper.errors import DataError

_CELLS = 1000  # neighbours are drawn together beyond that many distinct probabilities
_WHOLE_DRAWS = 20  # and so many of all rows, for the mean alone
_CORNERS = 200  # at most that many ends of the steps of a curve are kept
_GRID = 100  # and that many points between them, where the band is given too


@dataclass(frozen=True, eq=False)
class CORPCurve:
    """The CORP reliability diagram: stated against recalibrated probability, ``(K,)`` points with K ≤ 300.

    Between the points the curve is linear.

    Args:
        probability: What was stated, increasing.
        recalibrated: The share that happened, by isotonic regression.
        lower: The consistency band: at each point by itself, the recalibrated probability of a calibrated
            forecast lies from here to ``upper`` with the probability ``level``. It is no band for the truth.
        upper: Likewise.
        level: Of the band, pointwise.
        decomposition: Of the Brier score of these probabilities.
        miscalibration_if_calibrated: The mean miscalibration that chance alone gives.
        p_value: How often chance alone gives a miscalibration that large.
    """

    probability: Floats
    recalibrated: Floats
    lower: Floats
    upper: Floats
    level: float
    decomposition: BrierDecomposition
    miscalibration_if_calibrated: float
    p_value: float

    @property
    def miscalibration(self) -> float:
        """MCB, what recalibration would gain in Brier score."""
        return self.decomposition.miscalibration

    @property
    def discrimination(self) -> float:
        """DSC, what the recalibrated probabilities gain over the base rate."""
        return self.decomposition.discrimination

    @property
    def uncertainty(self) -> float:
        """UNC, the Brier score of the base rate."""
        return self.decomposition.uncertainty

    def to_dict(self) -> dict[str, Any]:
        """Returns the curve as lists and numbers."""
        curve = {n: getattr(self, n).tolist() for n in ("probability", "recalibrated", "lower", "upper")}
        parts = ("level", "miscalibration", "discrimination", "uncertainty")
        return {
            **curve,
            **{name: getattr(self, name) for name in parts},
            "miscalibration_if_calibrated": self.miscalibration_if_calibrated,
            "p_value": self.p_value,
        }


def corp_curve(
    probability: ArrayLike,
    happened: ArrayLike,
    *,
    level: float = 0.95,
    n_simulations: int = 1000,
    seed: int = 0,
) -> CORPCurve:
    """Returns the reliability of stated probabilities, without bins, with its consistency band.

    For the band, outcomes are drawn from the stated probabilities, and the curve is fitted to them again (as
    in the R package reliabilitydiag, but to the same rows rather than to rows drawn with replacement, whose
    repeats smooth the curve). Beyond 1000 distinct probabilities neighbours are first joined to 1000 cells
    of equal size, so that a million rows take seconds.

    Args:
        probability: The stated probability of an event ``(N,)``: of a class, or of the likeliest one.
        happened: Whether it happened, ``(N,)`` booleans.
        level: Of the band, at each point by itself.
        n_simulations: How many such curves the band is made of.
        seed: Of the draws.

    Raises:
        DataError: On values outside 0 to 1, NaN, and fewer than two rows.

    References:
        Dimitriadis, Gneiting and Jordan (2021), Stable reliability diagrams for probabilistic classifiers.

    Example:
        >>> stated = np.repeat([0.2, 0.8], 50)
        >>> curve = corp_curve(stated, np.arange(100) >= 40)
        >>> curve.recalibrated[[0, -1]].tolist(), round(curve.miscalibration, 3)
        ([0.2, 1.0], 0.02)
    """
    stated, outcome = check_confidence(probability, happened, names=("probability", "happened"))
    if len(stated) < 2:
        raise DataError("One row makes no curve: give at least two rows.")
    tail = (1.0 - _checks.share("level", level)) / 2.0
    steps = Steps.of(stated, outcome)
    cells = steps.joined(_CELLS)
    rng = _checks.generator(seed)
    redrawn = list(cells.redrawn(n_simulations, rng))
    by_chance = _miscalibrations(redrawn)
    # Joining hides some of what chance adds: the mean to compare with is that of all rows.
    whole = by_chance if cells is steps else _miscalibrations(steps.redrawn(_WHOLE_DRAWS, rng))
    low, high = np.quantile([again.recalibrated for again in redrawn], [tail, 1.0 - tail], axis=0)
    points = _points(steps)
    seen = cells.decomposition().miscalibration
    return CORPCurve(
        probability=points,
        recalibrated=np.interp(points, steps.stated, steps.recalibrated),
        lower=np.interp(points, cells.stated, low),
        upper=np.interp(points, cells.stated, high),
        level=level,
        decomposition=steps.decomposition(),
        miscalibration_if_calibrated=float(whole.mean()),
        p_value=float((1 + (by_chance >= seen - 1e-12).sum()) / (1 + n_simulations)),
    )


def _miscalibrations(redrawn: Iterable[Steps]) -> Floats:
    return np.array([again.decomposition().miscalibration for again in redrawn])


def _points(steps: Steps) -> Floats:
    """Where a curve is given: at the ends of its steps, and in between for the band."""
    rises = np.diff(steps.recalibrated) > 0.0
    corners = steps.stated[np.append(True, rises) | np.append(rises, True)]
    if len(corners) > _CORNERS:
        corners = corners[np.linspace(0, len(corners) - 1, _CORNERS).round().astype(np.int64)]
    between = np.linspace(steps.stated[0], steps.stated[-1], _GRID)
    return np.unique(np.concatenate([corners, between]))
