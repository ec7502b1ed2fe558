"""Predictions of classes that are known by their probabilities alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats, Integers
from bayeshyper.errors import DataError
from bayeshyper.memory import check_answers


class ClassPredictive:
    """Class probabilities for each row, of any model.

    Args:
        probs: ``(N, C)``, not negative and one in sum for each row.
        classes: The labels ``(C,)``, in the order of the columns; None for 0 to C - 1.

    Raises:
        DataError: On other shapes, probabilities that do not sum to one, and labels that are there twice.

    Example:
        >>> predictive = ClassPredictive([[0.75, 0.25], [0.5, 0.5]], ["cat", "dog"])
        >>> predictive.log_prob(["cat", "dog"]).round(3).tolist()
        [-0.288, -0.693]
    """

    task = "classification"

    def __init__(self, probs: ArrayLike, classes: ArrayLike | None = None) -> None:
        self.probs = _checks.probabilities(probs)
        self.classes = None if classes is None else _checks.array("Classes", classes)
        labels = self._labels
        if labels.shape != (self.probs.shape[1],) or len(set(labels.tolist())) < len(labels):
            raise DataError(
                f"Classes must be {self.probs.shape[1]} different labels, one per column of the "
                f"probabilities: got {labels.tolist()!r}."
            )

    @property
    def n_rows(self) -> int:
        """N."""
        return len(self.probs)

    def log_prob(self, y: ArrayLike) -> Floats:
        """The log probability of the labels that happened, ``(N,)``; minus infinity where it was zero.

        Raises:
            DataError: A label that is none of the classes.
        """
        happened = np.take_along_axis(self.probs, self.encode(y)[:, None], axis=1)[:, 0]
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(happened))

    def encode(self, labels: ArrayLike) -> Integers:
        """The labels' places among the classes, ``(N,)``."""
        return _checks.class_numbers(labels, self.classes, self.probs.shape[1], n_rows=self.n_rows)

    def sample(self, n: int = 1000, seed: int = 0) -> NDArray[Any]:
        """n labels for each row, ``(n, N)``, independent from row to row."""
        check_answers(n, self.n_rows)
        edges = np.cumsum(self.probs, axis=1)[:, :-1]
        uniform = _checks.generator(seed).random((n, self.n_rows))
        drawn: NDArray[Any] = self._labels[sum(uniform >= edge for edge in edges.T)]
        return drawn

    def rows(self, index: Any) -> ClassPredictive:
        """The prediction of some of the rows."""
        return ClassPredictive(self.probs[_checks.row_numbers(index, self.n_rows)], self.classes)

    @property
    def _labels(self) -> NDArray[Any]:
        return np.arange(self.probs.shape[1]) if self.classes is None else self.classes

    def __getattr__(self, name: str) -> Any:
        if name in ("mean", "cdf", "quantiles", "interval"):
            raise AttributeError(f"{name} belongs to regression; this prediction is of classes.")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
