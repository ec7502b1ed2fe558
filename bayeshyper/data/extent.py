r"""How far the fitted rows reach, and which new rows lie far beyond.

Two distances of a row z from N rows, both of encoded numbers. Outside: how far z lies beyond the range of
some column, in units of that range. And apart, for what no column tells alone:

    d(z)² = (1, z)ᵀ (Σ_i (1, z_i)(1, z_i)ᵀ + N ε² I)⁻¹ (1, z)

z's leverage on a ridge regression (Mahalanobis' distance, in essence), where directions in which the rows
vary by less than ε standard deviations count as if they varied by that.

The rows themselves say what is far, since each one's distance from all others has a closed form: with h_i =
d(z_i)² it is d_i² = h_i/(1 − h_i). A new row is far that is more than twice as far from the rows as any of
them is from the others. One that is drawn as they were is farther than all of them with probability 1/(N +
1), and twice as far more seldom still: hardly ever for normal columns, but of 1,000 rows with a lognormal
one there is such a row in 45 % of cases after 200 that were fitted (`tests/data/test_extent.py`).

Eight real tables (the bundled ones, concrete, energy, power-plant) were cut in two, 20 times in halves and 20
times into nine tenths and one: 3 of 320 second parts held a far row, all of breast_cancer's outliers. A row
with one number times 100 was far in 279 of 280 cases; in digits, whose columns are mostly zeros, in 19 of 40.
Rows whose columns came each from another row were far where columns go together: always in iris and energy,
and 25 of 40 times in diabetes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayeshyper.data.columns import LARGEST

__all__ = ["Extent"]

Array = NDArray[np.float64]

TWICE = 2.0
LEAST = 0.5
"""Rows without an outlier of their own allow a whole range beyond it: twice this."""
RIDGE = 0.1
"""ε, in standard deviations of a column."""
FURTHEST = 1e10
"""Of N standardised numbers, none lies further than √N from their mean (Samuelson 1968)."""
ROUNDING = 1e-6
"""By which the inverse of a symmetric matrix may not be one, as a part of its largest entry."""
MOST = 100
"""Of more columns of numbers only the ranges are kept: the matrix grows with their square."""


@dataclass(frozen=True, eq=False)
class Extent:
    """How far N encoded rows reach.

    Args:
        low: The least of each column, ``(F,)``.
        high: The greatest.
        outside: How far the outermost number of each column lies beyond the others' range, in units of that,
            ``(F,)``: a column with an outlier allows more, and no other column does.
        numbers: The columns that are no 0/1 indicators, ``(K,)``; none where they are more than 100.
        inverse: The matrix of d², ``(K + 1, K + 1)``.
        apart: The largest distance d of a row from the others.

    Example:
        >>> rows = np.random.default_rng(0).normal(size=(200, 2))
        >>> Extent.of(rows).sentence(np.array([[0.5, 40.0]]), ["size", "age"]).partition(":")[0]
        '1 of 1 rows lies far from all that were fitted, first row 1 (counting from 1)'
        >>> Extent.of(rows).sentence(rows, ["size", "age"]) is None
        True
    """

    low: Array
    high: Array
    outside: Array
    numbers: NDArray[np.intp]
    inverse: Array
    apart: float

    @classmethod
    def of(cls, rows: Array) -> Extent:
        """Measures rows ``(N, F)``, two at least."""
        ordered = np.partition(rows, (0, 1, -2, -1), axis=0)
        low, second, second_last, high = (ordered[place] for place in (0, 1, -2, -1))
        above = (high - second_last) / _width(low, second_last)
        below = (second - low) / _width(second, high)
        numbers = np.flatnonzero(~np.isin(rows, (0.0, 1.0)).all(axis=0))
        numbers = numbers[: 0 if len(numbers) > MOST else None]
        design = _with_one(rows[:, numbers])
        gram = design.T @ design + len(rows) * RIDGE**2 * np.eye(design.shape[1])
        inverse = np.linalg.inv(gram).astype(np.float64)
        leverage = _squares(design, inverse)
        return cls(
            low=low,
            high=high,
            outside=np.maximum(above, below),
            numbers=numbers,
            inverse=inverse,
            apart=float(np.sqrt((leverage / (1.0 - leverage)).max())),
        )

    def sentence(self, rows: Array, names: Sequence[str]) -> str | None:
        """Says how many rows are far, and which column tells most; None where no row is.

        Args:
            rows: Encoded as those fitted were, ``(N, F)``.
            names: Of their columns.
        """
        beyond = np.maximum(self.low - rows, rows - self.high) / _width(self.low, self.high)
        times = beyond / np.maximum(self.outside, LEAST)
        outside = times.max(axis=1)
        design = _with_one(rows[:, self.numbers])
        apart = np.sqrt(_squares(design, self.inverse)) / self.apart
        far = (outside > TWICE) | (apart > TWICE)
        if not far.any():
            return None
        if outside.max() > TWICE:
            row, column = divmod(int(times.argmax()), times.shape[1])
            most = (
                f"in row {row + 1:,} {names[column]!r} lies {_times(beyond[row, column])} times the fitted "
                "rows' whole range beyond it"
            )
        else:
            row = int(apart.argmax())
            most = (
                f"row {row + 1:,} combines its columns as no fitted row did, {_times(apart[row])} times as "
                f"far from them as any was from the others; {names[self._odd(design[row])]!r} is the oddest "
                "beside the rest"
            )
        count, first = int(far.sum()), int(far.argmax()) + 1
        return (
            f"{count:,} of {len(rows):,} rows {'lies' if count == 1 else 'lie'} far from all that were "
            f"fitted, first row {first:,} (counting from 1): {most}. Predictions there rest on no data, and "
            "their intervals may be far too narrow: look for wrong units or typing errors, or fit to rows "
            "like these."
        )

    def _odd(self, row: Array) -> int:
        """The column furthest from what the others let expect, in units of its spread given them."""
        residuals = np.abs(self.inverse @ row) / np.sqrt(np.diagonal(self.inverse))
        return int(self.numbers[residuals[1:].argmax()])

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays, for a model file."""
        return {name: np.asarray(value) for name, value in asdict(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], columns: int) -> Extent:
        """The inverse of `to_arrays`, for rows of so many columns.

        Raises:
            ValueError: The arrays are not such as rows have.
        """
        if "outside" in arrays and arrays["outside"].shape == ():  # one for all columns, in the first files
            arrays = {**arrays, "outside": np.full(columns, arrays["outside"])}
        size = len(arrays["numbers"]) + 1 if "numbers" in arrays else 1
        shapes = {"low": (columns,), "high": (columns,), "outside": (columns,), "apart": ()}
        shapes |= {"numbers": (size - 1,), "inverse": (size, size)}
        kinds = {name: np.dtype(np.int64 if name == "numbers" else np.float64) for name in shapes}
        given = {name: (array.shape, array.dtype) for name, array in arrays.items()}
        fitting = given == {name: (shape, kinds[name]) for name, shape in shapes.items()}
        if not fitting or not all(np.isfinite(array).all() for array in arrays.values()):
            raise ValueError("the ranges of the fitted rows are not those of its columns")
        if ((arrays["numbers"] < 0) | (arrays["numbers"] >= columns)).any():
            raise ValueError("the ranges of the fitted rows name columns that there are not")
        _check_values(arrays)
        return cls(
            low=arrays["low"],
            high=arrays["high"],
            outside=arrays["outside"],
            numbers=arrays["numbers"],
            inverse=arrays["inverse"],
            apart=float(arrays["apart"]),
        )


def _check_values(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Refuse values, all finite, that no rows have.

    Raises:
        ValueError: There is one.
    """
    low, high, inverse = arrays["low"], arrays["high"], arrays["inverse"]
    if (low > high).any() or np.abs([low, high]).max(initial=0.0) > FURTHEST:
        raise ValueError(f"the ranges of the fitted rows end before they begin, or beyond {FURTHEST:g}")
    outside = arrays["outside"]
    if not (((outside >= 0.0) & (outside <= LARGEST)).all() and 0.0 < arrays["apart"] <= LARGEST):
        raise ValueError("the distances of the fitted rows from each other are none")
    if len(inverse) > MOST + 1 or (np.diff(arrays["numbers"]) <= 0).any():
        raise ValueError(f"the ranges of the fitted rows are of more than {MOST} columns, or of one twice")
    tolerance = ROUNDING * np.abs(inverse).max()
    if np.abs(inverse - inverse.T).max() > tolerance or np.linalg.eigvalsh(inverse)[0] <= 0.0:
        raise ValueError("how the fitted rows vary together is no positive definite matrix")


def _times(value: float) -> str:
    return f"{value:.1f}" if value < 1e6 else f"{value:.1e}"


def _width(low: Array, high: Array) -> Array:
    """The range of each column; of a constant one a unit, which is what it was encoded by."""
    return np.where(high > low, high - low, 1.0)


def _with_one(rows: Array) -> Array:
    return np.concatenate([np.ones((len(rows), 1)), rows], axis=1)


def _squares(rows: Array, matrix: Array) -> Array:
    """rᵀ A r of each row, ``(N,)``."""
    squares: Array = ((rows @ matrix) * rows).sum(axis=1)
    return squares
