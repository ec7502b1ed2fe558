"""What every estimator for tables shares: a table in, the predictive distribution of weight draws out."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from bayeshyper.data import Extent, TableEncoder, Task, as_features, category_order, check_rows, check_target
from bayeshyper.diagnostics import Evaluation, evaluate, to_arviz
from bayeshyper.diagnostics._words import plural
from bayeshyper.errors import ExtrapolationWarning, warn
from bayeshyper.inference import History
from bayeshyper.judged import group_columns, judged_rows, rows_in_words
from bayeshyper.memory import check_draws
from bayeshyper.models import BayesianModel, TargetFacts
from bayeshyper.prediction import PredictiveDistribution, WeightEnsemble
from bayeshyper.threads import seeded
from bayeshyper.version import __version__

__all__ = ["Array", "Recipe", "TableEstimator"]

MOST_JUDGED = 50_000  # rows, unless more are asked for

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

    def _posterior_checks(self, X: Any) -> dict[str, Any]:
        """What a report says of the posterior itself, on some rows: arguments of `write_report`."""
        return {}

    @property
    def _chains(self) -> int:
        """How many independent restarts the draws are of, equally many of each, in their order."""
        return 1

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
        return inputs, self._learn_target(targets, category_order(y))

    def _keep_draws(self, draws: Tensor) -> None:
        """Keep the weights that all predictions use, ``(S, D)``, and the model in their float64."""
        self._draws = draws
        self._model64 = copy.deepcopy(self._model).double()

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

    def evaluate(
        self,
        X: Any,
        y: ArrayLike,
        *,
        column: int | None = None,
        unfamiliar: Any = None,
        repair: bool = False,
        max_rows: int | None = MOST_JUDGED,
    ) -> Evaluation:
        """Score the predictions of rows that were not fitted, and judge them, see `bayeshyper.diagnostics`.

        Args:
            X: Rows as for `fit`; where it is wrong is looked for in their columns, if they are 50 at most.
            y: What happened.
            column: Which column of a target that has several, counted from 0.
            unfamiliar: Rows of a second table, which it should be less sure about.
            repair: Whether to try what recalibration would change.
            max_rows: Of more rows, so many are drawn at random: they are enough for intervals within a per
                cent. None for all, at about a minute per 100,000.
        """
        table, seen = judged_rows(as_features(X), y, max_rows)
        predictive, strange = self.predictive(table), None
        if unfamiliar is not None:
            strange = self._predictive(
                self._inputs(judged_rows(as_features(unfamiliar), None, max_rows)[0]), self._draws
            )
        if column is not None:
            predictive, seen = predictive.column(column), np.asarray(seen)[:, column]
            strange = None if strange is None else strange.column(column)
        return evaluate(predictive, seen, by=group_columns(table), unfamiliar=strange, repair=repair)

    def report(
        self,
        X: Any,
        y: ArrayLike,
        folder: str | Path,
        *,
        title: str = "Can its uncertainty be trusted?",
        about: Mapping[str, str] | None = None,
        comparisons: Mapping[str, Evaluation] | None = None,
        name: str = "this model",
        force: bool = False,
        **options: Any,
    ) -> Path:
        """Write a calibration report on rows that were not fitted: HTML, Markdown, JSON and plots.

        Args:
            X: Rows as for `evaluate`.
            y: What happened.
            folder: Where to write; made where it is missing.
            title: The report's headline.
            about: What to add to what `about` says, line by line.
            comparisons: Other models, as they were evaluated on the same rows, by name.
            name: What to call this model beside them.
            force: Whether to write over a report that stands there; other files are never touched.
            **options: Of `evaluate`: column, unfamiliar, repair (True if not given) and max_rows.

        Returns:
            The path of ``report.html``.

        Raises:
            FileExistsError: There is a report, and ``force`` is False.
        """
        # Loads matplotlib, which fit and predict need not wait for.
        from bayeshyper.report import write_report

        evaluation = self.evaluate(X, y, **{"repair": True, **options})
        table = as_features(X)
        judged = rows_in_words(evaluation.n_rows, len(table))
        far = self._far(self._inputs(judged_rows(table, None, options.get("max_rows", MOST_JUDGED))[0]))
        return write_report(
            Path(folder),
            evaluation,
            about={
                **self.about(),
                "judged on": judged,
                **({"far from the fitted rows": far} if far else {}),
                **(about or {}),
            },
            history=self.history_,
            comparisons=comparisons,
            name=name,
            title=title,
            force=force,
            **self._posterior_checks(X),
        )

    def to_arviz(
        self,
        X: Any,
        y: ArrayLike,
        *,
        var_names: tuple[str, ...] = (),
        prior_draws: int = 0,
        seed: int = 0,
    ) -> Any:
        """The posterior as ArviZ takes it, see `bayeshyper.diagnostics.to_arviz`; restarts are the chains.

        With ``prior_draws`` the groups ``prior`` and ``prior_predictive`` hold as many draws of the prior.

        Raises:
            TooLarge: Draws that need more memory than is free.

        Warns as `predictive` does.
        """
        if prior_draws < 0:
            raise ValueError(f"Got prior_draws = {prior_draws}, expected 0 or more.")
        inputs, prior = self._known_inputs(X), None
        if prior_draws:
            check_draws(prior_draws, self._model.spec.size, instead="lower prior_draws")
            with seeded(seed):
                weights = self._model64.prior().sample(torch.Size((prior_draws,)))
            prior = self._predictive(inputs, weights)
        return to_arviz(
            self._predictive(inputs, self._draws),
            np.asarray(y),
            WeightEnsemble(self._draws, self._model.spec, self._model.target),
            chains=self._chains,
            var_names=var_names,
            prior=prior,
            inputs=inputs.numpy(),
            seed=seed,
        )

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
