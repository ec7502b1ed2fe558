"""Scores of predictions: what they are, as plain numpy functions, and how one is reported.

The proper scores (log score, CRPS, Brier) reward exactly one thing: stating the probabilities that one
believes. RMSE and accuracy look at the best guess alone; coverage and sharpness look at the intervals alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats
from bayeshyper.errors import DataError

Better: TypeAlias = Literal["higher", "lower", "nominal"]

_CHUNK = 2_000_000  # draws handled at once by the CRPS: tens of MB, whatever the table


@dataclass(frozen=True)
class Score:
    """One score with its interval, and what it means in plain words.

    A score that cannot be computed has the value None and a reason, never a wrong number.

    Args:
        name: The key, as in metrics.json: ``"crps"``.
        label: The name that people read: ``"CRPS"``.
        value: The score, or None.
        lower: The lower end of its interval, or None where there is none.
        upper: The upper end.
        better: Whether "higher" or "lower" is better, or the value should be near a "nominal" one.
        nominal: That nominal value.
        unit: What it is measured in; ``"share"`` is shown in per cent.
        method: Where the interval comes from: "bootstrap" or "exact binomial".
        explanation: One sentence for somebody who has never met the score.
        reason: Why the value, or else the interval, is missing.

    Example:
        >>> Score("rmse", "RMSE", 2.0, 1.5, 2.5, better="lower").value
        2.0
    """

    name: str
    label: str
    value: float | None
    lower: float | None = None
    upper: float | None = None
    better: Better = "higher"
    nominal: float | None = None
    unit: str = ""
    method: str = "bootstrap"
    explanation: str = ""
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as JSON knows them."""
        return asdict(self)


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


def brier_per_row(probs: ArrayLike, labels: ArrayLike) -> Floats:
    """Returns the Brier score of each row, ``(N,)``; lower is better.

    The squared distance between the stated probabilities and what happened, from 0 to 2; with two classes
    it is halved, from 0 to 1, as scikit-learn and most texts do.

    Args:
        probs: Class probabilities ``(N, C)``.
        labels: The number of the class that happened, ``(N,)``.

    Raises:
        DataError: On other shapes, probabilities that do not sum to one, and unknown class numbers.

    Example:
        >>> brier_per_row([[0.5, 0.5], [0.0, 1.0]], [0, 1]).tolist()
        [0.25, 0.0]
    """
    stated = _checks.probabilities(probs)
    happened = _checks.label_indices(labels, stated.shape[1], n_rows=len(stated))
    of_happened = np.take_along_axis(stated, happened[:, None], axis=1)[:, 0]
    # Σ_k (p_k - 1[k = y])² = Σ p² - p_y² + (1 - p_y)², without building a one-hot table.
    rows: Floats = np.einsum("nc,nc->n", stated, stated) - of_happened**2 + (1.0 - of_happened) ** 2
    return rows / 2.0 if stated.shape[1] == 2 else rows


def brier(probs: ArrayLike, labels: ArrayLike) -> float:
    """Returns the mean of `brier_per_row`.

    Example:
        >>> brier([[0.5, 0.5], [0.0, 1.0]], [0, 1])
        0.125
    """
    return float(brier_per_row(probs, labels).mean())


def rmse(mean: ArrayLike, y: ArrayLike) -> float:
    """Returns the root of the mean squared error of the predicted mean, in the units of y.

    Example:
        >>> rmse([0.0, 0.0], [3.0, 3.0])
        3.0
    """
    seen = _checks.column("y", y)
    guess = _checks.column("mean", mean, n_rows=len(seen))
    return float(np.sqrt(np.mean((guess - seen) ** 2)))


def accuracy(probs: ArrayLike, labels: ArrayLike) -> float:
    """Returns the share of rows whose likeliest class is the one that happened.

    Example:
        >>> accuracy([[0.9, 0.1], [0.6, 0.4]], [0, 1])
        0.5
    """
    stated = _checks.probabilities(probs)
    happened = _checks.label_indices(labels, stated.shape[1], n_rows=len(stated))
    return float(np.mean(stated.argmax(axis=1) == happened))


def interval_coverage(intervals: ArrayLike, y: ArrayLike) -> float:
    """Returns the share of rows that lie inside their interval, ends included.

    Args:
        intervals: Lower and upper ends ``(N, 2)``.
        y: What happened, ``(N,)``.

    Example:
        >>> interval_coverage([[0.0, 1.0], [0.0, 1.0]], [0.5, 3.0])
        0.5
    """
    seen = _checks.column("y", y)
    ends = _ends(intervals, n_rows=len(seen))
    return float(np.mean((ends[:, 0] <= seen) & (seen <= ends[:, 1])))


def sharpness(intervals: ArrayLike) -> float:
    """Returns the mean width of the intervals: of two calibrated models, the narrower one knows more.

    Example:
        >>> sharpness([[0.0, 1.0], [0.0, 3.0]])
        2.0
    """
    ends = _ends(intervals)
    return float(np.mean(ends[:, 1] - ends[:, 0]))


def _ends(intervals: ArrayLike, *, n_rows: int | None = None) -> Floats:
    ends = np.asarray(intervals, dtype=np.float64)
    if ends.ndim != 2 or ends.shape[1] != 2 or len(ends) == 0 or (n_rows is not None and len(ends) != n_rows):
        wanted = "N" if n_rows is None else n_rows
        raise DataError(f"Intervals must have shape ({wanted}, 2), lower and upper end: got {ends.shape}.")
    if np.isnan(ends).any() or (ends[:, 0] > ends[:, 1]).any():
        raise DataError("Intervals must have a lower end that is not above the upper one, and no NaN.")
    return ends
