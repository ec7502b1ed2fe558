"""Scores of predicted numbers, as plain numpy functions; the proper ones reward stating what one believes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats

_CHUNK = 2_000_000  # draws handled at once by the CRPS: tens of MB, whatever the table


def log_score(log_prob: ArrayLike) -> float:
    """Returns the mean log predictive density (or probability), in nats; higher is better.

    Args:
        log_prob: ``(N,)``, the log density that the prediction gave to what then happened.

    Raises:
        DataError: Where a value is NaN or infinite: one row that was called impossible has no finite score.

    Example:
        >>> log_score([-1.0, -3.0])
        -2.0
    """
    return float(_checks.column("log_prob", log_prob).mean())


def crps_per_row(samples: ArrayLike, y: ArrayLike) -> Floats:
    """Returns the continuous ranked probability score of each row, ``(N,)``; lower is better.

    The fair estimator, E|X - y| - ½ E|X - X'| without the pairs of a draw with itself: unbiased for any
    number of draws, so that it does not favour models with few (scoringrules, ``pwm``). Unbiased means that
    single rows can come out slightly negative.

    Args:
        samples: Posterior predictive draws ``(S, N)``, S ≥ 2.
        y: What happened, ``(N,)``.

    Raises:
        DataError: On other shapes, on NaN and on infinity.

    References:
        Gneiting and Raftery (2007), Strictly proper scoring rules; Ferro (2014), Fair scores.

    Example:
        >>> crps_per_row([[0.0], [2.0]], [1.0]).tolist()
        [0.0]
    """
    import scoringrules  # 0.7 s to import: paid by who asks for a CRPS, not by every `import bayeshyper`

    seen = _checks.column("y", y)
    drawn = _checks.draws(samples, n_rows=len(seen))
    rows = np.empty(len(seen))
    step = max(1, _CHUNK // drawn.shape[0])
    for start in range(0, len(seen), step):
        part = slice(start, start + step)
        rows[part] = scoringrules.crps_ensemble(
            seen[part], drawn[:, part].T, estimator="pwm", backend="numpy"
        )
    return rows


def crps(samples: ArrayLike, y: ArrayLike) -> float:
    """Returns the mean of `crps_per_row`, in the units of y; for a single certain guess it is |guess - y|.

    Example:
        >>> crps([[0.0, 5.0], [0.0, 5.0]], [1.0, 5.0])
        0.5
    """
    return float(crps_per_row(samples, y).mean())


def rmse(mean: ArrayLike, y: ArrayLike) -> float:
    """Returns the root of the mean squared error of the predicted mean, in the units of y.

    Example:
        >>> rmse([0.0, 0.0], [3.0, 3.0])
        3.0
    """
    seen = _checks.column("y", y)
    guess = _checks.column("mean", mean, n_rows=len(seen))
    return float(np.sqrt(np.mean((guess - seen) ** 2)))
