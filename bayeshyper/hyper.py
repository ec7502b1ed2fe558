"""The base of the hypernetwork estimators: recipes in, a fitted posterior out."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from bayeshyper.assembly import (
    build_guide,
    build_model,
    build_settings,
    check_n_draws,
    reason_against_start,
)
from bayeshyper.base import Recipe
from bayeshyper.diagnostics import Audit, Collapse, audit, collapse, convergence
from bayeshyper.errors import CollapseWarning, ModelFileError, RecipeError, warn
from bayeshyper.inference import Checkpoint, fit, take_holdout
from bayeshyper.judged import JudgedEstimator, chosen_rows
from bayeshyper.memory import check_draws
from bayeshyper.ownnetwork import check_takes_rows, refuse_target_keys
from bayeshyper.prediction import WeightEnsemble
from bayeshyper.progress import ProgressBar
from bayeshyper.recipes import apply_overrides, read_recipe
from bayeshyper.wholefit import whole

__all__ = ["HyperEstimator"]

COMPARED_ROWS = 500  # on which restarts are compared


class HyperEstimator(JudgedEstimator):
    """The base of `HyperRegressor` and `HyperClassifier`: model, guide, SVI and audit."""

    _collapse: Collapse | None = None

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

    # -- fitting ----------------------------------------------------------------------------------------

    @whole
    def fit(self, X: Any, y: Any, *, checkpoint: Checkpoint | str | os.PathLike[str] | None = None) -> Self:
        """Fit the posterior to a table.

        Args:
            X: ``(N, columns)``, a DataFrame (numbers, booleans, categories, dates; missing values are fine)
                or an array of numbers (NaN means missing).
            y: ``(N,)``, numbers for a regressor (``(N, K)`` for K of them per row), labels for a classifier.
            checkpoint: A path, or a `Checkpoint`, where the state of the fit is kept every minute. A fit that
                was ended goes on from there when the same is called again, and comes to the same bits.
                `save` removes it.

        Raises:
            CheckpointError: The checkpoint is of another fit.
            DataError: Data that cannot be learned from, or a target that the likelihood does not allow; the
                sentence says what to do.
            RecipeError: A recipe or setting with an unknown key or a wrong value.
            TooLarge: The draws that predictions would use need more memory than is free.
            TrainingDiverged: The loss stopped being finite.
        """
        check_n_draws(self.n_draws)
        recipe, inference = self._recipes()
        inputs, targets = self._encode_training(X, y)
        checkpoint = Checkpoint.at(checkpoint)
        seed = self._seed(checkpoint)
        x = torch.from_numpy(inputs).float()
        self._assemble(recipe, inference, inputs.shape[1], seed)
        self.inference_ = self._inference_name(recipe)
        otherwise = self.settings_.otherwise
        if otherwise and (why := reason_against_start(self._model, self._guide, self.settings_, x)):
            self._assemble(*self._recipes(otherwise), inputs.shape[1], seed)
            self.inference_ = f"{otherwise}, since {self.inference_} {why}"
        check_draws(self.n_draws, self._model.spec.size, instead="lower n_draws")
        at_once = self.settings_.particles * self.settings_.members
        check_draws(at_once, self._model.spec.size, instead="lower particles")
        self._model.likelihood.check_target(torch.tensor(targets))
        t = torch.from_numpy(self._as_modelled(targets)).float()
        split = take_holdout(len(inputs), self.settings_, torch.Generator().manual_seed(seed))
        heldout = None
        if split is not None:
            kept, held = split
            heldout = (x[held], t[held])
            x, t = x[kept], t[kept]
        self._train(x, t, heldout, seed, checkpoint)
        self._look_at_gaps(X, inputs, targets)
        return self

    def _seed(self, checkpoint: Checkpoint | None) -> int:
        """Of everything random: where any will do, that of the fit to go on with."""
        known = checkpoint.owner() if checkpoint is not None and self.random_state is None else None
        if known is not None and "seed" in known:
            return int(known["seed"])
        return int(check_random_state(self.random_state).randint(2**31 - 1))

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

    def _assemble(
        self,
        recipe: dict[str, Any],
        inference: dict[str, Any],
        features: int,
        seed: int,
        means: Tensor | None = None,
    ) -> None:
        """Build model and guide, untrained, from resolved recipes; the guide's means may be given."""
        self.recipe_, self.inference_recipe_ = recipe, inference
        self.n_encoded_ = features
        try:
            self.settings_ = build_settings(inference)
            self._model = build_model(
                recipe, rows=1, features=features, facts=self._facts(), network=self.network, seed=seed
            )
            self._guide = build_guide(self._model, recipe, self.settings_, seed=seed, means=means)
        except ValueError as error:  # a value of the right type that makes no sense, such as steps = -1
            raise RecipeError(f"In the recipe or settings: {error}") from error

    def _train(
        self,
        x: Tensor,
        t: Tensor,
        heldout: tuple[Tensor, Tensor] | None,
        seed: int,
        checkpoint: Checkpoint | None,
    ) -> None:
        if self.network is not None:
            check_takes_rows(self._model.target, x)
        self._model.num_data = self.n_rows_ = len(x)
        self.n_heldout_ = 0 if heldout is None else len(heldout[0])
        self._audit: Audit | None = None
        self._collapse = None
        self._training: tuple[Tensor, Tensor] | None = (x, t)
        objective = self.settings_.make_objective().label
        with ProgressBar(self.verbose, f"Fitting {type(self).__name__}", objective) as progress:
            self.history_ = fit(
                self._model,
                self._guide,
                x,
                t,
                self.settings_,
                heldout=heldout,
                seed=seed,
                log_unit=self._log_unit,
                progress=progress,
                checkpoint=checkpoint,
            )
        self._checkpoint = None if checkpoint is None else (checkpoint, checkpoint.owner())
        self._keep_draws(self._draw_once(seed + 1))

    @torch.no_grad()
    def _draw_once(self, seed: int) -> Tensor:
        """The weights that all predictions use, ``(S, D)``: equally many of each member, in their order."""
        hypernetwork = self._guide.hypernetwork
        per_member = -(-self.n_draws // hypernetwork.members)
        generator = torch.Generator().manual_seed(seed)
        made = hypernetwork.draw(per_member, generator=generator, with_jacobian=False)
        return made.weights.flatten(0, 1).double()

    # -- what the posterior says ------------------------------------------------------------------------

    def sample_weights(self, n: int = 100, *, seed: int = 0) -> WeightEnsemble:
        """Draw n weight vectors from the posterior, fresh ones: ``(n, D)`` with names, modules, ``save``.

        Raises:
            TooLarge: They need more memory than is free.
        """
        check_is_fitted(self)
        generator = torch.Generator().manual_seed(seed)
        weights = self._guide.hypernetwork.sample(n, generator=generator)
        return WeightEnsemble(weights, self._model.spec, self._model.target)

    def audit(self) -> Audit:
        """The ELBO between two bounds, on the training data (computed once, and kept in the model file).

        Raises:
            ModelFileError: The model was loaded from a file that was saved without an audit.

        Warns with `CollapseWarning` where the posterior has no width, or is as wide as its prior.
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
            self._look_for_collapse()
        return self._audit

    def _look_for_collapse(self) -> Collapse:
        """What the noise does to the weights; it warns of a collapse when it first looks."""
        if self._collapse is None:
            self._collapse = collapse(self._guide.hypernetwork, audit=self._audit)
            if self._collapse.alarm:
                warn(CollapseWarning, self._collapse.alarm)
        return self._collapse

    def _posterior_checks(self, inputs: Tensor) -> dict[str, Any]:
        audited = self.audit() if self._audit or self._training else None
        rows = inputs[chosen_rows(len(inputs), COMPARED_ROWS)]
        functions = self._predictive(rows, self._draws).functions()
        by_member = functions.reshape(self._chains, -1, *functions.shape[1:])
        return {
            "audit": audited,
            "convergence": convergence(by_member),
            "collapse": self._look_for_collapse(),
        }

    @property
    def _chains(self) -> int:
        return int(self._guide.hypernetwork.members)

    def _about_method(self) -> dict[str, str]:
        hypernetwork = self._guide.hypernetwork
        return {
            "posterior": hypernetwork.settings.words,
            "inference": self.inference_,
            "members": str(hypernetwork.members),
            "temperature": f"{self.history_.start['temperature']:g}",
            **self._about_start(),
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
