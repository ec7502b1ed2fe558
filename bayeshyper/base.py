"""What every estimator for tables shares: a table in, the predictive distribution of weight draws out."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from bayeshyper.data import (
    Extent,
    TableEncoder,
    Task,
    as_features,
    category_order,
    check_rows,
    check_target,
    copies,
    few_rows,
)
from bayeshyper.diagnostics._words import plural
from bayeshyper.errors import (
    DuplicateRowsWarning,
    ExtrapolationWarning,
    FewRowsWarning,
    MissingValuesWarning,
    warn,
)
from bayeshyper.gaps import LEVEL, MOST_ROWS, misjudged
from bayeshyper.inference import History
from bayeshyper.models import BayesianModel, TargetFacts
from bayeshyper.prediction import PredictiveDistribution
from bayeshyper.version import __version__

__all__ = ["Array", "Recipe", "TableEstimator"]

Array = NDArray[np.float64]
Recipe = str | os.PathLike[str] | Mapping[str, Any]


class TableEstimator(BaseEstimator):
    """An estimator whose fit ends in weight vectors of one `BayesianModel`.

    A subclass gives ``fit``, which calls `_encode_training` first and `_keep_draws` last, and sets
    ``history_``, ``n_rows_``, ``n_heldout_`` and ``n_encoded_``. `TableRegressor` and `TableClassifier` add
    what their target needs.

    Attributes:
        history_: The `History` of the fit.
        n_features_in_: Columns of the training table.
    """

    _task: ClassVar[Task]
    _model: BayesianModel

    random_state: int | np.random.RandomState | None
    history_: History
    n_rows_: int
    n_heldout_: int
    n_encoded_: int
    _extent: Extent | None = None

    # What the two kinds of target differ in.

    def _learn_target(self, targets: NDArray[Any], order: list[Any] | None) -> Array:
        """Numbers or class indices, ``(N,)`` or ``(N, K)``; ``order`` is an ordered categorical's."""
        raise NotImplementedError

    def _facts(self) -> TargetFacts:
        """What a likelihood may know of the target that was learned."""
        raise NotImplementedError

    def _as_modelled(self, targets: Array) -> Array:
        """The targets in the units that the model's likelihood sees."""
        raise NotImplementedError

    def _units(self) -> dict[str, Any]:
        """How a predictive distribution gets back to the target's own values."""
        raise NotImplementedError

    @property
    def _log_unit(self) -> float:
        """Log of the target's scale: what a log density in its own units loses."""
        raise NotImplementedError

    # What the ways to fit differ in.

    def _about_method(self) -> dict[str, str]:
        """What `about` says of the way it was fitted."""
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.target_tags.required = True
        return tags

    # -- fitting ----------------------------------------------------------------------------------------

    def _encode_training(self, X: Any, y: Any) -> tuple[Array, Array]:
        table = validate_data(self, as_features(X), skip_check_array=True)
        check_rows(*table.shape)
        targets = check_target(y, self._task)
        check_consistent_length(table, targets)
        name = getattr(y, "name", None)
        self.target_name_ = name if isinstance(name, str) else None
        self.encoder_ = TableEncoder()
        inputs = self.encoder_.fit_transform(table)
        self._extent = Extent.of(inputs)
        if few := few_rows(len(inputs)):
            warn(FewRowsWarning, few)
        elif copied := copies(table, inputs, targets):
            warn(DuplicateRowsWarning, copied)
        return inputs, self._learn_target(targets, category_order(y))

    def _keep_draws(self, draws: Tensor) -> None:
        """Keep the weights that all predictions use, ``(S, D)``, and the model in their float64."""
        self._draws = draws
        self._model64 = copy.deepcopy(self._model).double()

    def _look_at_gaps(self, X: Any, inputs: Array, targets: Array) -> None:
        """Warn where fitted rows with missing values are less certain than their intervals say."""
        if self._task != "regression" or targets.ndim > 1:
            return
        rows = np.flatnonzero(as_features(X).isna().any(axis=1))[:MOST_ROWS]
        if len(rows) == 0:
            return
        low, high = self._predictive(torch.from_numpy(inputs[rows]), self._draws).interval(LEVEL).T
        if said := misjudged((low <= targets[rows]) & (targets[rows] <= high)):
            warn(MissingValuesWarning, said)

    # -- what the posterior says ------------------------------------------------------------------------

    def predictive(self, X: Any) -> PredictiveDistribution:
        """The whole predictive distribution of each row: mean, std, quantiles, probabilities, samples.

        It uses weights drawn once at the end of the fit, in float64: a row always gets the same answer. Warns
        with `ExtrapolationWarning` of rows that lie far from all that were fitted.
        """
        return self._predictive(self._known_inputs(X), self._draws)

    def _known_inputs(self, X: Any) -> Tensor:
        """`_inputs` of rows to predict; warns of those that lie far from all that were fitted."""
        inputs = self._inputs(X)
        if far := self._far(inputs):
            warn(ExtrapolationWarning, far)
        return inputs

    def _far(self, inputs: Tensor) -> str | None:
        """Says which encoded rows lie far from all that were fitted; None where none does."""
        if self._extent is None:  # from a file of an earlier version
            return None
        return self._extent.sentence(inputs.numpy(), self.encoder_.feature_names_out)

    def _predictive(self, inputs: Tensor, weights: Tensor) -> PredictiveDistribution:
        return PredictiveDistribution(self._model64, weights, inputs, **self._units())

    def _inputs(self, X: Any) -> Tensor:
        """The rows as the network sees them, ``(N, F)`` in float64."""
        check_is_fitted(self)
        table = validate_data(self, as_features(X), reset=False, skip_check_array=True)
        return torch.from_numpy(self.encoder_.transform(table))

    def log_prob(self, X: Any, y: ArrayLike) -> Array:
        """Log predictive density of each row's target (or log probability of its label), ``(N,)``.

        In the target's own units: its mean is the test log-likelihood of the literature.
        """
        return self.predictive(X).log_prob(y)

    def about(self) -> dict[str, str]:
        """What a report says of the model: data, recipe, time, versions."""
        check_is_fitted(self)
        rows = f"{self.n_rows_:,} rows fitted"
        if self.n_heldout_:
            rows += f", {self.n_heldout_:,} held out for early stopping"
        target = self._model.target
        return {
            "estimator": type(self).__name__,
            "data": f"{rows}; {plural(self.n_features_in_, 'column')}, encoded as "
            f"{plural(self.n_encoded_, 'input')}",
            "network": f"{type(target.network).__name__}, {target.spec.size:,} weights",
            "likelihood": repr(self._model.likelihood),
            "prior": repr(self._model.prior),
            **self._about_method(),
            "seed": str(self.random_state),
            "steps": f"{self.history_.steps[-1]:,} (kept: {self.history_.best_step:,})",
            "time": f"{self.history_.seconds:.1f} s",
            "versions": f"bayeshyper {__version__}, torch {torch.__version__}",
        }

    def summary(self) -> str:
        """`about`, as lines of text."""
        about = self.about()
        width = max(map(len, about))
        return "\n".join(f"{name:<{width}}  {value}" for name, value in about.items())
