"""A table into the numbers that a network takes, the same way at every later call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.preprocessing import MaxAbsScaler, OneHotEncoder, StandardScaler

from bayeshyper.data.arithmetic import ARRAYS, Labels, Numbers
from bayeshyper.data.columns import (
    LARGEST,
    MISSING,
    Kind,
    as_labels,
    as_numbers,
    doubt,
    kind_of,
    seldom_seen,
)
from bayeshyper.data.features import as_features, column_names, has_names
from bayeshyper.data.names import check_text, listed, mismatch
from bayeshyper.errors import DataError, DataWarning, warn

__all__ = ["TableEncoder"]

MOST_CATEGORIES = 50


class TableEncoder:
    """Encodes a table with mixed columns and missing values as float64 numbers, (N, F).

    - Numbers and booleans (0/1): a missing value becomes the column's median, then the column is
      standardised. Times and durations are numbers too, in seconds.
    - A column of numbers that has missing values gets a second column, 1 where the value is missing. It
      is not standardised: a rare 1 would become a large number.
    - Text and categoricals: one 0/1 column per category, "missing" being one of them. Beyond 50
      categories the rarest share one. A category that was not there in fitting becomes all zeros (or the
      shared one), with a warning.

    The order of the output is that of `feature_names_out`: numbers, missing-indicators, categories. How
    a row is encoded never depends on the rows beside it. Scikit-learn learns what `Numbers` and `Labels`
    then apply.

    Example:
        >>> X = pd.DataFrame({"size": [1.0, 3.0, None, 2.0], "colour": ["red", "blue", "red", None]})
        >>> encoder = TableEncoder().fit(X)
        >>> encoder.feature_names_out
        ['size', 'size is missing', 'colour = (missing)', 'colour = blue', 'colour = red']
        >>> encoder.transform(X)[2]
        array([0., 1., 0., 0., 1.])
    """

    _named: bool
    _names: list[str]
    _kinds: list[Kind]
    _learned: tuple[Numbers, Labels] | None = None

    def fit(self, X: Any) -> TableEncoder:
        """Learns each column's kind, scale and categories from X, (N, columns).

        Args:
            X: A DataFrame, or a 2-D array of numbers; NaN means missing.

        Raises:
            DataError: If a column is all missing, holds infinity or has a name that is no text, or X is not a
                table.
        """
        self._learned = None  # a fit that fails leaves no mixture of two
        frame = as_features(X)
        self._named, self._names = has_names(frame), column_names(frame)
        for name in self._names:
            check_text(name, "The column")
        columns_by_name = zip(self._names, (column for _, column in frame.items()), strict=True)
        self._kinds = [_usable_kind(name, column) for name, column in columns_by_name]
        self._learned = _learn(*self._read(frame))
        return self

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Encodes X, (N, columns), as (N, F), with the columns that fit saw, in their order.

        Raises:
            DataError: If columns are missing, new, in another order or of another kind.
            NotFittedError: If the encoder has not been fitted.
        """
        numbers, labels = self._fitted()
        frame = as_features(X)
        self._check_columns(frame)
        values, words = self._read(frame)
        self._warn_of_news(values, words)
        return np.concatenate([numbers.encode(values), labels.encode(words)], axis=1)

    def fit_transform(self, X: Any) -> NDArray[np.float64]:
        """Fits to X and encodes it, (N, F)."""
        return self.fit(X).transform(X)

    @property
    def n_features_in_(self) -> int:
        """The number of columns that fit saw."""
        self._fitted()
        return len(self._names)

    @property
    def feature_names_in_(self) -> NDArray[np.object_] | None:
        """The names of the columns that fit saw, or None for an array without names."""
        self._fitted()
        return np.array(self._names, dtype=object) if self._named else None

    @property
    def labelled(self) -> list[str]:
        """The names of the columns that are read as labels."""
        self._fitted()
        return [name for name, kind in zip(self._names, self._kinds, strict=True) if kind == "category"]

    @property
    def n_features_out_(self) -> int:
        """F, the number of columns that transform returns."""
        return len(self.feature_names_out)

    @property
    def feature_names_out(self) -> list[str]:
        """What each column of the encoded table says, as text to read."""
        numbers, labels = self._fitted()
        names = [self._names[position] for position in self._numeric]
        indicators = [f"{names[place]} is missing" for place in numbers.indicated]
        found = []
        for position, levels, rare in zip(self._categorical, labels.levels, labels.rare, strict=True):
            name = self._names[position]
            found += [f"{name} = {level}" for level, seldom in zip(levels, rare, strict=True) if not seldom]
            found += [f"{name} = (one of {rare.sum()} rare)"] if rare.any() else []
        return names + indicators + found

    def to_state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The encoder as JSON and arrays, which `from_state` reads back."""
        numbers, labels = self._fitted()
        record = {"named": self._named, "names": self._names, "kinds": self._kinds}
        return record, numbers.arrays() | labels.arrays()

    @classmethod
    def from_state(cls, record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> TableEncoder:
        """Reads an encoder back; it transforms to the same bits.

        Raises:
            KeyError: Something is missing.
            ValueError: Record and arrays do not belong together.
        """
        encoder = cls()
        encoder._named, encoder._names, encoder._kinds = (record[key] for key in ("named", "names", "kinds"))
        if type(encoder._named) is not bool or not _are_texts(encoder._names):
            raise ValueError("Got names of columns that are not each another text.")
        if not isinstance(encoder._kinds, list) or not all(kind in get_args(Kind) for kind in encoder._kinds):
            raise ValueError(f"Got kinds of columns other than {', '.join(get_args(Kind))}.")
        if differing := set(arrays) ^ set(ARRAYS):
            raise KeyError(f"Got others than the arrays of an encoder: {listed(sorted(differing))}.")
        numbers = Numbers(**{field.name: arrays[field.name] for field in fields(Numbers)})
        labels = Labels.from_arrays(arrays)
        expected = (len(encoder._names), len(encoder._numeric), len(encoder._categorical))
        got = (len(encoder._kinds), len(numbers.median), len(labels.levels))
        if got != expected:
            raise ValueError(f"Got {got} kinds, columns of numbers and of labels, expected {expected}.")
        encoder._learned = numbers, labels
        return encoder

    def _fitted(self) -> tuple[Numbers, Labels]:
        if self._learned is None:
            raise NotFittedError("This TableEncoder is not fitted yet: call fit before anything else.")
        return self._learned

    @property
    def _numeric(self) -> list[int]:
        """Positions, in the table, of the columns that are read as numbers."""
        return [position for position, kind in enumerate(self._kinds) if kind != "category"]

    @property
    def _categorical(self) -> list[int]:
        """Positions, in the table, of the columns that are read as labels."""
        return [position for position, kind in enumerate(self._kinds) if kind == "category"]

    def _read(self, frame: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.object_]]:
        """All columns of numbers, and all columns of labels."""
        # Column by column in memory, as in a DataFrame: the last bits of what is learned depend on it.
        numbers = np.empty((len(frame), len(self._numeric)), order="F")
        for place, position in enumerate(self._numeric):
            name = self._names[position]
            numbers[:, place] = as_numbers(frame.iloc[:, position], self._kinds[position], name)
        self._check_finite(numbers)
        labels = np.empty((len(frame), len(self._categorical)), dtype=object)
        for place, position in enumerate(self._categorical):
            labels[:, place] = as_labels(frame.iloc[:, position], self._names[position])
        return numbers, labels

    def _check_finite(self, numbers: NDArray[np.float64]) -> None:
        too_large = np.abs(numbers) > LARGEST
        if too_large.any():
            row, place = np.argwhere(too_large)[0].tolist()
            name = self._names[self._numeric[place]]
            raise DataError(
                f"X contains infinity or a value beyond {LARGEST:g}, in column {name!r}, row {row + 1} "
                "(counting from 1): correct it, or use NaN to mean missing."
            )

    def _check_columns(self, frame: pd.DataFrame) -> None:
        names = column_names(frame)
        if self._named and has_names(frame) and names != self._names:
            raise DataError(mismatch(expected=self._names, got=names))
        numbered = [str(position) for position in range(len(self._names))]
        if not self._named and names != numbered and sorted(names) == sorted(numbered):
            raise DataError(mismatch(expected=numbered, got=names))  # [1, 0] in the place of [0, 1]
        if len(names) != len(self._names):
            raise DataError(
                f"X has {len(names)} features, but TableEncoder is expecting {len(self._names)} features as "
                "input: give the columns that it was fitted with."
            )

    def _warn_of_news(self, numbers: NDArray[np.float64], labels: NDArray[np.object_]) -> None:
        """Warns of what fitting has not seen: missing values in a column that had none, new categories."""
        known, seen = self._fitted()
        without = np.setdiff1d(np.arange(len(self._numeric)), known.indicated)
        for place in without[np.isnan(numbers[:, without]).any(axis=0)]:
            name = self._names[self._numeric[place]]
            _warn(
                f"Column {name!r} has missing values, but had none when the model was fitted: they are read "
                "as its median."
            )
        for position, levels, column in zip(self._categorical, seen.levels, labels.T, strict=True):
            new = sorted(set(column) - set(levels))
            if new:
                shown = listed(
                    ("a missing value" if label == MISSING else repr(label) for label in new), most=3
                )
                _warn(
                    f"Column {self._names[position]!r} holds {shown}, unseen when the model was fitted: read "
                    "as an unknown category."
                )


def _usable_kind(name: str, column: pd.Series) -> Kind:
    """A column's kind, if there is anything to learn from it; warns where it may be another than meant."""
    if column.isna().all():
        raise DataError(f"Column {name!r} is all missing: it tells nothing, so leave it out.")
    kind = kind_of(column)
    if kind == "category" and (why := doubt(column) or seldom_seen(as_labels(column.dropna(), name))):
        _warn(f"Column {name!r} is read as text {why}.")
    return kind


def _learn(numbers: NDArray[np.float64], labels: NDArray[np.object_]) -> tuple[Numbers, Labels]:
    """What there is to learn from columns of numbers, ``(N, n)``, and of labels, ``(N, m)``."""
    if numbers.shape[1]:
        fill, divide, standardize = SimpleImputer(strategy="median"), MaxAbsScaler(), StandardScaler()
        standardize.fit(divide.fit_transform(fill.fit_transform(numbers)))
        missing = MissingIndicator().fit(numbers).features_
        learned = Numbers(fill.statistics_, divide.scale_, standardize.mean_, standardize.scale_, missing)
    else:
        none = np.empty(0)
        learned = Numbers(none, none, none, none, none.astype(np.int64))
    if not labels.shape[1]:
        return learned, Labels([], [])
    count = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MOST_CATEGORIES).fit(labels)
    levels = [categories.tolist() for categories in count.categories_]
    seldom = [set() if some is None else set(some) for some in count.infrequent_categories_]
    rare = [np.array([one in few for one in all_]) for all_, few in zip(levels, seldom, strict=True)]
    return learned, Labels(levels, rare)


def _are_texts(names: Any) -> bool:
    """Whether something is a list of texts, each another one."""
    return (
        isinstance(names, list)
        and all(isinstance(name, str) for name in names)
        and len(set(names)) == len(names)
    )


def _warn(message: str) -> None:
    warn(DataWarning, message)
