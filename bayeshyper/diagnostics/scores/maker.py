"""Scores with intervals, all of one evaluation from the same resampled rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats
from bayeshyper.diagnostics.scores.bootstrap import binomial_interval, bootstrap_interval
from bayeshyper.diagnostics.scores.score import Score
from bayeshyper.errors import DataError


@dataclass(frozen=True)
class ScoreMaker:
    """Makes a `Score` from one value per row; further fields of the score are passed by name."""

    seed: int
    n_bootstrap: int

    def __post_init__(self) -> None:
        if self.n_bootstrap < 1:
            raise DataError(f"n_bootstrap must be at least 1: got {self.n_bootstrap}.")
        _checks.generator(self.seed)  # which refuses what is no seed

    def mean(self, rows: Any, **about: Any) -> Score:
        """A score that is the mean of the rows."""
        values = np.asarray(rows, dtype=np.float64)
        if not np.isfinite(values).all():
            bad = int((~np.isfinite(values)).sum())
            return Score(**about, value=None, reason=f"It is infinite for {bad} of {len(values)} rows.")
        return self.function(values, lambda means: means, **about)

    def function(
        self, rows: Any, statistic: Callable[[Floats], Floats], *, reflect: bool = False, **about: Any
    ) -> Score:
        """A score that is a function of the mean of the rows."""
        table = np.asarray(rows)
        value = float(statistic(table.mean(axis=0, keepdims=True))[0])
        if not np.isfinite(value):
            return Score(**about, value=None, reason="It is too large to compute.")
        if len(table) < 2:
            return Score(**about, value=value, reason="One row says nothing about the spread of a score.")
        low, high = bootstrap_interval(
            table, statistic=statistic, reflect=reflect, n_bootstrap=self.n_bootstrap, seed=self.seed
        )
        # A reflected interval can miss a statistic that lies below what chance alone gives: widen it then.
        return Score(
            **about,
            value=value,
            lower=max(min(low, value), 0.0) if reflect else min(low, value),
            upper=max(high, value),
        )

    def share(self, hits: Any, **about: Any) -> Score:
        """A score that is a share of the rows, with its exact interval."""
        n, successes = len(hits), int(np.count_nonzero(hits))
        lower, upper = binomial_interval(successes, n)
        method = "exact binomial"
        return Score(**about, value=successes / n, lower=lower, upper=upper, unit="share", method=method)
