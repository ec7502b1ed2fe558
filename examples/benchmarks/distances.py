"""How far two sets of draws are apart: a classifier's accuracy, and Wasserstein distances of margins."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import wasserstein_distance
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer

from bayeshyper.errors import DataError

__all__ = ["c2st", "wasserstein"]

FOLDS = 5
# Fewer draws teach a classifier nothing, and tell nothing of its accuracy.
MIN_DRAWS = 50
HIDDEN = (64, 64)
QUANTILES = 1000


def c2st(first: ArrayLike, second: ArrayLike, seed: int = 0) -> float:
    """How often a classifier tells which of two sets a draw is from: 0.5 where it cannot, 1 where always.

    The accuracy of a network with two hidden layers on draws that it has not seen (Lopez-Paz & Oquab 2017,
    five folds). The best that any classifier can do is ½(1 + total variation distance), so the result is at
    most that but for chance, ½/√N for N draws in all. Margins are made normal by their ranks and then
    whitened, without which a network would be blind to thin directions and heavy tails.

    Args:
        first: ``(S, P)``.
        second: ``(S, P)``, as many as there are of the first.
        seed: Of the folds and of the network.

    Raises:
        DataError: Sets of unequal shape, of fewer than 50 draws, or with numbers that are not finite.

    Example:
        >>> draws = np.random.default_rng(0).normal(size=(2, 500, 3))
        >>> c2st(draws[0], draws[1]) < 0.55, c2st(draws[0], draws[1] + 2.0) > 0.9
        (True, True)
    """
    sets = _draws(first), _draws(second)
    if sets[0].shape != sets[1].shape or len(sets[0]) < MIN_DRAWS:
        raise DataError(
            f"Got draws of shape {sets[0].shape} and {sets[1].shape}, expected two sets of one shape, of at "
            f"least {MIN_DRAWS} draws."
        )
    draws, of_second = np.concatenate(sets), np.repeat([0, 1], len(sets[0]))
    quantiles = min(QUANTILES, len(sets[0]))
    classifier = make_pipeline(
        QuantileTransformer(n_quantiles=quantiles, output_distribution="normal", random_state=seed),
        PCA(whiten=True, random_state=seed),
        MLPClassifier(HIDDEN, early_stopping=True, alpha=1e-3, random_state=seed),
    )
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the best so far is what is asked for
        accuracies = cross_val_score(classifier, draws, of_second, cv=folds)
    return max(0.5, float(accuracies.mean()))


def wasserstein(first: ArrayLike, second: ArrayLike, scale: ArrayLike) -> NDArray[np.float64]:
    """The distance ∫|F⁻¹ − G⁻¹| of each number's margins, in units of its scale: ``(P,)``.

    A margin that is shifted by one scale is 1 away. Between a margin and independent draws of itself it is
    not 0, but some 1/√S.

    Args:
        first: ``(S, P)``.
        second: ``(T, P)``.
        scale: Of each number, ``(P,)``: the standard deviation of the one that is right.

    Raises:
        DataError: Other shapes, numbers that are not finite, or scales that are not positive.

    Example:
        >>> draws = np.random.default_rng(0).normal(size=(500, 2))
        >>> wasserstein(draws + [1.0, 3.0], draws, [1.0, 2.0]).round(6)
        array([1. , 1.5])
    """
    ours, theirs, scales = _draws(first), _draws(second), np.asarray(scale, dtype=np.float64)
    if scales.shape != ours.shape[1:] or ours.shape[1] != theirs.shape[1]:
        raise DataError(
            f"Got draws of shape {ours.shape} and {theirs.shape} and scales of shape {scales.shape}, "
            "expected (S, P), (T, P) and (P,)."
        )
    if not (np.isfinite(scales).all() and (scales > 0).all()):
        raise DataError("Got scales that are not positive and finite, expected standard deviations.")
    distances = [wasserstein_distance(*columns) for columns in zip(ours.T, theirs.T, strict=True)]
    return np.array(distances) / scales


def _draws(values: ArrayLike) -> NDArray[np.float64]:
    read = np.asarray(values, dtype=np.float64)
    if read.ndim != 2 or not np.isfinite(read).all():
        raise DataError(
            f"Got draws of shape {read.shape}, expected (S, P), all of them finite: "
            f"{np.count_nonzero(~np.isfinite(read))} numbers are not."
        )
    return read
