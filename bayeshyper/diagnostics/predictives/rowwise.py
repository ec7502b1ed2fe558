"""What any prediction says of each row: its PIT, its log score and its CRPS."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats
from bayeshyper.diagnostics.calibration.pit import check_pit, randomized_pit
from bayeshyper.diagnostics.predictives.protocol import Predictive
from bayeshyper.diagnostics.scores.regression import crps_per_row
from bayeshyper.errors import DataError

_MAX_DRAWS, _DRAWS_IN_ALL = 400, 20_000_000  # for each row, and over all rows (160 MB)


def pit_values(predictive: Predictive, y: ArrayLike, *, seed: int = 0) -> Floats:
    """Returns the PIT of what happened, ``(N,)``: uniform if the prediction is calibrated.

    Of counts, whose distribution function jumps, and of draws, of which there are only so many, it is
    randomised.

    Args:
        predictive: Of numbers.
        y: What happened, ``(N,)``.
        seed: Of the randomisation.

    Raises:
        DataError: Where y or the distribution function is not one finite number per row, and where y is no
            count but the prediction is of counts.

    Example:
        >>> from bayeshyper.diagnostics import NormalPredictive
        >>> pit_values(NormalPredictive([0.0, 1.0], 1.0), [0.0, 1.0]).tolist()
        [0.5, 0.5]
    """
    discrete = bool(getattr(predictive, "discrete", False))
    seen = (_checks.counts if discrete else _checks.column)("y", y, n_rows=predictive.n_rows)

    def cdf(at: Floats) -> Floats:
        return _checks.column("cdf", predictive.cdf(at), n_rows=predictive.n_rows)

    own: Any = getattr(predictive, "pit", None)
    if own is not None:
        return check_pit(np.asarray(own(seen, seed=seed)))
    if discrete:
        return randomized_pit(cdf(seen - 1.0), cdf(seen), seed=seed)
    return check_pit(cdf(seen))


def log_scores(predictive: Predictive, y: ArrayLike) -> Floats:
    """Returns the log score of what happened, ``(N,)``; minus infinity where it was called impossible.

    Raises:
        DataError: Where it is NaN or plus infinity for a row, or not one number per row.

    Example:
        >>> from bayeshyper.diagnostics import ClassPredictive
        >>> log_scores(ClassPredictive([[1.0, 0.0], [0.5, 0.5]]), [1, 0]).round(2).tolist()
        [-inf, -0.69]
    """
    rows = _checks.column("log_prob", predictive.log_prob(y), n_rows=predictive.n_rows, finite=False)
    if (rows == np.inf).any():
        raise DataError("log_prob is plus infinity for a row: a density must be finite.")
    return rows


def crps_values(predictive: Predictive, y: ArrayLike, *, seed: int = 0) -> Floats:
    """Returns the CRPS of each row, ``(N,)``: the prediction's own, or by the fair estimator on its draws.

    Without a ``crps`` of its own, up to 400 draws are made for each row, but 20 million in all.

    Raises:
        DataError: Where y, the draws or the prediction's own CRPS is not finite, or not one number per row.

    Example:
        >>> from bayeshyper.diagnostics import NormalPredictive
        >>> crps_values(NormalPredictive([0.0], 1.0), [0.0]).round(4).tolist()
        [0.2337]
    """
    seen = _checks.column("y", y, n_rows=predictive.n_rows)
    own: Any = getattr(predictive, "crps", None)
    if own is not None:
        return _checks.column("crps", own(seen), n_rows=len(seen))
    n_draws = int(np.clip(_DRAWS_IN_ALL // len(seen), 20, _MAX_DRAWS))
    if not getattr(predictive, "has_density", True):  # it is draws, and to repeat some would favour them
        n_draws = min(n_draws, getattr(predictive, "n_draws", n_draws))
    return crps_per_row(predictive.sample(n_draws, seed=seed), seen)
