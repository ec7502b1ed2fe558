"""How sure a score is: the bootstrap for means and their functions, the binomial for shares.

Every score here is a mean over rows, or a function of such means (RMSE of the mean squared error, ECE of
the mean gap in each bin). So one engine serves all: it resamples rows and returns the means.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats
from bayeshyper.errors import DataError

MAX_UNITS = 5_000
"""Above this many rows, rows are dealt at random into this many groups and the groups are resampled."""

_CHUNK = 4_000_000  # entries of the (replicates, units) weight matrix held at once: 32 MB


def bootstrap_means(rows: ArrayLike, *, n_bootstrap: int = 1000, seed: int = 0) -> Floats:
    """Returns the column means of resampled rows, one line per bootstrap replicate.

    All columns share the resampled rows, so differences between columns are paired. Up to 5000 rows each
    row is resampled. Beyond that, rows are dealt at random into 5000 groups and whole groups are
    resampled: the spread of a mean is the same up to a relative error of about 1 %, at a cost that no
    longer grows with the number of rows.

    Args:
        rows: One value per row ``(N,)``, or several ``(N, K)``; numbers or booleans.
        n_bootstrap: How many replicates.
        seed: The same seed and number of rows resample the same rows.

    Returns:
        The means, ``(n_bootstrap,)`` or ``(n_bootstrap, K)``.

    Raises:
        DataError: With fewer than two rows, which say nothing about spread.

    Example:
        >>> bootstrap_means([1.0, 1.0, 1.0], n_bootstrap=2).tolist()
        [1.0, 1.0]
    """
    values = np.asarray(rows)
    if len(values) < 2:
        raise DataError(f"The bootstrap needs at least two rows: got {len(values)}.")
    table = values[:, None] if values.ndim == 1 else values
    rng = _checks.generator(seed)
    sums, counts = _units(table, rng)
    n_units = len(counts)
    means = np.empty((n_bootstrap, table.shape[1]))
    step = max(1, _CHUNK // n_units)
    for start in range(0, n_bootstrap, step):
        size = min(step, n_bootstrap - start)
        picked = rng.integers(n_units, size=(size, n_units)) + n_units * np.arange(size)[:, None]
        times = (
            np.bincount(picked.ravel(), minlength=size * n_units).reshape(size, n_units).astype(np.float64)
        )
        means[start : start + size] = (times @ sums) / (times @ counts)[:, None]
    return means[:, 0] if values.ndim == 1 else means


def bootstrap_interval(
    rows: ArrayLike,
    *,
    statistic: Callable[[Floats], Floats] | None = None,
    reflect: bool = False,
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Returns a bootstrap interval for the mean of the rows, or for a function of their means.

    Args:
        rows: ``(N,)`` or ``(N, K)``, as for `bootstrap_means`.
        statistic: Maps replicates ``(B,)`` or ``(B, K)`` to the statistic ``(B,)``; ``np.sqrt`` on squared
            errors gives the RMSE. Left out: the mean itself, which needs rows of shape ``(N,)``.
        reflect: Reflects the interval about the estimate (the "basic" bootstrap). For a statistic that
            noise pushes up, such as the ECE, percentiles would count that push twice.
        n_bootstrap: How many replicates.
        seed: The seed of the resampling.
        level: The share of the replicates inside.

    Raises:
        DataError: With fewer than two rows.

    Example:
        >>> low, high = bootstrap_interval([4.0, 9.0, 16.0, 25.0], statistic=np.sqrt)
        >>> bool(2.0 <= low < high <= 5.0)
        True
    """
    means = bootstrap_means(rows, n_bootstrap=n_bootstrap, seed=seed)
    replicates = means if statistic is None else statistic(means)
    tail = (1.0 - level) / 2.0
    low, high = (float(q) for q in np.quantile(replicates, [tail, 1.0 - tail]))
    if not reflect:
        return low, high
    centre = np.asarray(rows, dtype=np.float64).mean(axis=0, keepdims=True)
    point = float(np.ravel(centre if statistic is None else statistic(centre))[0])
    return 2.0 * point - high, 2.0 * point - low


def binomial_interval(successes: int, trials: int, *, level: float = 0.95) -> tuple[float, float]:
    """Returns the exact (Clopper-Pearson) interval for a share: honest at 0 %, at 100 % and for one row.

    Example:
        >>> [round(end, 3) for end in binomial_interval(5, 5)]
        [0.478, 1.0]
    """
    tail, misses = (1.0 - level) / 2.0, trials - successes
    low = special.betaincinv(successes, misses + 1, tail) if successes else 0.0
    high = special.betaincinv(successes + 1, misses, 1.0 - tail) if misses else 1.0
    return float(low), float(high)


def binomial_deviation(trials: ArrayLike, share: ArrayLike) -> Floats:
    """Returns E|X - np| of a binomial count, elementwise: what chance alone adds to an absolute gap.

    References:
        De Moivre (1730); Diaconis and Zabell (1991), Closed form summation.

    Example:
        >>> float(binomial_deviation(1, 0.5))
        0.5
    """
    n, p = np.asarray(trials, dtype=np.float64), np.asarray(share, dtype=np.float64)
    k = np.floor(n * p) + 1.0
    return np.asarray(2.0 * (1.0 - p) * k * stats.binom.pmf(k, n, p), dtype=np.float64)


def _units(table: NDArray[Any], rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Returns what is resampled: the sum ``(G, K)`` and the number of rows ``(G,)`` of each group."""
    n_rows = len(table)
    if n_rows <= MAX_UNITS:
        return table.astype(np.float64), np.ones(n_rows)
    order = rng.permutation(n_rows)
    starts = np.arange(MAX_UNITS, dtype=np.int64) * n_rows // MAX_UNITS
    # Column by column: a million rows of booleans stay a million bytes a column.
    sums = [np.add.reduceat(table[order, k].astype(np.float64), starts) for k in range(table.shape[1])]
    return np.stack(sums, axis=1), np.diff(starts, append=n_rows).astype(np.float64)
