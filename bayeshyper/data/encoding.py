"""A table into the numbers that a network takes, the same way at every later call."""

from __future__ import annotations

import warnings
import zipfile
from typing import Any

import numpy as np
import pandas as pd
import skops.io
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MaxAbsScaler, OneHotEncoder, StandardScaler

from bayeshyper.data.columns import (
    LARGEST,
    MISSING,
    Kind,
    as_features,
    as_labels,
    as_numbers,
    column_names,
    has_names,
    kind_of,
    stray_text,
)
from bayeshyper.data.names import listed, mismatch
from bayeshyper.errors import DataError, DataWarning, ModelFileError

__all__ = ["TableEncoder"]

MOST_CATEGORIES = 50
FORMAT_VERSION = 1
# What a stored encoder may hold beside what skops itself trusts: the dtype that the imputer remembers.
TRUSTED_TYPES = ["numpy.dtype"]


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
    a row is encoded never depends on the rows beside it. A scikit-learn `ColumnTransformer` does the
    work underneath.

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
    _columns: ColumnTransformer | None = None

    def fit(self, X: Any) -> TableEncoder:
        """Learns each column's kind, scale and categories from X, (N, columns).

        Args:
            X: A DataFrame, or a 2-D array of numbers; NaN means missing.

        Raises:
            DataError: If a column is all missing or holds infinity, or X is not a table.
        """
        self._columns = None  # a fit that fails leaves no mixture of two
        frame = as_features(X)
        self._named, self._names = has_names(frame), column_names(frame)
        columns_by_name = zip(self._names, (column for _, column in frame.items()), strict=True)
        self._kinds = [_usable_kind(name, column) for name, column in columns_by_name]
        n_numbers, n_columns = len(self._numeric), len(self._names)
        numeric, categorical = list(range(n_numbers)), list(range(n_numbers, n_columns))
        columns = ColumnTransformer(
            [
                ("numbers", _standardizer(), numeric),
                ("missing", MissingIndicator(error_on_new=False), numeric),
                (
                    "categories",
                    OneHotEncoder(
                        handle_unknown="infrequent_if_exist",
                        max_categories=MOST_CATEGORIES,
                        sparse_output=False,
                    ),
                    categorical,
                ),
            ],
            sparse_threshold=0,
        )
        self._columns = columns.fit(self._sorted_by_kind(frame))
        return self

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Encodes X, (N, columns), as (N, F), with the columns that fit saw, in their order.

        Raises:
            DataError: If columns are missing, new, in another order or of another kind.
            NotFittedError: If the encoder has not been fitted.
        """
        columns = self._fitted()
        frame = as_features(X)
        self._check_columns(frame)
        plain = self._sorted_by_kind(frame)
        self._warn_of_news(plain)
        return np.ascontiguousarray(columns.transform(plain), dtype=np.float64)

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
    def n_features_out_(self) -> int:
        """F, the number of columns that transform returns."""
        return len(self.feature_names_out)

    @property
    def feature_names_out(self) -> list[str]:
        """What each column of the encoded table says, as text to read."""
        names = [self._names[position] for position in self._numeric]
        indicators = [f"{names[position]} is missing" for position in self._indicated]
        levels = []
        for position, categories, rare in self._categories:
            frequent = [category for category in categories if category not in rare]
            levels += [f"{self._names[position]} = {category}" for category in frequent]
            levels += [f"{self._names[position]} = (one of {len(rare)} rare)"] if rare else []
        return names + indicators + levels

    def to_bytes(self) -> bytes:
        """The encoder as bytes that `from_bytes` reads back without pickle."""
        columns = self._fitted()
        state = {
            "format": FORMAT_VERSION,
            "named": self._named,
            "names": self._names,
            "kinds": self._kinds,
            "columns": columns,
        }
        return skops.io.dumps(state, compression=zipfile.ZIP_DEFLATED)  # type: ignore[no-any-return]

    @classmethod
    def from_bytes(cls, data: bytes) -> TableEncoder:
        """Reads an encoder back; it transforms to the same bits.

        Raises:
            ModelFileError: If the bytes are damaged, of a newer format, or hold anything but an encoder.
        """
        try:
            state = skops.io.loads(data, trusted=TRUSTED_TYPES)
            version = state["format"]
        except Exception as error:  # bytes that are not ours can fail anywhere in skops
            raise ModelFileError(
                f"The stored preprocessing cannot be read ({error}): the file is damaged, or not ours."
            ) from error
        if version != FORMAT_VERSION:
            raise ModelFileError(
                f"The stored preprocessing has format {version}, but this version of bayeshyper reads "
                f"{FORMAT_VERSION}: update bayeshyper."
            )
        if not isinstance(state.get("columns"), ColumnTransformer):
            raise ModelFileError("The stored preprocessing holds no column transformer: the file is damaged.")
        encoder = cls()
        encoder._named, encoder._names = state["named"], state["names"]
        encoder._kinds, encoder._columns = state["kinds"], state["columns"]
        return encoder

    def _fitted(self) -> ColumnTransformer:
        if self._columns is None:
            raise NotFittedError("This TableEncoder is not fitted yet: call fit before anything else.")
        return self._columns

    @property
    def _numeric(self) -> list[int]:
        """Positions, in the table, of the columns that are read as numbers."""
        return [position for position, kind in enumerate(self._kinds) if kind != "category"]

    @property
    def _categorical(self) -> list[int]:
        """Positions, in the table, of the columns that are read as labels."""
        return [position for position, kind in enumerate(self._kinds) if kind == "category"]

    @property
    def _indicated(self) -> list[int]:
        """Positions, among the columns of numbers, of those that had missing values in fitting."""
        indicator = self._fitted().named_transformers_.get("missing") if self._numeric else None
        return [] if indicator is None else indicator.features_.tolist()

    @property
    def _categories(self) -> list[tuple[int, list[str], list[str]]]:
        """Position, all categories and the rare ones among them, for each column of labels."""
        if not self._categorical:
            return []
        one_hot = self._fitted().named_transformers_["categories"]
        rare = [[] if some is None else some.tolist() for some in one_hot.infrequent_categories_]
        everything = [categories.tolist() for categories in one_hot.categories_]
        return list(zip(self._categorical, everything, rare, strict=True))

    def _sorted_by_kind(self, frame: pd.DataFrame) -> pd.DataFrame:
        """All columns of numbers, then all columns of labels, numbered."""
        numbers = np.empty((len(frame), len(self._numeric)))
        for place, position in enumerate(self._numeric):
            name = self._names[position]
            numbers[:, place] = as_numbers(frame.iloc[:, position], self._kinds[position], name)
        self._check_finite(numbers)
        labels = np.empty((len(frame), len(self._categorical)), dtype=object)
        for place, position in enumerate(self._categorical):
            labels[:, place] = as_labels(frame.iloc[:, position], self._names[position])
        both = [pd.DataFrame(numbers), pd.DataFrame(labels, dtype=object)]
        return pd.concat(both, axis="columns", ignore_index=True)

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
        if len(names) != len(self._names):
            raise DataError(
                f"X has {len(names)} features, but TableEncoder is expecting {len(self._names)} features as "
                "input: give the columns that it was fitted with."
            )

    def _warn_of_news(self, plain: pd.DataFrame) -> None:
        """Warns of what fitting has not seen: missing values in a column that had none, new categories."""
        without = np.setdiff1d(np.arange(len(self._numeric)), self._indicated)
        for place in without[plain[without].isna().any().to_numpy()]:
            name = self._names[self._numeric[place]]
            _warn(
                f"Column {name!r} has missing values, but had none when the model was fitted: they are read "
                "as its median."
            )
        for place, (position, categories, _) in enumerate(self._categories, start=len(self._numeric)):
            new = sorted(set(plain[place]) - set(categories))
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
    if kind == "category" and (stray := stray_text(column)):
        _warn(f"Column {name!r} is read as text because of {stray!r}, though nearly all of it is numbers.")
    return kind


def _standardizer() -> Pipeline:
    """Median for what is missing, then mean 0 and standard deviation 1.

    Dividing by the largest value first makes a constant column exactly constant (the mean of many equal
    large numbers is a little off), and measures a later change of it in parts of itself.
    """
    return make_pipeline(SimpleImputer(strategy="median"), MaxAbsScaler(), StandardScaler())


def _warn(message: str) -> None:
    warnings.warn(message, DataWarning, stacklevel=4)
