"""What kind a column is, and its values as plain numbers or plain labels."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from numbers import Real
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

from bayeshyper.errors import DataError

__all__ = [
    "LARGEST",
    "MISSING",
    "Kind",
    "as_labels",
    "as_numbers",
    "doubt",
    "kind_of",
    "plain_numbers",
    "seldom_seen",
]

Kind = Literal["number", "time", "duration", "category"]

MISSING = "(missing)"
# Squares up to here stay finite in float64, so no mean, variance or ratio of values can overflow.
LARGEST = 1e100

MOST_STRAY = 0.1
# Of fewer rows one cannot say whether their labels come again.
LEAST_ROWS, LEAST_ROWS_PER_LABEL = 20, 2

NUMERIC = frozenset({"boolean", "integer", "floating", "mixed-integer-float", "decimal"})
MIXED = frozenset({"mixed", "mixed-integer", "complex"})
REAL = (Real, Decimal, np.bool_)
ISO_DATE = r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?"
# Numbers as people write them, and dates that mean one thing here and another there.
WRITTEN_NUMBER = re.compile(
    r"[+\-−]?\s?[$€£¥]?\s?(\d{1,3}([,.'’\s]\d{3})+|\d+)([.,]\d+)?\s?[%‰$€£¥]?", re.UNICODE
)
WRITTEN_DATE = re.compile(
    r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}|\d{4}[./]\d{1,2}[./]\d{1,2}|\d{4}-(0[1-9]|1[0-2])"
    r"|\d{1,2}\.?[\s-][^\W\d_]{3,9}\.?,?[\s-]\d{4}"
)
# In microseconds: nanoseconds end in the year 2262.
SECOND = pd.Timedelta(seconds=1).as_unit("us")
EPOCH = pd.Timestamp(0, tz="UTC").as_unit("us")


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
    if inferred in MIXED:
        present = column.dropna()
        if any(isinstance(value, complex) for value in present):
            raise DataError(f"Complex data not supported: column {column.name!r} holds complex numbers.")
        return "number" if all(isinstance(value, REAL) for value in present) else "category"
    if inferred in NUMERIC:
        return "number"
    if types.is_datetime64_any_dtype(column.dtype) or inferred in {"datetime64", "datetime", "date"}:
        return "time"
    if types.is_timedelta64_dtype(column.dtype) or inferred in {"timedelta64", "timedelta"}:
        return "duration"
    if inferred == "string" and column.dropna().str.fullmatch(ISO_DATE).all():
        return "category" if _as_times(column.dropna()).isna().any() else "time"
    return "category"


def doubt(column: pd.Series) -> str | None:
    """Why a column that is read as text may be meant as something else; None where nothing speaks for it.

    Either nine in ten of its values are numbers, or all are written as people write numbers or dates.

    Example:
        >>> doubt(pd.Series(["1", "2"] * 10 + ["n.a."]))
        "because of 'n.a.', though nearly all of it is numbers"
        >>> doubt(pd.Series(["1,250", "980"]))
        "though '1,250' looks like a number: write it as in 1250.5, if it is meant as one"
    """
    if types.infer_dtype(column, skipna=True) not in {"string", "mixed-integer", "mixed"}:
        return None
    written = np.array([str(value).strip() for value in column.dropna()], dtype=object)
    text = written[np.isnan(pd.to_numeric(written, errors="coerce"))]
    if 0 < len(text) <= MOST_STRAY * len(written):
        return f"because of {text[0]!r}, though nearly all of it is numbers"
    for pattern, what, how in ((WRITTEN_NUMBER, "number", "1250.5"), (WRITTEN_DATE, "date", "2024-01-31")):
        if len(text) and all(pattern.fullmatch(value) for value in text):
            return f"though {text[0]!r} looks like a {what}: write it as in {how}, if it is meant as one"
    return None


def seldom_seen(labels: NDArray[np.object_]) -> str | None:
    """Why a column's labels, those that are not missing, teach next to nothing; None where they may.

    A label that stands in one row tells a network nothing of any other row. Where at least 20 rows have
    fewer than two for each label, it is rather a number, a date or a name that was read as one.

    Example:
        >>> seldom_seen(np.array([f"{size / 4:.2f}" for size in range(30)], dtype=object))
        "with 30 labels for 30 rows (as '0.00'), and nothing can be learned of a label that is seen once: ..."
        >>> seldom_seen(np.array(["01", "02", "03"] * 10, dtype=object))
    """
    times = pd.Series(labels, dtype=object).value_counts(sort=False)
    if len(labels) < LEAST_ROWS or len(labels) >= LEAST_ROWS_PER_LABEL * len(times):
        return None
    number = ~np.isnan(pd.to_numeric(labels, errors="coerce"))
    advice = "write numbers and dates as in 1250.5 and 2024-01-31, and leave out a column of names"
    if 2 * number.sum() > len(labels):
        advice = (
            f"{number.sum()} of {len(labels)} are numbers written as text, so convert them with "
            "pandas.to_numeric"
        )
        if not number.all():
            advice += f", and leave empty what is none, as {labels[~number][0]!r}"
    return (
        f"with {len(times)} labels for {len(labels)} rows (as {times.idxmin()!r}), and nothing can be "
        f"learned of a label that is seen once: {advice}"
    )


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
    if column.isna().all():
        return np.full(len(column), np.nan)
    if kind == "time":
        values = np.asarray((_as_times(column) - EPOCH) / SECOND, dtype=np.float64)
    elif kind == "duration":
        values = np.asarray(_as_durations(column) / SECOND, dtype=np.float64)
    else:
        values = plain_numbers(column)
    wrong = np.isnan(values) & ~column.isna().to_numpy()
    if wrong.any():
        expected = {"number": "numbers", "time": "dates", "duration": "durations"}[kind]
        raise DataError(
            f"Column {name!r} held {expected} when the model was fitted, but holds "
            f"{column[wrong].tolist()[0]!r} in row {int(np.argmax(wrong)) + 1} (counting from 1): correct "
            "it, or leave it empty to mean missing."
        )
    return values


def plain_numbers(column: pd.Series) -> NDArray[np.float64]:
    """Reads real numbers of any type, and texts that are numbers, as float64; all else as NaN.

    Example:
        >>> plain_numbers(pd.Series([1, "2.5", True, "x"], dtype=object))
        array([1. , 2.5, 1. , nan])
    """
    if types.is_datetime64_any_dtype(column.dtype) or types.is_timedelta64_dtype(column.dtype):
        return np.full(len(column), np.nan)  # to_numeric would count nanoseconds
    if types.is_numeric_dtype(column.dtype) and not types.is_complex_dtype(column.dtype):
        with np.errstate(over="ignore"):  # of long doubles; infinity is refused by name
            return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    floats = column.astype(object).map(_as_float, na_action="ignore")
    return np.asarray(pd.to_numeric(floats, errors="coerce"), dtype=np.float64)


def as_labels(column: pd.Series, name: str) -> NDArray[np.object_]:
    """Reads a column as text labels, missing values as a label of their own, which no text is.

    A whole number has one label whether it is stored as an integer or a float: a batch with a missing
    value turns integers into floats, and must not turn categories into new ones.

    Raises:
        DataError: If values are not single things (lists, dictionaries …).

    Example:
        >>> as_labels(pd.Series(["red", None, 2.0], dtype=object), "colour").tolist()
        ['red', '(missing)', '2']
        >>> as_labels(pd.Series(["(missing)", None]), "colour").tolist()
        ["'(missing)'", '(missing)']
    """
    if types.infer_dtype(column, skipna=True) in MIXED:
        column = column.map(_told_apart, na_action="ignore")
    try:
        codes, uniques = pd.factorize(column)
    except (TypeError, NotImplementedError) as error:  # pandas' and Arrow's
        raise DataError(
            f"Column {name!r} should hold single values, but they cannot be told apart ({error}): split it."
        ) from error
    labels = np.array([*(_label(value) for value in uniques), MISSING], dtype=object)
    return np.asarray(labels[codes])  # missing values have code -1: the last label


def _label(value: Any) -> str:
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        value = int(value)
    text = str(value)
    return f"'{text}'" if text.strip("'") == MISSING else text  # each text another label, none that of a gap


def _told_apart(value: Any) -> Any:
    """True is no 1 beside other values: which of them came first would decide the label of both."""
    return str(value) if isinstance(value, (bool, np.bool_)) else value


def _as_float(value: Any) -> Any:
    """A number of any type as a float, a complex one as NaN; what is none as it is."""
    if isinstance(value, (complex, np.complexfloating)):
        return math.nan  # to_numeric would keep it, and float64 its real part alone
    try:
        return float(value) if isinstance(value, REAL) else value
    except OverflowError:  # an integer or a fraction of more than 308 digits
        return math.inf if value > 0 else -math.inf


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
