"""What a user may pass as X, as a DataFrame whose columns can be told apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn.utils.validation import check_array

from bayeshyper.errors import DataError

__all__ = ["as_features", "column_names", "has_names"]


def as_features(X: Any) -> pd.DataFrame:
    """Turns what a user may pass as X into a DataFrame with at least one row and one column.

    DataFrames, what has a `to_pandas`, and columns by name (a dictionary, a structured array) keep their
    columns as they are. Names that are no text become text, unless they number the columns from 0. All else
    must be a 2-D array of real numbers, becomes float64 and gets its columns numbered. Missing values are
    allowed, and masked ones are missing.

    Raises:
        DataError: If X is empty, not 2-D or complex, or if column names come twice.
        TypeError: If X is sparse, or holds what is no number (scikit-learn's convention).

    Example:
        >>> as_features([[1, 2], [3, 4]]).shape
        (2, 2)
    """
    frame = X if isinstance(X, pd.DataFrame) else _as_frame(X)
    for axis, thing in enumerate(("sample", "feature")):
        if frame.shape[axis] == 0:
            # scikit-learn's own sentence, which its estimator checks look for
            raise DataError(
                f"Found array with 0 {thing}(s) (shape={frame.shape}) while a minimum of 1 is required."
            )
    if not has_names(frame) and frame.columns.tolist() != list(range(frame.shape[1])):
        # by position alone, columns in another order would be taken for one another
        frame = frame.set_axis([str(name) for name in frame.columns], axis="columns")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"X has more than one column {twice!r}: give each column a name of its own.")
    return frame


def _as_frame(X: Any) -> pd.DataFrame:
    """What is no DataFrame, as one."""
    if hasattr(X, "to_pandas"):
        X = X.to_pandas()
        return X if isinstance(X, pd.DataFrame) else _as_frame(X.to_numpy())
    dtype = getattr(X, "dtype", None)
    if (isinstance(X, Mapping) and not issparse(X)) or getattr(dtype, "names", None):
        try:
            return pd.DataFrame(X)
        except ValueError as error:  # columns of different lengths
            raise DataError(f"X should have as many values in each column: {error}.") from error
    if getattr(dtype, "kind", "") in {"m", "M"} and np.ndim(X) == 2:
        return pd.DataFrame(X)  # as numbers, a missing date would be a very early one
    try:
        if isinstance(X, np.ma.MaskedArray):
            X = np.ma.filled(X.astype(np.float64), np.nan)
        # infinity is left to the encoder, which can name the column
        return pd.DataFrame(check_array(X, dtype=np.float64, ensure_all_finite=False, input_name="X"))
    except TypeError as error:
        raise TypeError(f"X should be a DataFrame, or a 2-D array of real numbers: {error}") from error
    except (ValueError, RuntimeError) as error:
        reason = str(error)
        if reason.startswith("Complex"):
            reason = reason.partition("\n")[0]  # the rest is all of X
        raise DataError(f"X should be a DataFrame, or a 2-D array of real numbers: {reason}") from error


def column_names(frame: pd.DataFrame) -> list[str]:
    """The columns' names where all of them are text, else x0, x1, … as scikit-learn numbers them."""
    return list(frame.columns) if has_names(frame) else [f"x{position}" for position in range(frame.shape[1])]


def has_names(frame: pd.DataFrame) -> bool:
    """Whether all columns are named by text: only then are they told apart by name."""
    return all(isinstance(name, str) for name in frame.columns)
