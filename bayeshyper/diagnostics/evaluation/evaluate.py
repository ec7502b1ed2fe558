"""One call that scores a prediction against what happened, and judges it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bayeshyper.diagnostics.calibration.rows import warn_of_few
from bayeshyper.diagnostics.decisions import (
    Novelty,
    knows_its_parts,
    novelty,
    selective_risk,
    strangeness,
    uncertainty_split,
)
from bayeshyper.diagnostics.evaluation.advice import with_repairs
from bayeshyper.diagnostics.evaluation.classification import evaluate_classification
from bayeshyper.diagnostics.evaluation.regression import evaluate_regression
from bayeshyper.diagnostics.evaluation.results import Evaluation
from bayeshyper.diagnostics.predictives import Predictive
from bayeshyper.diagnostics.repair.comparison import MIN_ROWS, before_and_after
from bayeshyper.diagnostics.scores.maker import ScoreMaker
from bayeshyper.errors import DataError


@np.errstate(over="ignore")  # a score that is too large to compute says so itself
def evaluate(
    predictive: Predictive,
    y: ArrayLike,
    *,
    by: pd.DataFrame | None = None,
    unfamiliar: Predictive | None = None,
    repair: bool = False,
    seed: int = 0,
    n_bootstrap: int = 1000,
) -> Evaluation:
    """Scores a prediction against what happened, and judges it.

    Intervals are at 95 %: bootstrap over rows, except for shares (coverage, accuracy), whose exact binomial
    interval stays honest where the bootstrap collapses to a point. Rows are taken to be independent. Warns
    with `FewRowsWarning` of fewer than 40.

    Args:
        predictive: A `bayeshyper.PredictiveDistribution`, plain arrays as `SamplePredictive`,
            `NormalPredictive` or `ClassPredictive`, or anything that quacks like them.
        y: What happened ``(N,)``: numbers, or class labels.
        by: Columns ``(N, …)`` to look for groups of rows in which it is wrong. They share the verdict's
            5 % of false alarms with the tests of all rows.
        unfamiliar: The prediction of a second table, whose rows it should be less sure about.
        repair: Whether to try what recalibration would change, each row by one that it did not teach; with
            fewer than 50 rows nothing is tried.
        seed: Of the bootstrap, of the bands and of the posterior predictive draws behind the CRPS.
        n_bootstrap: How many replicates of the rows, and of the bands that need simulation.

    Raises:
        DataError: Where y or the prediction cannot be scored; the sentence says why.

    Example:
        >>> from types import SimpleNamespace
        >>> coin = SimpleNamespace(task="classification", n_rows=40, classes=["a", "b"],
        ...                        probs=[[0.5, 0.5]] * 40, log_prob=lambda y: [-0.69] * 40)
        >>> evaluate(coin, ["a", "b", "b", "a"] * 10)["brier"].value
        0.25
    """
    _check_predictive("predictive", predictive)
    if unfamiliar is not None:
        _check_predictive("unfamiliar", unfamiliar)
    if by is not None and not isinstance(by, pd.DataFrame):
        raise DataError(
            f"by must be a table of columns to look for groups in: got {type(by).__name__}; wrap it, as in "
            "pandas.DataFrame({'region': region})."
        )
    if by is not None and len(by) != predictive.n_rows:
        raise DataError(f"by has {len(by)} rows, expected {predictive.n_rows}: one for each row predicted.")
    make = ScoreMaker(seed, n_bootstrap)
    if predictive.task == "regression":
        found = evaluate_regression(predictive, y, make, by)
    elif predictive.task == "classification":
        found = evaluate_classification(predictive, y, make, by)
    else:
        raise DataError(
            f'A predictive\'s task must be "regression" or "classification": got {predictive.task!r}.'
        )
    warn_of_few(found.n_rows, "to judge calibration by")
    again: dict[str, int] = {"seed": seed, "n_bootstrap": n_bootstrap}
    repairs = before_and_after(predictive, y, None, **again) if repair and found.n_rows >= MIN_ROWS else None
    return replace(
        found,
        verdict=with_repairs(found.verdict, repairs) if repairs else found.verdict,
        seed=seed,
        n_bootstrap=n_bootstrap,
        risk=selective_risk(predictive, y, **again),
        uncertainty=uncertainty_split(predictive) if knows_its_parts(predictive) else None,
        novelty=None if unfamiliar is None else _novelty(predictive, unfamiliar, again),
        repairs=repairs,
    )


def _check_predictive(name: str, given: Any) -> None:
    if not hasattr(given, "task"):
        raise DataError(
            f"{name} must be a prediction: got {type(given).__name__}. Wrap probabilities in "
            "ClassPredictive, draws in SamplePredictive, means and standard deviations in NormalPredictive."
        )


def _novelty(predictive: Predictive, unfamiliar: Predictive, again: dict[str, int]) -> Novelty:
    if unfamiliar.task != predictive.task:
        raise DataError(
            f"The second table is of {unfamiliar.task}, the first of {predictive.task}: predict both with "
            "one model."
        )
    return novelty(strangeness(predictive), strangeness(unfamiliar), **again)
