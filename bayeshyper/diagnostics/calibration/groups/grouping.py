"""Deals the rows of a table into groups, column by column: levels, tenths of a number, missing values."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api import types

from bayeshyper.diagnostics._checks import Floats, Integers
from bayeshyper.diagnostics._words import number, plural
from bayeshyper.diagnostics.calibration.reliability import bin_edges

MIN_ROWS = 20
"""Groups with fewer rows are listed, but not judged."""

MAX_LEVELS = 20
"""Of a column with more levels, the largest are kept."""

N_BINS = 10
"""A number or a date with more distinct values than this is cut into tenths of the rows."""

ROWS_PER_BIN = 30
"""Of fewer than ten times as many rows, into fewer and larger parts: groups that can be judged."""


@dataclass(frozen=True, eq=False)
class Grouping:
    """The groups that one column makes.

    Args:
        column: The name of the column.
        codes: The group of each row ``(N,)``; -1 for a row that is in none.
        labels: The name of each group, as in "north", "31 to 40" or "missing".
        note: What was left out and why, or "".
    """

    column: str
    codes: Integers
    labels: tuple[str, ...]
    note: str = ""


def group_rows(values: pd.Series, name: str) -> Grouping:
    """Groups the rows by one column of a table; a column that makes no two groups has no labels, and a note.

    Example:
        >>> group_rows(pd.Series(["a", None, "b", "a"]), "x").labels
        ('a', 'b', 'missing')
    """
    try:
        codes, labels = _codes(values.infer_objects())
    except TypeError:
        note = "Its values are lists or the like, which make no groups."
        return Grouping(name, np.full(len(values), -1), (), note)
    if len(labels) < 2:
        return Grouping(name, codes, (), "It has one value only.")
    sizes = np.bincount(codes, minlength=len(labels))
    if len(labels) <= MAX_LEVELS:
        return Grouping(name, codes, tuple(labels))
    n_levels = plural(len(labels), "level")
    kept = np.sort(np.argsort(-sizes, kind="stable")[:MAX_LEVELS])
    if sizes[kept].max() < MIN_ROWS:
        return Grouping(name, codes, (), f"None of its {n_levels} has {MIN_ROWS} rows.")
    places = np.full(len(labels), -1, dtype=np.int64)
    places[kept] = np.arange(len(kept))
    note = f"Only the {MAX_LEVELS} largest of its {n_levels} are listed."
    return Grouping(name, places[codes], tuple(labels[k] for k in kept), note)


def _codes(values: pd.Series) -> tuple[Integers, list[str]]:
    """Returns each row's group and the groups' names; missing values are the last group."""
    dates = types.is_datetime64_any_dtype(values.dtype)
    spans = types.is_timedelta64_dtype(values.dtype)
    numeric = types.is_numeric_dtype(values.dtype) and not types.is_bool_dtype(values.dtype)
    codes, levels = pd.factorize(values, sort=False)
    codes = codes.astype(np.int64)
    if (dates or spans or (numeric and not types.is_complex_dtype(values.dtype))) and len(levels) > N_BINS:
        present = codes >= 0
        codes[present], labels = _parts(values[present])
    else:
        labels = _distinct([_level(level) for level in levels])
    missing = codes < 0
    if missing.any():
        codes[missing] = len(labels)
        labels.append("missing")
    return codes, labels


def _parts(values: pd.Series) -> tuple[Integers, list[str]]:
    """Cuts a number or a date into tenths of its rows, or fewer parts; equal values stay together."""
    if types.is_datetime64_any_dtype(values.dtype):
        values = values.dt.tz_localize(None) if getattr(values.dt, "tz", None) is not None else values
        numbers = values.astype("datetime64[us]").to_numpy().astype(np.float64)
    elif types.is_timedelta64_dtype(values.dtype):
        numbers = values.astype("timedelta64[us]").to_numpy().astype(np.float64)
    else:
        numbers = values.to_numpy(dtype=np.float64)
    n_bins = int(np.clip(len(numbers) // ROWS_PER_BIN, 2, N_BINS))
    where = np.searchsorted(bin_edges(numbers, n_bins)[1:-1], numbers, side="left")
    used, codes = np.unique(where, return_inverse=True)
    low, high = np.full(len(used), np.inf), np.full(len(used), -np.inf)
    np.minimum.at(low, codes, numbers)
    np.maximum.at(high, codes, numbers)
    return codes.astype(np.int64), _ranges(low, high, values.dtype)


def _ranges(low: Floats, high: Floats, dtype: object) -> list[str]:
    """Names groups by their smallest and largest value, with as many digits as tell the two apart."""
    if types.is_datetime64_any_dtype(dtype):
        days = high[-1] - low[0] >= 10 * 86_400e6
        shape = "%Y-%m-%d" if days else "%Y-%m-%d %H:%M:%S"
        first, last = (pd.to_datetime(ends, unit="us").strftime(shape).tolist() for ends in (low, high))
    elif types.is_timedelta64_dtype(dtype):
        first, last = ([str(pd.Timedelta(end, unit="us")) for end in ends] for ends in (low, high))
    else:
        whole = types.is_integer_dtype(dtype) or bool(
            np.all(np.round(low) == low) and np.all(np.round(high) == high)
        )
        widths = np.full(len(low), 10.0) if whole else high - low
        first = [_number(end, width) for end, width in zip(low, widths, strict=True)]
        last = [_number(end, width) for end, width in zip(high, widths, strict=True)]
    return _distinct([a if a == b else f"{a} to {b}" for a, b in zip(first, last, strict=True)])


def _number(value: float, width: float) -> str:
    text = number(value, error=width)
    text = text if text.strip("−0.") else text.lstrip("−")
    return text.replace(",", "") if abs(value) < 10_000 else text  # 2019 is a year more often than a count


def _distinct(labels: list[str]) -> list[str]:
    """Numbers labels that read the same, such as the text "1" and the number 1."""
    seen: Counter[str] = Counter()
    numbered = []
    for label in labels:
        seen[label] += 1
        numbered.append(f"{label} ({seen[label]})" if seen[label] > 1 else label)
    return numbered


def _level(level: object) -> str:
    if isinstance(level, float | np.floating):
        return f"{level:.10g}"
    return str(level).strip() or "(empty)"
