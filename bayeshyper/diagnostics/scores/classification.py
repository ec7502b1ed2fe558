"""Scores of class probabilities, as plain numpy functions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats


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
    stated, happened = _checks.labelled(probs, labels)
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


def accuracy(probs: ArrayLike, labels: ArrayLike) -> float:
    """Returns the share of rows whose likeliest class is the one that happened.

    Example:
        >>> accuracy([[0.9, 0.1], [0.6, 0.4]], [0, 1])
        0.5
    """
    stated, happened = _checks.labelled(probs, labels)
    return float(np.mean(stated.argmax(axis=1) == happened))
