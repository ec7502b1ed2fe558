"""How much better one model is than another, row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats
from bayeshyper.diagnostics.scores.maker import ScoreMaker
from bayeshyper.diagnostics.scores.score import Score


def score_difference(
    first: ArrayLike,
    second: ArrayLike,
    *,
    statistic: Callable[[Floats], Floats] | None = None,
    seed: int = 0,
    n_bootstrap: int = 1000,
    **about: Any,
) -> Score:
    """Returns the first model's score less the second's on the same rows, with a paired bootstrap interval.

    Pairing removes what makes a row hard for both, so that the interval is far narrower than the two apart.

    Args:
        first: The first model's score of each row, ``(N,)``, as `crps_per_row` gives it.
        second: The second model's, of the same rows in the same order.
        statistic: Where the score is a function of the mean of the rows: ``np.sqrt`` on squared errors gives
            the difference of two RMSE.
        seed: Of the resampling.
        n_bootstrap: How many replicates.
        **about: Further fields of the `Score`: ``name``, ``label``, ``better``, ``unit``, ``explanation``.

    Returns:
        The difference; its value is None, with a reason, where a row is infinite.

    Raises:
        DataError: On NaN, and where the two differ in their number of rows.

    Example:
        >>> score_difference([1.0, 2.0, 4.0], [0.0, 1.0, 3.0]).value
        1.0
        >>> score_difference([9.0, 9.0], [4.0, 4.0], statistic=np.sqrt).value
        1.0
    """
    about = {"name": "difference", "label": "Difference", **about}
    one = _checks.column("first", first, finite=False)
    two = _checks.column("second", second, n_rows=len(one), finite=False)
    infinite = int((~(np.isfinite(one) & np.isfinite(two))).sum())
    if infinite:
        reason = f"One of the models has an infinite score for {infinite} of {len(one)} rows."
        return Score(**about, value=None, reason=reason)
    maker = ScoreMaker(seed, n_bootstrap)
    if statistic is None:
        return maker.mean(one - two, **about)
    return maker.function(
        np.stack([one, two], axis=1),
        lambda means: statistic(means[:, 0]) - statistic(means[:, 1]),
        **about,
    )
