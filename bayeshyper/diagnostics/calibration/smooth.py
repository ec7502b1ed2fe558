"""The smooth calibration error: no bins, and so no number that jumps with where they lie."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import fft, integrate, optimize

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats
from bayeshyper.diagnostics.calibration.reliability import check_confidence

_NODES = 2**14
_NARROWEST = 4.0 / _NODES  # below this width the nodes would show


def smooth_calibration_error(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Returns the smooth ECE: the mean absolute gap between confidence and accuracy, both smoothed.

    Smoothed by a Gaussian, reflected at 0 and 1, whose width is the error itself: the one h at which the
    error at width h is h. Rows are dealt to 16,385 nodes and smoothed by a cosine transform, exact to a
    relative 1e-3 for errors above 0.001 (and to 1e-5 for those above 0.01), in milliseconds for 10⁶ rows.

    Args:
        confidence: The stated probability of an event ``(N,)``.
        correct: Whether it happened, ``(N,)`` booleans.

    Raises:
        DataError: On values outside 0 to 1 and NaN.

    References:
        Błasiok and Nakkiran (2024), Smooth ECE: principled reliability diagrams via kernel smoothing.

    Example:
        >>> round(smooth_calibration_error([0.9] * 100, [True] * 70 + [False] * 30), 3)
        0.2
    """
    stated, right = check_confidence(confidence, correct)
    return _fixed_point(_on_nodes(stated, right - stated) / len(stated))


def smooth_error_if_calibrated(confidence: ArrayLike, *, n_simulations: int = 50, seed: int = 0) -> float:
    """Returns the mean `smooth_calibration_error` that chance alone gives at these stated probabilities.

    Example:
        >>> 0.03 < smooth_error_if_calibrated(np.full(100, 0.8)) < 0.035
        True
    """
    stated, _ = check_confidence(confidence, np.zeros(np.shape(confidence)))
    rng = _checks.generator(seed)
    used, node = np.unique(np.rint(stated * _NODES).astype(np.int64), return_inverse=True)
    counts, total = np.bincount(node), np.bincount(node, stated)
    errors = np.empty(n_simulations)
    for b in range(n_simulations):
        residual = np.zeros(_NODES + 1)
        residual[used] = (rng.binomial(counts, np.minimum(total / counts, 1.0)) - total) / len(stated)
        errors[b] = _fixed_point(residual)
    return float(errors.mean())


def _on_nodes(stated: Floats, residual: Floats) -> Floats:
    """Splits each row between the two nodes around it, so that no mass moves on average."""
    place = stated * _NODES
    left = np.minimum(place.astype(np.int64), _NODES - 1)
    share = place - left
    nodes = np.bincount(left, residual * (1.0 - share), minlength=_NODES + 1).astype(np.float64)
    nodes[1:] += np.bincount(left, residual * share, minlength=_NODES)
    return nodes


def _fixed_point(residual: Floats) -> float:
    if np.abs(residual).sum() <= _NARROWEST:
        return float(np.abs(residual).sum())  # the error at width 0, an upper bound for all others
    doubled = residual.copy()
    doubled[[0, -1]] *= 2.0  # an end is its own mirror image
    waves = fft.dct(doubled, type=1)
    frequency = np.pi * np.arange(_NODES + 1)

    def excess(width: float) -> float:
        smoothed = fft.idct(waves * np.exp(-0.5 * (frequency * width) ** 2), type=1) * _NODES
        return float(integrate.trapezoid(np.abs(smoothed), dx=1.0 / _NODES)) - width

    if excess(_NARROWEST) <= 0.0:
        return _NARROWEST + excess(_NARROWEST)
    return float(optimize.brentq(excess, _NARROWEST, 1.0, xtol=1e-9))
