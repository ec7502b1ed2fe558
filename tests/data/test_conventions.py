"""An estimator that leaves its input to this package passes scikit-learn's own checks.

The two estimators here are also the shortest account of what an estimator must do with these pieces.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.neighbors import NearestCentroid
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from bayeshyper.data import TableEncoder, TargetScaler, Task, as_features, check_rows, check_target
from bayeshyper.errors import DataWarning


class Encoding(BaseEstimator):
    """What the regressor and the classifier share: from X to numbers."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _learn_inputs(self, X: Any, y: Any, task: Task) -> tuple[NDArray[Any], NDArray[Any]]:
        X = validate_data(self, as_features(X), skip_check_array=True)
        check_rows(*X.shape)
        y = check_target(y, task)
        check_consistent_length(X, y)
        self.encoder_ = TableEncoder()
        return self.encoder_.fit_transform(X), y

    def _encode(self, X: Any) -> NDArray[Any]:
        check_is_fitted(self)
        return self.encoder_.transform(
            validate_data(self, as_features(X), reset=False, skip_check_array=True)
        )


class LeastSquares(RegressorMixin, Encoding):
    def fit(self, X: Any, y: Any) -> LeastSquares:
        features, y = self._learn_inputs(X, y, "regression")
        self.scaler_ = TargetScaler.fit(y)
        self.weights_ = np.linalg.lstsq(features, self.scaler_.transform(y), rcond=None)[0]
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        # einsum, as a row's product must not depend on the batch either
        standardized = np.einsum("nf,f->n", self._encode(X), self.weights_)
        return self.scaler_.inverse(standardized)


class Centroids(ClassifierMixin, Encoding):
    def fit(self, X: Any, y: Any) -> Centroids:
        features, y = self._learn_inputs(X, y, "classification")
        self.classes_ = np.unique(y)
        self.centroids_ = NearestCentroid().fit(features, y)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        features = self._encode(X)
        return self.centroids_.predict(features)


@pytest.mark.filterwarnings("ignore::bayeshyper.errors.DataWarning")
@parametrize_with_checks([LeastSquares(), Centroids()])
def test_scikit_learns_checks_pass(estimator: Any, check: Any) -> None:
    check(estimator)


def test_data_warnings_are_user_warnings() -> None:
    assert issubclass(DataWarning, UserWarning)
