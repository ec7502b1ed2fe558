"""The column to predict: which task it asks for, whether it can be learned, and its scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import column_or_1d

from bayeshyper.data.balance import imbalance
from bayeshyper.data.classes import as_python, check_classes
from bayeshyper.data.columns import LARGEST, doubt, plain_numbers
from bayeshyper.data.names import check_text
from bayeshyper.errors import ClassImbalanceWarning, DataError, DataWarning, warn

__all__ = ["TargetScaler", "Task", "category_order", "check_target", "infer_task"]

Task = Literal["regression", "classification"]

MOST_CLASSES = 10
# Numbers below it have fewer digits the smaller they are.
LEAST = np.finfo(np.float64).tiny


def infer_task(y: Any) -> Task:
    """Reads the task off a target's values.

    Text, booleans and categoricals ask for classification, numbers with fractions for regression. Whole
    numbers ask for classification where there are few: two distinct values, or at most ten that each
    have two rows on average; otherwise they are counts or amounts, and ask for regression. Whole numbers
    stored as floats are whole numbers.

    Args:
        y: The target, (N,); missing values are left to `check_target`.

    Example:
        >>> infer_task(["yes", "no", "yes"]), infer_task([1.5, 2.0, 3.25])
        ('classification', 'regression')
        >>> infer_task([0, 1, 1, 0]), infer_task([120, 85, 310, 97])
        ('classification', 'regression')
    """
    values = pd.Series(y).dropna()
    if isinstance(values.dtype, pd.CategoricalDtype):
        return "classification"
    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind in {"string", "boolean", "mixed", "mixed-integer", "bytes"}:
        return "classification"
    if kind not in {"integer", "floating", "mixed-integer-float", "decimal"}:
        return "regression"  # dates and the like, which `check_target` refuses by name
    numbers = values.to_numpy(dtype=np.float64)
    if not np.all(np.mod(numbers[np.isfinite(numbers)], 1) == 0):
        return "regression"
    few = max(2, min(MOST_CLASSES, len(numbers) // 2))
    return "classification" if len(np.unique(numbers)) <= few else "regression"


def check_target(y: Any, task: Task) -> NDArray[Any]:
    """Checks that a target can be learned, and returns it as a plain array.

    Args:
        y: The target, (N,), or for regression (N, K); a name, where it has one, is used in messages.
        task: "regression" or "classification".

    Returns:
        The target, as many: float64 for regression, the labels as they are for classification, where objects
        of numpy's are Python's.

    Raises:
        DataError: If values are missing, infinite or not what the task needs, if all are the same, or if no
            model file can hold a class.

    Example:
        >>> check_target([1, 2, 4], "regression")
        array([1., 2., 4.])
    """
    name = getattr(y, "name", None)
    what = "The target y" if name is None else f"The target {name!r}"
    if isinstance(name, str):
        check_text(name, "The target")
    if task == "regression" and _has_columns(y):
        columns = pd.DataFrame(y).items()
        return np.stack([check_target(column.rename(name), task) for name, column in columns], axis=1)
    values = _one_column(y, what)
    if values.dtype.kind == "V":
        raise DataError(f"{what} holds records or bare bytes ({values.dtype}): turn it into text or numbers.")
    missing = pd.isna(values)
    if missing.any():
        raise DataError(
            f"{what} has {missing.sum()} missing value{'s' if missing.sum() > 1 else ''} (NaN), first in "
            f"{_row(missing)}: fill them in, or remove those rows."
        )
    if values.dtype.kind in "mM":
        raise DataError(
            f"{what} holds dates or durations, but numbers or classes are expected: turn it into a number."
        )
    if values.dtype.kind == "c":
        raise DataError(f"Complex data not supported: {what} holds complex numbers, not real ones.")
    return _check_numbers(values, what) if task == "regression" else _check_labels(values, what)


def category_order(y: Any) -> list[Any] | None:
    """The categories of an ordered categorical, lowest first; None where y is none.

    Example:
        >>> category_order(pd.Categorical(["hot", "cold"], ["cold", "warm", "hot"], ordered=True))
        ['cold', 'warm', 'hot']
        >>> category_order(["hot", "cold"]) is None
        True
    """
    kind = getattr(y, "dtype", None)
    return kind.categories.tolist() if isinstance(kind, pd.CategoricalDtype) and kind.ordered else None


def _has_columns(y: Any) -> bool:
    """Whether a target has more than one."""
    if isinstance(y, (list, tuple)):
        try:
            y = np.asarray(y)
        except ValueError:  # rows of different lengths
            return False
    shape: tuple[int, ...] = getattr(y, "shape", ())
    return len(shape) == 2 and shape[1] > 1


def _one_column(y: Any, what: str) -> NDArray[Any]:
    if y is None:
        raise DataError("y should be a 1d array of targets, but it is None: give one target per row of X.")
    if isinstance(y, np.ma.MaskedArray):
        y = np.where(np.ma.getmaskarray(y), np.nan, y.data.astype(object)) if y.mask.any() else y.data
    try:
        values = column_or_1d(y, warn=True)
    except (ValueError, RuntimeError) as error:  # RuntimeError: PyTorch's
        raise DataError(f"{what} should be a 1d array with one value per row: {error}") from error
    return np.asarray(values)


def _check_numbers(values: NDArray[Any], what: str) -> NDArray[np.float64]:
    if values.dtype == object and any(isinstance(value, complex) for value in values):
        raise DataError(f"Complex data not supported: {what} holds complex numbers, not real ones.")
    numbers = plain_numbers(pd.Series(values))
    text = np.isnan(numbers)
    if text.any():
        raise DataError(
            f"{what} holds {values[text].tolist()[0]!r} in {_row(text)}, but regression needs numbers: "
            "clean the column, or choose classification."
        )
    _check_finite(numbers, what)
    if np.ptp(numbers) == 0:
        raise DataError(
            f"{what} is constant (always {numbers[0]:g}): there is nothing to learn; choose another target."
        )
    return numbers


def _check_labels(values: NDArray[Any], what: str) -> NDArray[Any]:
    if values.dtype.kind == "f":
        _check_finite(values, what)
        fractions = np.mod(values, 1) != 0
        if fractions.any():
            raise DataError(
                f"Unknown label type: {what} holds continuous numbers ({values[fractions][0]:g} in "
                f"{_row(fractions)}), but classification needs classes: choose regression."
            )
    if values.dtype == object:
        values = as_python(values)
    try:
        classes, counts = np.unique(values, return_counts=True)
        set(classes.tolist())  # lists can be sorted, but are no labels
    except (TypeError, ValueError) as error:  # ValueError of a tuple beside a number of NumPy's
        raise DataError(
            f"Unknown label type: {what} holds what cannot be sorted and told apart ({error}): use text for "
            "all."
        ) from error
    check_classes(values if values.dtype == object else classes.tolist(), what)
    if len(classes) == 1:
        only = classes.tolist()[0]
        raise DataError(
            f"{what} has only one class ({only!r}): at least two are needed; choose another target."
        )
    if len(classes) == len(values) > 2:
        raise DataError(
            f"{what} has a class of its own for each of its {len(values)} rows: choose a target whose "
            "classes come back, or clean it into numbers for regression."
        )
    if why := doubt(pd.Series(classes, dtype=object)):
        warn(DataWarning, f"{what} is read as classes {why}.")
    if found := imbalance(what, classes.tolist(), counts):
        warn(ClassImbalanceWarning, found)
    return values


def _check_finite(numbers: NDArray[Any], what: str) -> None:
    too_large = ~(np.abs(numbers) <= LARGEST)
    if too_large.any():
        raise DataError(
            f"{what} contains infinity or a value beyond {LARGEST:g}, first in {_row(too_large)}: "
            "correct it, or remove that row."
        )


def _row(mask: NDArray[np.bool_]) -> str:
    return f"row {int(np.argmax(mask)) + 1} (counting from 1)"


@dataclass(frozen=True)
class TargetScaler:
    """Standardises a regression target, and takes predictions back to its units.

    Args:
        mean: The training targets' mean; ``(K,)`` where they have K columns, as has their scale.
        scale: Their standard deviation. A density in standardised units is divided by it to be a
            density in the target's own.

    Raises:
        DataError: Numbers that no target has, or that are too small for their own ratios.

    Example:
        >>> scaler = TargetScaler.fit([1.0, 3.0])
        >>> scaler
        TargetScaler(mean=2.0, scale=1.0)
        >>> scaler.inverse(scaler.transform([5.0]))
        array([5.])
    """

    mean: float | NDArray[np.float64]
    scale: float | NDArray[np.float64]

    def __post_init__(self) -> None:
        mean, scale = np.asarray(self.mean), np.asarray(self.scale)
        if not (np.abs(mean) <= LARGEST).all() or not ((scale >= LEAST) & (scale <= LARGEST)).all():
            raise DataError(
                f"Got a target with mean {self.mean} and standard deviation {self.scale}, expected a mean up "
                f"to ±{LARGEST:g} and a deviation from {LEAST:.1g} to {LARGEST:g}: give it in another unit."
            )

    @classmethod
    def fit(cls, y: ArrayLike) -> TargetScaler:
        """Takes mean and standard deviation of y, (N,) or (N, K); a constant y gets scale 1."""
        values = np.asarray(y, dtype=np.float64)
        if values.ndim == 2:
            columns = [cls.fit(column) for column in values.T]
            return cls(np.array([c.mean for c in columns]), np.array([c.scale for c in columns]))
        mean = values.mean()
        centred = values - mean
        # Squares of values below 1e-160 vanish, so the deviation is taken in units of the largest one.
        largest = np.abs(centred).max() or 1.0
        deviation = largest * (centred / largest).std()
        return cls(mean=float(mean), scale=float(deviation) or 1.0)

    def transform(self, y: ArrayLike) -> NDArray[np.float64]:
        """Standardises values of any shape."""
        return np.asarray((np.asarray(y, dtype=np.float64) - self.mean) / self.scale)

    def inverse(self, standardized: ArrayLike) -> NDArray[np.float64]:
        """Takes standardised values of any shape back to the target's units."""
        return np.asarray(np.asarray(standardized, dtype=np.float64) * self.scale + self.mean)
