"""What regressor and classifier share: recipes in, a fitted posterior out."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from bayeshyper.assembly import build_guide, build_model, build_settings, reason_against_start
from bayeshyper.data import TableEncoder, Task, as_features, category_order, check_rows, check_target
from bayeshyper.diagnostics import Audit, audit, evaluate, to_arviz
from bayeshyper.errors import ModelFileError, RecipeError
from bayeshyper.inference import History, fit, take_holdout
from bayeshyper.models import TargetFacts
from bayeshyper.ownnetwork import check_takes_rows, refuse_target_keys
from bayeshyper.prediction import PredictiveDistribution, WeightEnsemble
from bayeshyper.progress import ProgressBar
from bayeshyper.recipes import apply_overrides, read_recipe
from bayeshyper.version import __version__

__all__ = ["HyperEstimator", "Recipe"]

Array = NDArray[np.float64]
Recipe = str | os.PathLike[str] | Mapping[str, Any]


class HyperEstimator(BaseEstimator):
    """The base of `HyperRegressor` and `HyperClassifier`; they add what their target needs."""

    _task: ClassVar[Task]

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

    def __init__(
        self,
        model: Recipe = "mlp",
        inference: Recipe | None = None,
        *,
        settings: Mapping[str, Any] | None = None,
        network: nn.Module | None = None,
        n_members: int | None = None,
        n_draws: int = 500,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool | None = None,
    ) -> None:
        self.model = model
        self.inference = inference
        self.settings = settings
        self.network = network
        self.n_members = n_members
        self.n_draws = n_draws
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.target_tags.required = True
        return tags

    # -- fitting ----------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the posterior to a table.

        Args:
            X: ``(N, columns)``, a DataFrame (numbers, booleans, categories, dates; missing values are fine)
                or an array of numbers (NaN means missing).
            y: ``(N,)``, numbers for a regressor (``(N, K)`` for K of them per row), labels for a classifier.

        Raises:
            DataError: Data that cannot be learned from, or a target that the likelihood does not allow; the
                sentence says what to do.
            RecipeError: A recipe or setting with an unknown key or a wrong value.
            TrainingDiverged: The loss stopped being finite.
        """
        recipe, inference = self._recipes()
        inputs, targets = self._encode_training(X, y)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        x = torch.from_numpy(inputs).float()
        self._assemble(recipe, inference, inputs.shape[1], seed)
        self.inference_ = self._inference_name(recipe)
        otherwise = self.settings_.otherwise
        if otherwise and (why := reason_against_start(self._model, self._guide, self.settings_, x)):
            self._assemble(*self._recipes(otherwise), inputs.shape[1], seed)
            self.inference_ = f"{otherwise}, since {self.inference_} {why}"
        self._model.likelihood.check_target(torch.tensor(targets))
        t = torch.from_numpy(self._as_modelled(targets)).float()
        split = take_holdout(len(inputs), self.settings_, torch.Generator().manual_seed(seed))
        heldout = None
        if split is not None:
            kept, held = split
            heldout = (x[held], t[held])
            x, t = x[kept], t[kept]
        self._train(x, t, heldout, seed)
        return self

    def _inference_name(self, recipe: Mapping[str, Any]) -> str:
        """The inference recipe's name, or the file that it stands in."""
        inference = self.inference or recipe.get("inference", "svi")
        return "a recipe of your own" if isinstance(inference, Mapping) else Path(inference).stem

    def _recipes(self, otherwise: str | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Both recipes with this estimator's overrides applied; ``otherwise`` replaces the inference's."""
        recipe = read_recipe("models", self.model)
        inference = read_recipe("inference", otherwise or self.inference or recipe.get("inference", "svi"))
        overrides = dict(self.settings or {})
        if self.n_members is not None:
            overrides["members"] = self.n_members
        resolved = apply_overrides(recipe, inference, overrides)
        if self.network is not None:
            refuse_target_keys(overrides)
        return resolved

    def _encode_training(self, X: Any, y: Any) -> tuple[Array, Array]:
        table = validate_data(self, as_features(X), skip_check_array=True)
        check_rows(*table.shape)
        targets = check_target(y, self._task)
        check_consistent_length(table, targets)
        name = getattr(y, "name", None)
        self.target_name_ = name if isinstance(name, str) else None
        self.encoder_ = TableEncoder()
        return self.encoder_.fit_transform(table), self._learn_target(targets, category_order(y))

    def _assemble(self, recipe: dict[str, Any], inference: dict[str, Any], features: int, seed: int) -> None:
        """Build model and guide, untrained, from resolved recipes."""
        self.recipe_, self.inference_recipe_ = recipe, inference
        self.n_encoded_ = features
        try:
            self.settings_ = build_settings(inference)
            self._model = build_model(
                recipe, rows=1, features=features, facts=self._facts(), network=self.network, seed=seed
            )
            self._guide = build_guide(self._model, recipe, self.settings_, seed=seed)
        except ValueError as error:  # a value of the right type that makes no sense, such as steps = -1
            raise RecipeError(f"In the recipe or settings: {error}") from error

    def _train(self, x: Tensor, t: Tensor, heldout: tuple[Tensor, Tensor] | None, seed: int) -> None:
        if self.network is not None:
            check_takes_rows(self._model.target, x)
        self._model.num_data = self.n_rows_ = len(x)
        self.n_heldout_ = 0 if heldout is None else len(heldout[0])
        self._audit: Audit | None = None
        self._training: tuple[Tensor, Tensor] | None = (x, t)
        objective = self.settings_.make_objective().label
        with ProgressBar(self.verbose, f"Fitting {type(self).__name__}", objective) as progress:
            self.history_: History = fit(
                self._model,
                self._guide,
                x,
                t,
                self.settings_,
                heldout=heldout,
                seed=seed,
                log_unit=self._log_unit,
                progress=progress,
            )
        self._draws = self._draw_once(seed + 1)
        self._model64 = copy.deepcopy(self._model).double()

    @torch.no_grad()
    def _draw_once(self, seed: int) -> Tensor:
        """The weights that all predictions use, ``(S, D)``: equally many of each member, in their order."""
        hypernetwork = self._guide.hypernetwork
        per_member = -(-self.n_draws // hypernetwork.members)
        generator = torch.Generator().manual_seed(seed)
        made = hypernetwork.draw(per_member, generator=generator, with_jacobian=False)
        return made.weights.flatten(0, 1).double()

    # -- what the posterior says ------------------------------------------------------------------------

    def predictive(self, X: Any) -> PredictiveDistribution:
        """The whole predictive distribution of each row: mean, std, quantiles, probabilities, samples.

        It uses weights drawn once at the end of the fit, in float64: a row always gets the same answer.
        """
        check_is_fitted(self)
        table = validate_data(self, as_features(X), reset=False, skip_check_array=True)
        inputs = torch.from_numpy(self.encoder_.transform(table))
        return PredictiveDistribution(self._model64, self._draws, inputs, **self._units())

    def log_prob(self, X: Any, y: ArrayLike) -> Array:
        """Log predictive density of each row's target (or log probability of its label), ``(N,)``.

        In the target's own units: its mean is the test log-likelihood of the literature.
        """
        return self.predictive(X).log_prob(y)

    def sample_weights(self, n: int = 100, *, seed: int = 0) -> WeightEnsemble:
        """Draw n weight vectors from the posterior, fresh ones: ``(n, D)`` with names, modules, ``save``."""
        check_is_fitted(self)
        generator = torch.Generator().manual_seed(seed)
        weights = self._guide.hypernetwork.sample(n, generator=generator)
        return WeightEnsemble(weights, self._model.spec, self._model.target)

    def audit(self) -> Audit:
        """The ELBO between two bounds, on the training data (computed once, and kept in the model file).

        Raises:
            ModelFileError: The model was loaded from a file that was saved without an audit.
        """
        check_is_fitted(self)
        if self._audit is None:
            if self._training is None:
                raise ModelFileError(
                    "This model was saved without its audit, which needs the training data; "
                    "call audit() before save()."
                )
            self._audit = audit(
                self._model,
                self._guide.hypernetwork,
                *self._training,
                temperature=self.history_.start["temperature"],
            )
        return self._audit

    def report(
        self,
        X: Any,
        y: ArrayLike,
        folder: str | Path,
        *,
        title: str = "Can its uncertainty be trusted?",
        column: int | None = None,
        force: bool = False,
    ) -> Path:
        """Write a calibration report on rows that were not fitted: HTML, Markdown, JSON and plots.

        Args:
            X: Rows as for `fit`.
            y: What happened.
            folder: Where to write; made where it is missing.
            title: The report's headline.
            column: Which column of a target that has several, counted from 0.
            force: Whether to write over a report that stands there; other files are never touched.

        Returns:
            The path of ``report.html``.

        Raises:
            FileExistsError: There is a report, and ``force`` is False.
        """
        # Loads matplotlib, which fit and predict need not wait for.
        from bayeshyper.report import write_report

        predictive = self.predictive(X)
        if column is not None:
            predictive, y = predictive.column(column), np.asarray(y)[:, column]
        evaluation = evaluate(predictive, y)
        audited = self.audit() if self._audit or self._training else None
        return write_report(
            Path(folder),
            evaluation,
            about=self.about(),
            audit=audited,
            history=self.history_,
            title=title,
            force=force,
        )

    def to_arviz(self, X: Any, y: ArrayLike, *, var_names: tuple[str, ...] = (), seed: int = 0) -> Any:
        """The posterior as ArviZ takes it, see `bayeshyper.diagnostics.to_arviz`; restarts are the chains."""
        predictive = self.predictive(X)
        ensemble = WeightEnsemble(self._draws, self._model.spec, self._model.target)
        members = self._guide.hypernetwork.members
        return to_arviz(predictive, np.asarray(y), ensemble, chains=members, var_names=var_names, seed=seed)

    def about(self) -> dict[str, str]:
        """What a report says of the model: data, recipe, time, versions."""
        check_is_fitted(self)
        rows = f"{self.n_rows_:,} rows fitted"
        if self.n_heldout_:
            rows += f", {self.n_heldout_:,} held out for early stopping"
        hypernetwork, target = self._guide.hypernetwork, self._model.target
        return {
            "estimator": type(self).__name__,
            "data": f"{rows}; {self.n_features_in_} columns, encoded as {self.n_encoded_} inputs",
            "network": f"{type(target.network).__name__}, {target.spec.size:,} weights",
            "likelihood": repr(self._model.likelihood),
            "prior": repr(self._model.prior),
            "posterior": repr(hypernetwork.settings),
            "inference": self.inference_,
            "members": str(hypernetwork.members),
            "temperature": f"{self.history_.start['temperature']:g}",
            **self._about_start(),
            "seed": str(self.random_state),
            "steps": f"{self.history_.steps[-1]:,} (kept: {self.history_.best_step:,})",
            "time": f"{self.history_.seconds:.1f} s",
            "versions": f"bayeshyper {__version__}, torch {torch.__version__}",
        }

    def _about_start(self) -> dict[str, str]:
        """What held-out rows chose, where there were any."""
        chosen = self.history_.start
        if not chosen["rows"]:
            return {}
        lines = {
            "calibration": f"{chosen['rows']:,} rows held out at first, to choose temperature and noise; "
            "then fitted with the others"
        }
        if "shift" in chosen:
            lines["noise"] = f"{math.exp(chosen['shift']):.2f} times as fitted, ± {chosen['spread']:.0%}"
        return lines

    def summary(self) -> str:
        """`about`, as lines of text."""
        about = self.about()
        width = max(map(len, about))
        return "\n".join(f"{name:<{width}}  {value}" for name, value in about.items())
