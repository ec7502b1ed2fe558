"""How often each class was predicted, and how often it happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats


@dataclass(frozen=True, eq=False)
class ClassFrequencies:
    """How often each class was predicted, on average, and how often it happened, ``(C,)``.

    ``p_values`` are NaN for classes with too few rows to judge.
    """

    stated: Floats
    observed: Floats
    p_values: Floats

    def to_dict(self) -> dict[str, Any]:
        """Returns the table as lists; a class with too few rows has the p-value None."""
        p_values = [float(p) if np.isfinite(p) else None for p in self.p_values]
        return {"stated": self.stated.tolist(), "observed": self.observed.tolist(), "p_values": p_values}


def class_frequencies(probs: ArrayLike, labels: ArrayLike) -> ClassFrequencies:
    """Compares the mean probability of each class with its share of the rows.

    The p-values are those of a normal approximation, given where the count's variance is at least 5.

    Example:
        >>> class_frequencies([[0.5, 0.5]] * 40, [0] * 20 + [1] * 20).p_values.tolist()
        [1.0, 1.0]
    """
    stated, happened = _checks.labelled(probs, labels)
    counts = np.bincount(happened, minlength=stated.shape[1])
    variance = np.einsum("nc,nc->c", stated, np.maximum(1.0 - stated, 0.0))
    judged = variance >= 5.0
    z = (counts - stated.sum(axis=0)) / np.sqrt(np.where(judged, variance, 1.0))
    return ClassFrequencies(
        stated=stated.mean(axis=0),
        observed=counts / len(stated),
        p_values=np.where(judged, 2.0 * stats.norm.sf(np.abs(z)), np.nan),
    )
