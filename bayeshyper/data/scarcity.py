"""Rows that tell less than a table of their number should: too few of them, or copies of each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["copies", "few_rows"]

FEW = 10
"""Intervals of 90 % held 89 % of new rows after 12 rows, 82 % after 8, 74 % after 5 and 39 % after 2."""

OFTEN = 1.5
"""Times that a row stands there on average. Where each of 30 stood there ten times, intervals of 90 % held
40 % of new rows (`tests/test_honesty.py` measures this, and the above)."""

NEARLY_ALL = 0.9
"""Of the distinct rows, that differ in a column of numbers with fractions: they do not agree by chance."""


def few_rows(rows: int) -> str | None:
    """Says that so many rows are too few to fit; None where they are not.

    Example:
        >>> few_rows(10) is None
        True
    """
    if rows >= FEW:
        return None
    return (
        f"{rows} rows are too few to know by how far predictions are off: intervals may be far too narrow. "
        f"Fit {FEW} rows at the very least, and many more with several columns."
    )


def copies(table: pd.DataFrame, inputs: NDArray[np.float64], targets: NDArray[Any]) -> str | None:
    """Says that rows stand there again and again, target included; None where they do not.

    Equal rows are copies where a column of numbers with fractions, or such a target, tells nearly all others
    apart: of categories and whole numbers, many rows agree without being copies.

    Args:
        table: The features, ``(N, columns)``.
        inputs: The same, encoded, ``(N, F)``.
        targets: ``(N,)`` or ``(N, K)``.

    Example:
        >>> size = np.repeat(np.random.default_rng(0).normal(size=(30, 1)), 4, axis=0)
        >>> copies(pd.DataFrame(size), size, np.zeros(120)).partition(":")[0]
        'The 120 rows are 30, each 4.0 times on average'
        >>> copies(pd.DataFrame(size[::4]), size[::4], np.zeros(30)) is None
        True
    """
    answers = pd.DataFrame(targets)
    codes = answers.apply(lambda column: pd.factorize(column)[0])
    first = ~pd.DataFrame(np.column_stack([inputs, codes])).duplicated().to_numpy()
    rows, distinct = len(first), int(first.sum())
    numbers = [column for frame in (table, answers) for _, column in frame.items()]
    if rows < OFTEN * distinct or not any(_tells_apart(column[first]) for column in numbers):
        return None
    return (
        f"The {rows:,} rows are {distinct:,}, each {rows / distinct:.1f} times on average: a copy counts as "
        "one more observation, so that intervals may be far too narrow. Remove the copies "
        "(pandas.DataFrame.drop_duplicates), unless they were observed one by one."
    )


def _tells_apart(column: pd.Series[Any]) -> bool:
    """Whether it has numbers with fractions, nearly all of them different."""
    if column.dtype.kind != "f":
        return False
    values = column.dropna().to_numpy(dtype=np.float64)
    return bool((values % 1 != 0).any()) and len(np.unique(values)) >= NEARLY_ALL * len(column)
