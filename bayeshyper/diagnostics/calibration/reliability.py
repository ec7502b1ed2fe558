"""Calibration of class probabilities: of the rows said to be 80 % sure, are 80 % right?

Top-label: a row's *confidence* is the probability of its likeliest class, and the question is whether that
class is the one that happened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Booleans, Floats, Integers
from bayeshyper.diagnostics.scores.bootstrap import binomial_deviation
from bayeshyper.errors import DataError

Binning: TypeAlias = Literal["equal-mass", "equal-width"]


@dataclass(frozen=True, eq=False)
class ReliabilityCurve:
    """Stated confidence against the share that was right, in bins ``(K,)``; empty bins are left out.

    ``lower`` and ``upper`` are consistency intervals: with at least 95 % probability they hold the accuracies
    of all bins at once if the probabilities are calibrated. They are no confidence intervals for a truth.
    """

    low: Floats
    high: Floats
    counts: Integers
    confidence: Floats
    accuracy: Floats
    lower: Floats
    upper: Floats

    @property
    def ece(self) -> float:
        """The mean gap between confidence and accuracy, bins weighted by their rows."""
        return float(self.counts @ np.abs(self.accuracy - self.confidence) / self.counts.sum())

    @property
    def ece_if_calibrated(self) -> float:
        """The ECE that chance alone gives on this many rows: the mean for calibrated probabilities.

        Each bin is taken as binomial at its mean confidence.
        """
        return float(binomial_deviation(self.counts, self.confidence).sum() / self.counts.sum())

    def to_dict(self) -> dict[str, Any]:
        """Returns the curve as lists."""
        names = ("low", "high", "counts", "confidence", "accuracy", "lower", "upper")
        return {name: getattr(self, name).tolist() for name in names}


def top_label(probs: ArrayLike, labels: ArrayLike) -> tuple[Floats, Booleans]:
    """Returns each row's confidence ``(N,)`` and whether its likeliest class is the one that happened.

    Example:
        >>> confidence, correct = top_label([[0.7, 0.3]], [1])
        >>> float(confidence[0]), bool(correct[0])
        (0.7, False)
    """
    stated, happened = _checks.labelled(probs, labels)
    return np.minimum(stated.max(axis=1), 1.0), stated.argmax(axis=1) == happened


def reliability_curve(
    confidence: ArrayLike,
    correct: ArrayLike,
    *,
    n_bins: int | None = None,
    binning: Binning = "equal-mass",
    level: float = 0.95,
) -> ReliabilityCurve:
    """Bins rows by confidence and compares each bin's mean confidence with its accuracy.

    Args:
        confidence: ``(N,)``, between 0 and 1.
        correct: ``(N,)`` booleans.
        n_bins: Left out: 15, and fewer below 300 rows, so that a bin holds about 20.
        binning: "equal-mass" (the same number of rows in each, the better estimate) or "equal-width".
        level: Of the consistency intervals, for all bins together.

    Example:
        >>> reliability_curve([0.8, 0.8, 0.6, 0.6], [True, True, True, False], n_bins=2).accuracy.tolist()
        [0.5, 1.0]
    """
    stated, right = check_confidence(confidence, correct)
    bins = n_bins if n_bins is not None else default_bins(len(stated))
    inner = bin_edges(stated, bins, binning)[1:-1]
    where = np.searchsorted(inner, stated, side="left")
    counts = np.bincount(where, minlength=len(inner) + 1)
    kept = counts > 0
    n = counts[kept].astype(np.int64)
    mean = np.minimum(np.bincount(where, stated, len(counts))[kept] / n, 1.0)
    hits = np.bincount(where, right, len(counts))[kept]
    order = np.argsort(where, kind="stable")
    ordered, starts = stated[order], np.cumsum(n) - n
    tail = (1.0 - level) / (2 * len(n))
    return ReliabilityCurve(
        low=np.minimum.reduceat(ordered, starts),
        high=np.maximum.reduceat(ordered, starts),
        counts=n,
        confidence=mean,
        accuracy=hits / n,
        lower=np.asarray(stats.binom.ppf(tail, n, mean), dtype=np.float64) / n,
        upper=np.asarray(stats.binom.ppf(1.0 - tail, n, mean), dtype=np.float64) / n,
    )


def default_bins(n_rows: int) -> int:
    """Returns 15 bins, or fewer where a bin would hold fewer than 20 rows.

    Example:
        >>> default_bins(100), default_bins(10_000)
        (5, 15)
    """
    return int(np.clip(n_rows // 20, 1, 15))


def bin_edges(confidence: ArrayLike, n_bins: int, binning: Binning = "equal-mass") -> Floats:
    """Returns the edges of the bins, ``(K + 1,)``; each bin holds its upper edge.

    With equal mass, equal confidences share a bin, so that ties can leave fewer bins; a tie at the top has
    a bin of its own.

    Example:
        >>> bin_edges([0.5, 0.6, 0.7, 0.8], 2).tolist()
        [0.5, 0.6, 0.8]
    """
    if n_bins < 1:
        raise DataError(f"n_bins must be at least 1: got {n_bins}.")
    if binning == "equal-width":
        return np.linspace(0.0, 1.0, n_bins + 1)
    if binning != "equal-mass":
        raise DataError(f'binning must be "equal-mass" or "equal-width": got {binning!r}.')
    ordered = np.sort(np.asarray(confidence, dtype=np.float64))
    last = np.ceil(len(ordered) * np.arange(1, n_bins) / n_bins).astype(np.int64) - 1
    inner, top = ordered[np.maximum(last, 0)], ordered[-1]
    if len(inner) and inner[-1] == top:
        below = ordered[ordered < top][-1:]
        inner = np.append(inner[inner < top], below)
    return np.concatenate([ordered[:1], np.unique(inner), ordered[-1:]])


def calibration_gaps(confidence: ArrayLike, correct: ArrayLike, edges: Floats) -> Floats:
    """Returns each row's gap, correct - confidence, in the column of its bin ``(N, K)``.

    The ECE is the sum of the absolute column means, so resampled means give its bootstrap.

    Example:
        >>> calibration_gaps([0.75], [True], np.array([0.5, 0.6, 1.0])).tolist()
        [[0.0, 0.25]]
    """
    stated, right = check_confidence(confidence, correct)
    where = np.searchsorted(edges[1:-1], stated, side="left")
    gaps = np.zeros((len(stated), max(len(edges) - 1, 1)))
    gaps[np.arange(len(stated)), where] = right - stated
    return gaps


@dataclass(frozen=True)
class ConfidenceTest:
    """Are the stated confidences those of a calibrated forecast?

    Args:
        gap: Accuracy less mean confidence: below 0 is over-confident.
        gap_p_value: How often chance alone gives a gap that large, in either direction.
        ece_p_value: How often chance alone gives an ECE that large.
    """

    gap: float
    gap_p_value: float
    ece_p_value: float


def confidence_test(curve: ReliabilityCurve, *, seed: int = 0, n_simulations: int = 4000) -> ConfidenceTest:
    """Compares the curve with curves simulated from calibrated probabilities, bin by bin.

    Each bin is simulated as binomial at its mean confidence: a little wider than the truth, which mixes
    confidences, so that the test errs on the side of not flagging.

    Example:
        >>> curve = reliability_curve([0.9] * 100, [True] * 60 + [False] * 40)
        >>> confidence_test(curve).gap_p_value < 0.001
        True
    """
    rng = _checks.generator(seed)
    n, p = curve.counts, curve.confidence
    gaps = rng.binomial(n, p, size=(n_simulations, len(n))) - n * p
    seen = n * (curve.accuracy - p)
    slack = 1e-9 * n.sum()  # counts that are equal must compare as equal
    as_wide = np.abs(gaps.sum(axis=1)) >= abs(seen.sum()) - slack
    as_large = np.abs(gaps).sum(axis=1) >= np.abs(seen).sum() - slack
    return ConfidenceTest(
        gap=float(seen.sum() / n.sum()),
        gap_p_value=float((1 + as_wide.sum()) / (1 + n_simulations)),
        ece_p_value=float((1 + as_large.sum()) / (1 + n_simulations)),
    )


def check_confidence(
    confidence: ArrayLike, correct: ArrayLike, *, names: tuple[str, str] = ("confidence", "correct")
) -> tuple[Floats, Floats]:
    """Reads confidences ``(N,)`` between 0 and 1, and whether each row was right as 0 or 1, ``(N,)``.

    A caller who calls the two otherwise gives their names.

    Raises:
        DataError: On other shapes and values.

    Example:
        >>> check_confidence([0.8], [True])[1].tolist()
        [1.0]
    """
    stated = _checks.column(names[0], confidence)
    right = _checks.column(names[1], correct, n_rows=len(stated))
    if stated.min() < 0.0 or stated.max() > 1.0:
        raise DataError(f"{names[0]} must lie between 0 and 1: got {stated.min():.6g} to {stated.max():.6g}.")
    if not np.isin(right, (0.0, 1.0)).all():
        raise DataError(f"{names[1]} must hold booleans, one for each row: got numbers other than 0 and 1.")
    return stated, right
