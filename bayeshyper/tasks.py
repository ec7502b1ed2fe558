"""The two kinds of estimator: what a regressor and a classifier do with their target, however they fit."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, RegressorMixin

from bayeshyper.base import Array, TableEstimator
from bayeshyper.data import TargetScaler, Task
from bayeshyper.data.names import listed
from bayeshyper.errors import DataError
from bayeshyper.models import Ordinal, TargetFacts

__all__ = ["TableClassifier", "TableRegressor"]


class TableRegressor(RegressorMixin, TableEstimator):
    """Numbers, standardised inside where the likelihood allows all of them."""

    _task: ClassVar[Task] = "regression"

    def predict(self, X: Any, return_std: bool = False) -> Array | tuple[Array, Array]:
        """The predictive mean ``(N,)``, and with ``return_std`` the predictive standard deviation too."""
        predictive = self.predictive(X)
        return (predictive.mean, predictive.std) if return_std else predictive.mean

    def predict_quantiles(self, X: Any, levels: ArrayLike = (0.05, 0.5, 0.95)) -> Array:
        """Quantiles of the predictive distribution, ``(N, L)``."""
        return self.predictive(X).quantiles(levels)

    def _learn_target(self, targets: NDArray[Any], order: list[Any] | None) -> Array:
        self._scaler = TargetScaler.fit(targets)
        return targets

    def _facts(self) -> TargetFacts:
        means = np.atleast_1d(self._scaler.mean)
        return TargetFacts(mean=float(means[0]), n_columns=len(means))

    @property
    def _unit(self) -> TargetScaler:
        """How the model sees the target: standardised, or as it is."""
        return self._scaler if self._model.likelihood.standardized else TargetScaler(mean=0.0, scale=1.0)

    def _as_modelled(self, targets: Array) -> Array:
        return self._unit.transform(targets)

    def _units(self) -> dict[str, Any]:
        return {"loc": self._unit.mean, "scale": self._unit.scale}

    @property
    def _log_unit(self) -> float:
        return float(np.log(self._unit.scale).sum())


class TableClassifier(ClassifierMixin, TableEstimator):
    """Labels, as indices inside.

    Attributes:
        classes_: The labels, sorted, or in the order of an ordered categorical; the columns of
            ``predict_proba``.
    """

    _task: ClassVar[Task] = "classification"

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of each row, ``(N,)``."""
        probabilities = self.predict_proba(X)
        labels: NDArray[Any] = self.classes_[probabilities.argmax(axis=1)]
        return labels

    def predict_proba(self, X: Any) -> Array:
        """Class probabilities, ``(N, C)``, averaged over the posterior."""
        return self.predictive(X).probs

    def _learn_target(self, targets: NDArray[Any], order: list[Any] | None) -> Array:
        self.classes_, indices = np.unique(targets, return_inverse=True)
        self._ordered = order is not None or not any(isinstance(label, str) for label in self.classes_)
        if order is not None:
            place = np.array([order.index(label) for label in self.classes_.tolist()]).argsort()
            self.classes_, indices = self.classes_[place], place.argsort()[indices]
        return indices.astype(np.float64)

    def _facts(self) -> TargetFacts:
        return TargetFacts(n_classes=len(self.classes_))

    def _as_modelled(self, targets: Array) -> Array:
        if isinstance(self._model.likelihood, Ordinal) and not self._ordered:
            raise DataError(
                f"Got classes in no order, {listed(map(repr, self.classes_.tolist()), most=3)}, for the "
                "likelihood 'ordinal', expected numbers or an ordered categorical: "
                "pandas.Categorical(y, categories=[lowest, …, highest], ordered=True)."
            )
        return targets

    def _units(self) -> dict[str, Any]:
        return {"classes": self.classes_}

    @property
    def _log_unit(self) -> float:
        return 0.0
