"""Tables as a whole: choosing the target, lining up columns by name, and counting rows."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bayeshyper.data.names import lacking, listed, nearest, told_apart
from bayeshyper.errors import DataError, DataWarning, warn

__all__ = ["align_columns", "check_rows", "split_target"]


def split_target(frame: pd.DataFrame, target: str) -> tuple[pd.DataFrame, pd.Series]:
    """Splits a table into features X, every column but one, and that one, the target y.

    Raises:
        DataError: If the target is not a column (the nearest name is offered) or is the only column.

    Example:
        >>> X, y = split_target(pd.DataFrame({"rooms": [3, 4], "price": [1.5, 2.5]}), "price")
        >>> list(X.columns), y.tolist()
        (['rooms'], [1.5, 2.5])
    """
    if target not in frame.columns:
        similar = nearest(target, frame.columns)
        raise DataError(
            f"The table has no column {target!r} to use as the target"
            f"{f'; did you mean {told_apart(similar, beside=target)}?' if similar else '.'} "
            f"Its columns are {listed(map(repr, frame.columns))}."
        )
    if frame.shape[1] == 1:
        raise DataError(
            f"The target {target!r} is the table's only column: at least one other column is needed to "
            "predict it from. If the file has several, check its delimiter (comma, semicolon, tab or bar)."
        )
    return frame.drop(columns=target), frame[target]


def align_columns(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Picks the named columns in the given order and drops all others.

    Raises:
        DataError: If columns are missing; each is named, with the nearest name that is there.

    Example:
        >>> align_columns(pd.DataFrame({"b": [2], "extra": [0], "a": [1]}), ["a", "b"]).columns.tolist()
        ['a', 'b']
    """
    missing = [name for name in names if name not in frame.columns]
    if missing:
        wanted = set(names)
        spare = [column for column in frame.columns if column not in wanted]
        raise DataError(
            f"The table lacks {len(missing)} of the {len(names)} columns that the model was fitted with: "
            f"{lacking(missing, spare)}. Add or rename them."
        )
    return frame[list(names)]


def check_rows(n_rows: int, n_columns: int) -> None:
    """Refuses a table with too few rows to learn from, and warns where rows are fewer than columns.

    Raises:
        DataError: If there are fewer than two rows.

    Example:
        >>> check_rows(100, 3)
    """
    if n_rows < 2:
        samples = "1 sample (row)" if n_rows == 1 else f"{n_rows} samples (rows)"
        raise DataError(f"The table has {samples}, but at least 2 are needed to fit a model: add rows.")
    if n_rows < n_columns:
        warn(
            DataWarning,
            f"The table has fewer rows ({n_rows}) than columns ({n_columns}): expect wide uncertainty, and "
            "consider leaving columns out.",
        )
