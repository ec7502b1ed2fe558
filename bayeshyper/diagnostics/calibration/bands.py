"""The band that a curve of n uniform values stays inside at all levels at once."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import stats

from bayeshyper.diagnostics._checks import Floats

LEVELS: Floats = np.arange(1, 100) / 100.0


@lru_cache(maxsize=64)
def uniform_band(n_rows: int, *, level: float = 0.95, n_simulations: int = 1000) -> tuple[Floats, Floats]:
    """Bounds the empirical distribution function of n uniform values at 1 %, 2 %, … 99 %, all at once.

    The pointwise binomial level is lowered until that share of simulated curves stays inside everywhere.
    Counts between the levels are multinomial, so a simulation costs the same for any number of rows. Models
    that are compared have the same rows, hence the cache.

    Returns:
        The lower and the upper bound at `LEVELS`, ``(99,)`` each and not to be written to.

    References:
        Säilynoja, Bürkner and Vehtari (2022), Graphical test for discrete uniformity and its applications in
        goodness-of-fit evaluation and multiple sample comparison.

    Example:
        >>> lower, upper = uniform_band(100)
        >>> bool(lower[49] < 0.4 < 0.6 < upper[49])
        True
    """
    rng = np.random.default_rng(0)
    between = np.diff(LEVELS, prepend=0.0, append=1.0)
    counts = rng.multinomial(n_rows, between / between.sum(), size=n_simulations)[:, :-1].cumsum(axis=1)
    below = stats.binom.cdf(counts, n_rows, LEVELS)
    above = stats.binom.sf(counts - 1, n_rows, LEVELS)
    pointwise = float(np.quantile(2.0 * np.minimum(below, above).min(axis=1), 1.0 - level, method="lower"))
    tail = min(pointwise, 1.0) / 2.0
    lower = np.asarray(stats.binom.ppf(tail, n_rows, LEVELS), dtype=np.float64) / n_rows
    upper = np.asarray(stats.binom.isf(tail, n_rows, LEVELS), dtype=np.float64) / n_rows
    lower.flags.writeable = upper.flags.writeable = False
    return lower, upper
