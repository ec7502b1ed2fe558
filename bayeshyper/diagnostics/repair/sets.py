"""Split conformal prediction of classes: sets of labels that hold the one that happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Booleans, Floats
from bayeshyper.diagnostics.predictives import ClassPredictive, Predictive
from bayeshyper.diagnostics.predictives.numbers import central_levels
from bayeshyper.diagnostics.repair.conformal import conformal_quantile
from bayeshyper.diagnostics.repair.protocol import of_classes
from bayeshyper.errors import DataError

Kind: TypeAlias = Literal["threshold", "adaptive"]

_SLACK = 1e-12  # sums of the same probabilities in another order differ by rounding


def credible_sets(probs: ArrayLike, level: float) -> Booleans:
    """Returns the likeliest classes of each row that together have the level's probability, ``(N, C)``.

    What the sets would be if the probabilities were right; conformal ones need not believe that.

    Example:
        >>> credible_sets([[0.6, 0.3, 0.1]], 0.8).tolist()
        [[True, True, False]]
    """
    central_levels(level)
    stated = _checks.probabilities(probs)
    return np.asarray(_mass_below(stated) + stated > 1.0 - level + _SLACK)


@dataclass(frozen=True, eq=False)
class ConformalSets:
    """Label sets with the conformal guarantee (see `bayeshyper.diagnostics.repair.conformal`).

    Args:
        scores: How far off the prediction was on other rows, ``(n,)``.
        kind: "threshold" (LAC): a label's score is less its probability, which gives the smallest sets on
            average, and may leave some empty; those get the likeliest label. "adaptive" (APS): its score is
            less the probability of all less likely labels, which gives larger sets where a row is hard.

    References:
        Sadinle, Lei and Wasserman (2019); Romano, Sesia and Candès (2020), without randomisation.

    Example:
        >>> stated = ClassPredictive([[0.7, 0.2, 0.1]] * 40, ["a", "b", "c"])
        >>> repaired = ConformalSets.fit(stated, ["a"] * 28 + ["b"] * 8 + ["c"] * 4)(stated)
        >>> repaired.sets(0.8)[0].tolist()
        [True, True, False]
    """

    scores: Floats
    kind: Kind = "threshold"

    @classmethod
    def fit(cls, predictive: Predictive, y: ArrayLike, *, kind: Kind = "threshold") -> ConformalSets:
        """Takes the scores of the labels that happened on rows that the model was not trained on.

        Raises:
            DataError: Where y or the prediction cannot be read.
        """
        probs, index = of_classes(predictive, y, least=1, one_class=True)
        return cls(np.take_along_axis(_scores(probs, kind), index[:, None], axis=1)[:, 0], kind)

    def __call__(self, predictive: Predictive) -> ConformalClasses:
        """Repairs a prediction of classes."""
        return ConformalClasses(predictive.probs, predictive.classes, self)

    def sets(self, probs: ArrayLike, level: float) -> Booleans:
        """Which labels are in the set of each row, ``(N, C)``.

        Raises:
            DataError: With too few rows learned from for this level.
        """
        most = conformal_quantile(self.scores, level)
        stated = _checks.probabilities(probs)
        inside = _scores(stated, self.kind) <= most
        inside[np.arange(len(stated)), stated.argmax(axis=1)] = True
        return inside


class ConformalClasses(ClassPredictive):
    """Class probabilities as they were, with conformal label sets.

    Args:
        probs: ``(N, C)``.
        classes: The labels ``(C,)``, or None.
        conformal: What makes the sets.
    """

    def __init__(self, probs: ArrayLike, classes: ArrayLike | None, conformal: ConformalSets) -> None:
        super().__init__(probs, classes)
        self._conformal = conformal

    def sets(self, level: float = 0.9) -> Booleans:
        """Which labels are in the set of each row, ``(N, C)``.

        Raises:
            DataError: With too few rows learned from for this level.
        """
        return self._conformal.sets(self.probs, level)

    def rows(self, index: Any) -> ConformalClasses:
        """The prediction of some of the rows."""
        chosen = self.probs[_checks.row_numbers(index, self.n_rows)]
        return ConformalClasses(chosen, self.classes, self._conformal)


def _scores(probs: Floats, kind: Kind) -> Floats:
    """How strange each label would be, ``(N, C)``: 1 less than in the papers, to keep the digits near 1."""
    if kind == "threshold":
        return -probs
    if kind == "adaptive":
        return -_mass_below(probs)
    raise DataError(f'kind must be "threshold" or "adaptive": got {kind!r}.')


def _mass_below(probs: Floats) -> Floats:
    """The probability of all less likely labels than each, ``(N, C)``."""
    order = np.argsort(probs, axis=1, kind="stable")
    below = np.zeros_like(probs)
    below[:, 1:] = np.cumsum(np.take_along_axis(probs, order, axis=1)[:, :-1], axis=1)
    mass = np.empty_like(probs)
    np.put_along_axis(mass, order, below, axis=1)
    return mass
