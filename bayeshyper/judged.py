"""Which rows a report judges, and by which of their columns it looks for groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_consistent_length

from bayeshyper.diagnostics._words import plural

__all__ = ["group_columns", "judged_rows", "rows_in_words"]

MOST_COLUMNS = 50  # pixels are no groups


def judged_rows(table: pd.DataFrame, y: Any, most: int | None) -> tuple[pd.DataFrame, Any]:
    """Returns the rows to judge and what happened in them: all, or as many as that, always the same.

    Example:
        >>> table, y = judged_rows(pd.DataFrame({"a": range(1000)}), range(1000), 10)
        >>> table["a"].tolist() == y.tolist(), len(y)
        (True, 10)
    """
    if most is None or len(table) <= most:
        return table, y
    check_consistent_length(table, y)
    rows = np.sort(np.random.default_rng(0).choice(len(table), most, replace=False))
    return table.iloc[rows], None if y is None else np.asarray(y)[rows]


def rows_in_words(judged: int, given: int) -> str:
    """Says how many rows were judged.

    Example:
        >>> rows_in_words(10, 1000)
        '10 rows, drawn at random from 1,000'
    """
    drawn = f", drawn at random from {given:,}" if judged < given else ""
    return f"{plural(judged, 'row')}{drawn}"


def group_columns(table: pd.DataFrame) -> pd.DataFrame | None:
    """Returns the columns to look for groups in, with a name each; None where there are too many.

    Example:
        >>> list(group_columns(pd.DataFrame(np.zeros((2, 2)))))
        ['column 0', 'column 1']
    """
    if table.shape[1] > MOST_COLUMNS:
        return None
    return table.set_axis([c if isinstance(c, str) else f"column {c}" for c in table.columns], axis=1)
