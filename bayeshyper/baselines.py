"""BaselineRegressor and BaselineClassifier: what a hypernetwork is compared with, by the same interface."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Tensor, nn

from bayeshyper.assembly import build_model, build_settings, check_n_draws, initial_means
from bayeshyper.base import Recipe
from bayeshyper.errors import RecipeError
from bayeshyper.inference import SVISettings
from bayeshyper.inference.baselines import BASELINES, Baseline, Problem, check_model, with_unit_noise
from bayeshyper.judged import JudgedEstimator
from bayeshyper.memory import check_draws
from bayeshyper.ownnetwork import check_takes_rows, refuse_target_keys
from bayeshyper.progress import ProgressBar
from bayeshyper.recipes import apply_overrides, read_recipe
from bayeshyper.tasks import TableClassifier, TableRegressor
from bayeshyper.wholefit import whole

__all__ = ["BaselineClassifier", "BaselineRegressor"]


class BaselineEstimator(JudgedEstimator):
    """The base of `BaselineRegressor` and `BaselineClassifier`."""

    def __init__(
        self,
        method: str = "deep-ensemble",
        model: Recipe = "mlp",
        *,
        settings: Mapping[str, Any] | None = None,
        network: nn.Module | None = None,
        n_members: int | None = None,
        dropout: float | None = None,
        n_draws: int = 500,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool | None = None,
    ) -> None:
        self.method = method
        self.model = model
        self.settings = settings
        self.network = network
        self.n_members = n_members
        self.dropout = dropout
        self.n_draws = n_draws
        self.random_state = random_state
        self.verbose = verbose

    @whole
    def fit(self, X: Any, y: Any) -> Self:
        """Fit to a table; arguments and errors as for `HyperRegressor.fit`."""
        check_n_draws(self.n_draws)
        baseline, recipe = self._baseline(), read_recipe("models", self.model)
        recipe, inference = apply_overrides(recipe, baseline.recipe, self._overrides())
        inputs, targets = self._encode_training(X, y)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        x = torch.from_numpy(inputs).float()
        self.n_rows_, self.n_encoded_ = inputs.shape
        self.n_heldout_ = 0  # an ensemble's members hold out different rows, and the others none at last
        try:
            settings = build_settings(inference)
            self._model = build_model(
                recipe,
                rows=self.n_rows_,
                features=self.n_encoded_,
                facts=self._facts(),
                network=self.network,
                seed=seed,
            )
        except ValueError as error:  # a value of the right type that makes no sense, such as steps = -1
            raise RecipeError(f"In the recipe or settings: {error}") from error
        most = max(self.n_draws, settings.members)
        check_draws(most, self._model.spec.size, instead="lower n_draws or n_members")
        check_model(self._model)
        if self.network is not None:
            check_takes_rows(self._model.target, x)
        self._model.likelihood.check_target(torch.tensor(targets))
        y_modelled = torch.from_numpy(self._as_modelled(targets)).float()
        self._model.target.set_statistics(x)
        self._train(baseline, settings, x, y_modelled, seed)
        return self

    def _train(self, baseline: Baseline, settings: SVISettings, x: Tensor, y: Tensor, seed: int) -> None:
        started = time.monotonic()
        with ProgressBar(self.verbose, f"Fitting {baseline.label}", "Log joint") as progress:
            fitted = baseline.fit(
                Problem(
                    self._model,
                    with_unit_noise(self._model, initial_means(self._model, settings.members, seed)),
                    x,
                    y,
                    settings,
                    n_draws=self.n_draws,
                    dropout=self.dropout,
                    seed=seed,
                    log_unit=self._log_unit,
                    progress=progress,
                )
            )
        # What comes beside the training that is recorded, such as the choice of a rate, takes time too.
        self.history_ = replace(fitted.history, seconds=time.monotonic() - started)
        self._method = {"method": baseline.label, **fitted.about}
        self._keep_draws(fitted.draws)
        if fitted.linearized is not None:
            self._model64.add_module("target", fitted.linearized)

    def _baseline(self) -> Baseline:
        if self.method not in BASELINES:
            raise RecipeError(f"Got the method {self.method!r}, expected one of {', '.join(BASELINES)}.")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise RecipeError(f"Got dropout = {self.dropout}, expected a share from 0 up to, but not, 1.")
        return BASELINES[self.method]

    def _overrides(self) -> dict[str, Any]:
        overrides = dict(self.settings or {})
        if self.n_members is not None:
            overrides["members"] = self.n_members
        if self.network is not None:
            refuse_target_keys(overrides)
        return overrides

    def _about_method(self) -> dict[str, str]:
        return self._method


class BaselineRegressor(TableRegressor, BaselineEstimator):
    """A regressor by a method that a hypernetwork is compared with: same network, prior and likelihood.

    Args:
        method: ``"map"``, ``"deep-ensemble"``, ``"mc-dropout"`` or ``"laplace"``.
        model: A model recipe, as for `HyperRegressor`; its table ``[hypernetwork]`` is not used.
        settings: Dotted overrides of it, and of what all methods are trained with: ``optimizer.steps``,
            ``optimizer.learning_rate``, ``batch_size``, ``stopping.holdout``.
        network: An ``nn.Module`` of your own instead of the recipe's network; it is copied, never touched.
        n_members: Networks of a deep ensemble; None is 5.
        dropout: The rate of MC dropout; None lets rows that are held out at first choose.
        n_draws: Weight vectors that MC dropout and Laplace predict with.
        random_state: Seed of everything random.
        verbose: True shows a progress bar, False none, None only where the fit takes over two seconds and
            standard error is a terminal.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X = rng.uniform(-2, 2, (60, 1))
        >>> y = np.sin(2 * X[:, 0]) + 0.1 * rng.normal(size=60)
        >>> model = BaselineRegressor("laplace", random_state=0, settings={"optimizer.steps": 300}).fit(X, y)
        >>> mean, std = model.predict(X[:3], return_std=True)
        >>> std.shape
        (3,)
    """


class BaselineClassifier(TableClassifier, BaselineEstimator):
    """A classifier likewise.

    Args: as for `BaselineRegressor`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(60, 2))
        >>> y = np.where(X[:, 0] > 0, "right", "left")
        >>> model = BaselineClassifier("map", random_state=0, settings={"optimizer.steps": 300}).fit(X, y)
        >>> model.predict_proba(X[:3]).shape
        (3, 2)
    """
