"""What a repair is, and how the rows that it learns from are read."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats, Integers
from bayeshyper.diagnostics._words import plural
from bayeshyper.diagnostics.calibration.rows import warn_of_few
from bayeshyper.diagnostics.predictives import Predictive
from bayeshyper.errors import DataError

MIN_ROWS = 10
"""Fewer rows teach a repair nothing but themselves."""


class Repair(Protocol):
    """A repair that has learned: it makes a better prediction of the same kind from a prediction."""

    def __call__(self, predictive: Predictive, /) -> Predictive:
        """Repairs a prediction of any rows."""


class FitsRepair(Protocol):
    """What learns a repair from rows that the model was not trained on."""

    def __call__(self, predictive: Predictive, y: ArrayLike, /) -> Repair:
        """Learns from what was predicted and what happened."""


def of_numbers(predictive: Predictive, y: ArrayLike, *, least: int = MIN_ROWS) -> Floats:
    """Reads what happened to rows whose numbers were predicted, ``(N,)``.

    Raises:
        DataError: Where the prediction is of classes or of several columns, or there are too few rows.

    Example:
        >>> from bayeshyper.diagnostics import NormalPredictive
        >>> of_numbers(NormalPredictive([0.0] * 40, 1.0), range(40))[:2].tolist()
        [0.0, 1.0]
    """
    if predictive.task != "regression":
        raise DataError("This repair is for predicted numbers: got predicted classes.")
    if np.ndim(predictive.mean) > 1:
        raise DataError("A repair is for one column: take that of several apart, as predictive.column(0).")
    _enough(predictive.n_rows, least)
    return _checks.column("y", y, n_rows=predictive.n_rows)


def of_classes(
    predictive: Predictive, y: ArrayLike, *, least: int = MIN_ROWS, one_class: bool = False
) -> tuple[Floats, Integers]:
    """Reads the probabilities ``(N, C)`` and the numbers of the classes that happened ``(N,)``.

    Raises:
        DataError: Where the prediction is of numbers, there are too few rows, or all are of one class (unless
            ``one_class`` allows it).

    Example:
        >>> from bayeshyper.diagnostics import ClassPredictive
        >>> of_classes(ClassPredictive([[0.5, 0.5]] * 40), [0, 1] * 20)[1][:3].tolist()
        [0, 1, 0]
    """
    if predictive.task != "classification":
        raise DataError("This repair is for predicted classes: got predicted numbers.")
    _enough(predictive.n_rows, least)
    probs = _checks.probabilities(predictive.probs)
    index = _checks.class_numbers(y, predictive.classes, probs.shape[1], n_rows=len(probs))
    if not one_class and len(np.unique(index)) == 1:
        label = index[0] if predictive.classes is None else predictive.classes[index[0]]
        raise DataError(
            f"Every row is of class {label}: they say nothing about how sure one may be of the others. "
            "Learn a repair from rows of at least two classes."
        )
    return probs, index


def _enough(n_rows: int, least: int) -> None:
    if n_rows < least:
        raise DataError(f"A repair needs at least {plural(least, 'row')} to learn from: got {n_rows}.")
    warn_of_few(n_rows, "to learn a repair from")
