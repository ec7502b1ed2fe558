"""Predictions of numbers that are known by draws alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats
from bayeshyper.diagnostics.predictives.numbers import NumbersPredictive, quantile_levels
from bayeshyper.diagnostics.scores.regression import crps_per_row
from bayeshyper.errors import DataError
from bayeshyper.memory import check_answers

_CHUNK = 2_000_000  # draws looked at together: tens of MB, whatever the table


class SamplePredictive(NumbersPredictive):
    """Predictions of numbers known by draws alone, of any model: ``(S, N)``, S draws for each of N rows.

    What happened is taken to be one more draw. So the i-th smallest of S draws is the quantile at i/(S + 1),
    with straight lines between, and the central intervals hold their level on average for any S; ``cdf`` is
    the inverse. Below the smallest draw and above the largest, where nothing is known, quantiles stay at that
    draw, and ``cdf`` gives half of the 1/(S + 1) that lies beyond it. Of counts, ``cdf`` is the share of
    draws that are no larger, and a quantile is a draw.

    Args:
        samples: ``(S, N)``, S ≥ 2.
        discrete: Whether they are counts.

    Attributes:
        n_draws: S.
        n_rows: N.

    Raises:
        DataError: On other shapes, on NaN and on infinity.

    Example:
        >>> predictive = SamplePredictive([[1.0], [2.0], [4.0]])
        >>> predictive.quantiles([0.25, 0.5, 0.625]).tolist(), predictive.cdf([3.0]).tolist()
        ([[1.0, 2.0, 3.0]], [0.625])
    """

    has_density = False

    def __init__(self, samples: ArrayLike, *, discrete: bool = False) -> None:
        read = _checks.numbers("Samples", samples)
        if read.ndim == 3:
            raise DataError(
                f"Samples must have shape (S, N), one column per row: got shape {read.shape}. Of several "
                "targets, judge each alone, as samples[:, :, 0], or all together by energy_score."
            )
        if read.ndim != 2 or read.shape[1] == 0:
            raise DataError(f"Samples must have shape (S, N), one column per row: got shape {read.shape}.")
        self.samples = _checks.draws(read, n_rows=read.shape[1])
        self.n_draws, self.n_rows = self.samples.shape
        self.discrete = discrete
        if discrete and (self.samples != np.round(self.samples)).any():
            raise DataError(
                "Samples of counts must be whole numbers: leave out discrete=True, or round them."
            )

    @cached_property
    def mean(self) -> Floats:
        """The draws' mean, ``(N,)``."""
        mean: Floats = self.samples.mean(axis=0)
        return mean

    @cached_property
    def std(self) -> Floats:
        """The draws' standard deviation, ``(N,)``, with S - 1 below the line."""
        std: Floats = self.samples.std(axis=0, ddof=1)
        return std

    def log_prob(self, y: ArrayLike) -> Floats:
        """Not here: a density read off draws would depend on how they are smoothed.

        Raises:
            DataError: Always.
        """
        raise DataError(
            "Draws alone have no density, and so no log score: judge them by the CRPS and the PIT, or give "
            "a prediction with a density (NormalPredictive, or your model's own)."
        )

    def cdf(self, y: ArrayLike) -> Floats:
        """The distribution function at y, ``(N,)``."""
        seen = _checks.column("y", y, n_rows=self.n_rows, finite=False)
        return self._by_rows(self._discrete_cdf if self.discrete else self._continuous_cdf, seen)

    def pit(self, y: ArrayLike, seed: int = 0) -> Floats:
        """The randomised PIT, ``(N,)``: exactly uniform where y and the draws are alike, for any S.

        Of the S + 1 ranks that y can have among the draws, a uniform draw from within its own (and from
        within those it shares with equal draws).
        """
        seen = _checks.column("y", y, n_rows=self.n_rows, finite=False)
        inside = np.asarray(_checks.generator(seed).random(self.n_rows))

        def ranks(drawn: Floats, at: Floats, within: Floats) -> Floats:
            below, equal = (drawn < at).sum(axis=0), (drawn == at).sum(axis=0)
            return np.asarray(below + within * (equal + 1), dtype=np.float64)

        return np.asarray(self._by_rows(ranks, seen, inside) / (self.n_draws + 1))

    def crps(self, y: ArrayLike) -> Floats:
        """The CRPS, ``(N,)``, by the fair estimator on all draws (see `crps_per_row`)."""
        return crps_per_row(self.samples, y)

    def quantiles(self, levels: ArrayLike) -> Floats:
        """The quantiles at L levels strictly between 0 and 1, ``(N, L)``."""
        wanted = quantile_levels(levels)
        method: Literal["inverted_cdf", "weibull"] = "inverted_cdf" if self.discrete else "weibull"
        return self._by_rows(lambda drawn: np.quantile(drawn, wanted, axis=0, method=method).T)

    def sample(self, n: int = 1000, seed: int = 0) -> Floats:
        """n of the draws, ``(n, N)``, evenly from first to last; more than S are the same ones again.

        A draw keeps its place in all rows, and the seed changes nothing.
        """
        if n < 1:
            raise DataError(f"n must be at least 1: got {n}.")
        check_answers(n, self.n_rows)
        drawn: Floats = self.samples[np.arange(n) * self.n_draws // n]
        return drawn

    def rows(self, index: Any) -> SamplePredictive:
        """The prediction of some of the rows."""
        return SamplePredictive(
            self.samples[:, _checks.row_numbers(index, self.n_rows)], discrete=self.discrete
        )

    def _continuous_cdf(self, drawn: Floats, y: Floats) -> Floats:
        below, equal = (drawn < y).sum(axis=0), (drawn == y).sum(axis=0)
        last = np.where(drawn < y, drawn, -np.inf).max(axis=0)
        following = np.where(drawn > y, drawn, np.inf).min(axis=0)
        with np.errstate(invalid="ignore"):
            beyond = ~(np.isfinite(last) & np.isfinite(following))
            between = np.where(beyond, 0.5, (y - last) / np.where(beyond, 1.0, following - last))
        rank = below + np.where(equal > 0, (equal + 1) / 2.0, between)
        return np.asarray(rank / (len(drawn) + 1.0), dtype=np.float64)

    def _discrete_cdf(self, drawn: Floats, y: Floats) -> Floats:
        return np.asarray((drawn <= y).mean(axis=0), dtype=np.float64)

    def _by_rows(self, function: Callable[..., Floats], *columns: Floats) -> Floats:
        """Applies a function of draws ``(S, rows)``, and of the same rows of columns, to chunks of rows."""
        step = max(1, _CHUNK // self.n_draws)
        chunks = [slice(start, start + step) for start in range(0, self.n_rows, step)]
        return np.concatenate(
            [function(self.samples[:, part], *(column[part] for column in columns)) for part in chunks]
        )
