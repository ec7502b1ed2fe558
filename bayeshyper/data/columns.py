"""What kind a column is, and its values as plain numbers or plain labels."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types
from sklearn.utils.validation import check_array

from bayeshyper.errors import DataError

__all__ = [
    "LARGEST",
    "MISSING",
    "Kind",
    "as_features",
    "as_labels",
    "as_numbers",
    "column_names",
    "has_names",
    "kind_of",
    "stray_text",
]

Kind = Literal["number", "time", "duration", "category"]

MISSING = "(missing)"
# Squares up to here stay finite in float64, so no mean, variance or ratio of values can overflow.
LARGEST = 1e100

MOST_STRAY = 0.1

NUMERIC = frozenset({"boolean", "integer", "floating", "mixed-integer-float", "decimal"})
ISO_DATE = r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?"
SECOND = pd.Timedelta(seconds=1)
EPOCH = pd.Timestamp(0, tz="UTC")


def as_features(X: Any) -> pd.DataFrame:
    """Turns what a user may pass as X into a DataFrame with at least one row and one column.

    DataFrames (and what has a `to_pandas`) keep their columns as they are; all else must be a 2-D array
    of real numbers, becomes float64 and gets its columns numbered. Missing values are allowed.

    Raises:
        DataError: If X is empty, not 2-D or complex, or if column names come twice.
        TypeError: If X is sparse, or holds what is no number (scikit-learn's convention).

    Example:
        >>> as_features([[1, 2], [3, 4]]).shape
        (2, 2)
    """
    if not isinstance(X, pd.DataFrame) and hasattr(X, "to_pandas"):
        X = X.to_pandas()
    if not isinstance(X, pd.DataFrame):
        try:
            # infinity is left to the encoder, which can name the column
            return pd.DataFrame(check_array(X, dtype=np.float64, ensure_all_finite=False, input_name="X"))
        except ValueError as error:
            raise DataError(f"X should be a DataFrame, or a 2-D array of real numbers: {error}") from error
    for axis, thing in enumerate(("sample", "feature")):
        if X.shape[axis] == 0:
            # scikit-learn's own sentence, which its estimator checks look for
            raise DataError(
                f"Found array with 0 {thing}(s) (shape={X.shape}) while a minimum of 1 is required."
            )
    if not X.columns.is_unique:
        twice = X.columns[X.columns.duplicated()][0]
        raise DataError(f"X has more than one column {twice!r}: give each column a name of its own.")
    return X


def column_names(frame: pd.DataFrame) -> list[str]:
    """The columns' names where all of them are text, else x0, x1, … as scikit-learn numbers them."""
    return list(frame.columns) if has_names(frame) else [f"x{position}" for position in range(frame.shape[1])]


def has_names(frame: pd.DataFrame) -> bool:
    """Whether all columns are named by text: only then are they told apart by name."""
    return all(isinstance(name, str) for name in frame.columns)


def kind_of(column: pd.Series) -> Kind:
    """Decides how a column with at least one value is read.

    Numbers and booleans (also as Python objects) are "number"; datetimes, and text in which every value
    is an ISO 8601 date, are "time"; timedeltas are "duration"; categoricals, text and all else "category".

    Example:
        >>> [kind_of(pd.Series(values)) for values in ([1, None], [True, None], ["a", "b"], ["2024-01-31"])]
        ['number', 'number', 'category', 'time']
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        return "category"
    if types.is_complex_dtype(column.dtype):
        raise DataError(f"Complex data not supported: column {column.name!r} holds complex numbers.")
    if types.is_numeric_dtype(column.dtype) or types.is_bool_dtype(column.dtype):
        return "number"
    inferred = types.infer_dtype(column, skipna=True)
    if inferred in NUMERIC:
        return "number"
    if types.is_datetime64_any_dtype(column.dtype) or inferred in {"datetime64", "datetime", "date"}:
        return "time"
    if types.is_timedelta64_dtype(column.dtype) or inferred in {"timedelta64", "timedelta"}:
        return "duration"
    if inferred == "string" and column.dropna().str.fullmatch(ISO_DATE).all():
        return "category" if _as_times(column.dropna()).isna().any() else "time"
    return "category"


def stray_text(column: pd.Series) -> str | None:
    """The first text that keeps a column from being numbers, where nine in ten of its values are numbers.

    Example:
        >>> stray_text(pd.Series(["1", "2"] * 10 + ["n.a."]))
        'n.a.'
    """
    if types.infer_dtype(column, skipna=True) not in {"string", "mixed-integer", "mixed"}:
        return None
    present = column.dropna()
    text = pd.to_numeric(present, errors="coerce").isna()
    return str(present[text].iloc[0]) if 0 < text.mean() <= MOST_STRAY else None


def as_numbers(column: pd.Series, kind: Kind, name: str) -> NDArray[np.float64]:
    """Reads a column as float64, missing values as NaN: times and durations are counted in seconds.

    Times without a zone are taken as UTC, and are counted from 1970.

    Raises:
        DataError: If a value is not of the column's kind.

    Example:
        >>> as_numbers(pd.Series(["1970-01-02", None]), "time", "day")
        array([86400.,    nan])
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    if kind == "number" and types.is_numeric_dtype(column.dtype):
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    if column.isna().all():
        return np.full(len(column), np.nan)
    if kind == "time":
        numbers = (_as_times(column) - EPOCH) / SECOND
    elif kind == "duration":
        numbers = _as_durations(column) / SECOND
    else:
        numbers = _as_plain_numbers(column)
    values = np.asarray(numbers, dtype=np.float64)
    wrong = np.isnan(values) & ~column.isna().to_numpy()
    if wrong.any():
        expected = {"number": "numbers", "time": "dates", "duration": "durations"}[kind]
        raise DataError(
            f"Column {name!r} held {expected} when the model was fitted, but holds "
            f"{column[wrong].tolist()[0]!r} in row {int(np.argmax(wrong)) + 1} (counting from 1): correct "
            "it, or leave it empty to mean missing."
        )
    return values


def as_labels(column: pd.Series, name: str) -> NDArray[np.object_]:
    """Reads a column as text labels, missing values as a label of their own.

    A whole number has one label whether it is stored as an integer or a float: a batch with a missing
    value turns integers into floats, and must not turn categories into new ones.

    Raises:
        DataError: If values are not single things (lists, dictionaries …).

    Example:
        >>> as_labels(pd.Series(["red", None, 2.0], dtype=object), "colour").tolist()
        ['red', '(missing)', '2']
    """
    try:
        codes, uniques = pd.factorize(column)
    except TypeError as error:
        raise DataError(
            f"Column {name!r} should hold single values, but has an {error}: split it."
        ) from error
    labels = np.array([*(_label(value) for value in uniques), MISSING], dtype=object)
    return np.asarray(labels[codes])  # missing values have code -1: the last label


def _label(value: Any) -> str:
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        value = int(value)
    return str(value)


def _as_plain_numbers(column: pd.Series) -> pd.Series:
    if types.is_datetime64_any_dtype(column.dtype) or types.is_timedelta64_dtype(column.dtype):
        return pd.Series(np.nan, index=column.index)  # to_numeric would count nanoseconds
    return pd.to_numeric(column.astype(object), errors="coerce")


def _as_times(column: pd.Series) -> pd.Series:
    if types.is_numeric_dtype(column.dtype):
        return pd.Series(pd.NaT, index=column.index, dtype="datetime64[us, UTC]")  # not nanoseconds
    if types.is_datetime64_any_dtype(column.dtype):
        return pd.to_datetime(column, utc=True)
    return pd.to_datetime(column.astype(str), utc=True, errors="coerce", format="ISO8601")


def _as_durations(column: pd.Series) -> pd.Series:
    if types.is_numeric_dtype(column.dtype):
        return pd.Series(pd.NaT, index=column.index, dtype="timedelta64[us]")
    return pd.to_timedelta(column, errors="coerce")
