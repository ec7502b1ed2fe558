"""Estimators held against rows that were not fitted: which rows, by which columns, and what is said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_consistent_length
from torch import Tensor

from bayeshyper.base import TableEstimator
from bayeshyper.data import as_features
from bayeshyper.diagnostics import Evaluation, evaluate, to_arviz
from bayeshyper.diagnostics._words import plural
from bayeshyper.memory import check_draws
from bayeshyper.prediction import WeightEnsemble
from bayeshyper.threads import seeded

__all__ = ["JudgedEstimator", "chosen_rows", "group_columns", "judged_rows", "rows_in_words"]

MOST_JUDGED = 50_000  # rows, unless more are asked for
MOST_COLUMNS = 50  # pixels are no groups


class JudgedEstimator(TableEstimator):
    """An estimator that can be judged: scores and verdict, a report, and its draws for ArviZ."""

    # What the ways to fit differ in.

    def _posterior_checks(self, inputs: Tensor) -> dict[str, Any]:
        """What a report says of the posterior itself, on encoded rows: arguments of `write_report`."""
        return {}

    @property
    def _chains(self) -> int:
        """How many independent restarts the draws are of, equally many of each, in their order."""
        return 1

    # -- held against what happened ---------------------------------------------------------------------

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
        return self._judge(table, seen, self._known_inputs(table), column, unfamiliar, repair, max_rows)

    def _judge(
        self,
        table: pd.DataFrame,
        seen: Any,
        inputs: Tensor,
        column: int | None,
        unfamiliar: Any,
        repair: bool,
        max_rows: int | None,
    ) -> Evaluation:
        """`evaluate` the rows of a table, all of them, which are encoded already."""
        predictive, strange = self._predictive(inputs, self._draws), None
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
        column: int | None = None,
        unfamiliar: Any = None,
        repair: bool = True,
        max_rows: int | None = MOST_JUDGED,
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
            column: As for `evaluate`, as all that follow.
            unfamiliar: Rows of a second table.
            repair: Whether to try what recalibration would change.
            max_rows: Of more rows, so many are drawn at random.

        Returns:
            The path of ``report.html``.

        Raises:
            FileExistsError: There is a report, and ``force`` is False.
        """
        # Loads matplotlib, which fit and predict need not wait for.
        from bayeshyper.report import write_report

        given = as_features(X)
        table, seen = judged_rows(given, y, max_rows)
        inputs = self._known_inputs(table)
        evaluation = self._judge(table, seen, inputs, column, unfamiliar, repair, max_rows)
        far = self._far(inputs)
        return write_report(
            Path(folder),
            evaluation,
            about={
                **self.about(),
                "judged on": rows_in_words(evaluation.n_rows, len(given)),
                **({"far from the fitted rows": far} if far else {}),
                **(about or {}),
            },
            history=self.history_,
            comparisons=comparisons,
            name=name,
            title=title,
            force=force,
            **self._posterior_checks(inputs),
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


def chosen_rows(rows: int, most: int | None) -> NDArray[np.intp]:
    """Which of so many rows are taken: all, or as many as that, drawn at random and always the same."""
    if most is None or rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))


def judged_rows(table: pd.DataFrame, y: Any, most: int | None) -> tuple[pd.DataFrame, Any]:
    """Returns the rows to judge and what happened in them: all, or as many as that, always the same.

    Example:
        >>> table, y = judged_rows(pd.DataFrame({"a": range(1000)}), range(1000), 10)
        >>> table["a"].tolist() == y.tolist(), len(y)
        (True, 10)
    """
    if most is None or len(table) <= most:
        return table, y
    check_consistent_length(table, y)
    rows = chosen_rows(len(table), most)
    return table.iloc[rows], None if y is None else np.asarray(y)[rows]


def rows_in_words(judged: int, given: int) -> str:
    """Says how many rows were judged.

    Example:
        >>> rows_in_words(10, 1000)
        '10 rows, drawn at random from 1,000'
    """
    drawn = f", drawn at random from {given:,}" if judged < given else ""
    return f"{plural(judged, 'row')}{drawn}"


def group_columns(table: pd.DataFrame) -> pd.DataFrame | None:
    """Returns the columns to look for groups in, with a name each; None where there are too many.

    Example:
        >>> list(group_columns(pd.DataFrame(np.zeros((2, 2)))))
        ['column 0', 'column 1']
    """
    if table.shape[1] > MOST_COLUMNS:
        return None
    return table.set_axis([c if isinstance(c, str) else f"column {c}" for c in table.columns], axis=1)
