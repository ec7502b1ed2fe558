"""Before and after: what each repair would do, on rows that it did not learn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats, Integers
from bayeshyper.diagnostics._words import number
from bayeshyper.diagnostics.predictives import Predictive
from bayeshyper.diagnostics.repair.conformal import ConformalIntervals, ConformalQuantiles
from bayeshyper.diagnostics.repair.isotonic import IsotonicCalibration
from bayeshyper.diagnostics.repair.measures import DRAWN, MEASURES, class_rows, joined, number_rows
from bayeshyper.diagnostics.repair.protocol import FitsRepair, of_classes, of_numbers
from bayeshyper.diagnostics.repair.recalibration import QuantileRecalibration
from bayeshyper.diagnostics.repair.sets import ConformalSets
from bayeshyper.diagnostics.repair.spread import SpreadScaling
from bayeshyper.diagnostics.repair.temperature import TemperatureScaling
from bayeshyper.diagnostics.scores.bootstrap import bootstrap_interval
from bayeshyper.diagnostics.scores.maker import ScoreMaker
from bayeshyper.diagnostics.scores.score import Score
from bayeshyper.errors import DataError

REPAIRS: dict[str, dict[str, FitsRepair]] = {
    "regression": {
        "spread scaling": SpreadScaling.fit,
        "quantile recalibration": QuantileRecalibration.fit,
        "conformal intervals": partial(ConformalIntervals.fit, distance="standardised"),
        "conformal quantiles": ConformalQuantiles.fit,
    },
    "classification": {
        "temperature scaling": TemperatureScaling.fit,
        "isotonic calibration": IsotonicCalibration.fit,
        "conformal sets": ConformalSets.fit,
        "adaptive conformal sets": partial(ConformalSets.fit, kind="adaptive"),
    },
}
"""What learns each repair, by task and name."""

MIN_ROWS = 50
"""With fewer rows, four in five of them teach a repair too little, and the fifth shows too little of it."""


@dataclass(frozen=True, eq=False)
class RepairResult:
    """What one repair does.

    Args:
        name: Of the repair.
        scores: Of the repaired prediction, by name; none where the repair could not be learned.
        differences: From the prediction as it was, after less before, with paired bootstrap intervals.
        reason: Why the repair could not be learned.
    """

    name: str
    scores: dict[str, Score]
    differences: dict[str, Score]
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Returns the scores and differences as JSON knows them."""
        return {"name": self.name, "reason": self.reason, **_records(self, "scores", "differences")}


@dataclass(frozen=True, eq=False)
class RepairComparison:
    """A prediction before and after each repair, every row repaired by one that never saw it.

    Args:
        task: "regression" or "classification".
        n_rows: How many rows were scored.
        folds: In how many parts they were dealt, each repaired by what the others taught.
        seed: Of the dealing, of draws and of the bootstrap.
        before: Scores of the prediction as it was, by name.
        repairs: What each repair does.
        judged_by: The score that tells the best.
        best: The repair that improves it most, where that is beyond chance; None where none does.
        conclusion: In one sentence.
    """

    task: str
    n_rows: int
    folds: int
    seed: int
    before: dict[str, Score]
    repairs: tuple[RepairResult, ...]
    judged_by: str
    best: str | None
    conclusion: str

    def __getitem__(self, name: str) -> RepairResult:
        """Returns what the repair of that name does."""
        for repair in self.repairs:
            if repair.name == name:
                return repair
        raise KeyError(f"No repair {name!r}: there are {', '.join(repair.name for repair in self.repairs)}.")

    def to_dict(self) -> dict[str, Any]:
        """Returns everything as JSON knows it."""
        plain = ("task", "n_rows", "folds", "seed", "judged_by", "best", "conclusion")
        return {
            **{name: getattr(self, name) for name in plain},
            **_records(self, "before"),
            "repairs": [repair.to_dict() for repair in self.repairs],
        }


def before_and_after(
    predictive: Predictive,
    y: ArrayLike,
    repairs: Mapping[str, FitsRepair] | None = None,
    *,
    folds: int = 5,
    seed: int = 0,
    max_rows: int = 5_000,
    n_bootstrap: int = 1000,
) -> RepairComparison:
    """Scores a prediction before and after each repair, on rows that the repair did not learn from.

    The rows are dealt at random into folds; each fold is repaired by what the others teach. A repair is best
    if it improves the log score (of draws, which have none: the CRPS; where it is infinite: the Brier score)
    by more than chance would do for any of the repairs tried: intervals at 95 % for all of them together.

    Args:
        predictive: Of rows that the model was not trained on.
        y: What happened, ``(N,)``.
        repairs: What learns each, by name; left out: all of the task in ``REPAIRS``.
        folds: At least 2.
        seed: Of the dealing, of draws and of the bootstrap.
        max_rows: Of more rows, so many are drawn at random: repairs learn little from more.
        n_bootstrap: How many replicates.

    Raises:
        DataError: With fewer than 50 rows, and where y or the prediction cannot be read.

    Example:
        >>> from bayeshyper.diagnostics import NormalPredictive
        >>> y = np.random.default_rng(0).normal(size=300)
        >>> found = before_and_after(NormalPredictive(np.zeros(300), 0.5), y)
        >>> found.best, found["spread scaling"].differences["log_score"].value > 0.5
        ('spread scaling', True)
    """
    if folds < 2:
        raise DataError(f"folds must be at least 2: got {folds}.")
    make, rng = ScoreMaker(seed, n_bootstrap), _checks.generator(seed)
    fits = REPAIRS[predictive.task] if repairs is None else repairs
    labels = np.asarray(y)
    if predictive.n_rows > max_rows >= MIN_ROWS and labels.shape == (predictive.n_rows,):
        kept = np.sort(rng.choice(predictive.n_rows, max_rows, replace=False))
        predictive, labels = predictive.rows(kept), labels[kept]
    table = _Table(predictive, labels, rng.permutation(predictive.n_rows), folds, seed)
    measures = MEASURES[predictive.task]
    before, results, rows_after = table.before, [], {}
    for name, fit in fits.items():
        try:
            rows = rows_after[name] = table.after(fit)
        except DataError as error:
            results.append(RepairResult(name, {}, {}, reason=str(error)))
            continue
        scores = {key: measures[key].score(rows[key], make) for key in measures if key in rows}
        changes = {key: measures[key].difference(rows[key], before[key], make) for key in scores}
        results.append(RepairResult(name, scores, changes))
    judged_by = _judge(predictive.task, before, rows_after)
    best = _best(judged_by, before, rows_after, make)
    return RepairComparison(
        task=predictive.task,
        n_rows=predictive.n_rows,
        folds=folds,
        seed=seed,
        before={key: measures[key].score(before[key], make) for key in measures if key in before},
        repairs=tuple(results),
        judged_by=judged_by,
        best=best,
        conclusion=_conclusion(best, judged_by, results, predictive.task),
    )


class _Table:
    """The rows, dealt into folds."""

    def __init__(self, predictive: Predictive, y: Any, dealt: Integers, folds: int, seed: int) -> None:
        self._seed = seed
        self._truth: Any  # numbers, or the classes' numbers
        if predictive.task == "classification":
            _, self._truth = of_classes(predictive, y, least=MIN_ROWS, one_class=True)
        else:
            self._truth = of_numbers(predictive, y, least=MIN_ROWS)
        self._folds = [np.sort(fold) for fold in np.array_split(dealt, folds)]
        self._order = np.argsort(np.concatenate(self._folds))
        # Predictions of some rows keep what was computed of them: every repair is tried on the same ones.
        others = [np.setdiff1d(np.arange(len(self._truth)), fold) for fold in self._folds]
        self._taught, self._lessons = [predictive.rows(rows) for rows in others], [y[rows] for rows in others]
        self._judged = [predictive.rows(fold) for fold in self._folds]
        everything = np.arange(len(self._truth))
        self.before = joined([self._rows(predictive, everything)], everything)
        """The rows' scores as they are, by the same draws as in an evaluation of these rows."""
        parts = [self._rows(judged, fold) for judged, fold in zip(self._judged, self._folds, strict=True)]
        by_fold = joined(parts, self._order)
        self._by_chance = {key: self.before[key] - by_fold[key] for key in DRAWN if key in by_fold}

    def after(self, fit: FitsRepair) -> dict[str, Floats]:
        """The rows' scores after a repair learned from the other folds.

        A fold is drawn by itself, and so with other draws than the whole: what that changes is put right.
        """
        repairs = [fit(taught, y) for taught, y in zip(self._taught, self._lessons, strict=True)]
        parts = [
            self._rows(repair(judged), fold)
            for repair, judged, fold in zip(repairs, self._judged, self._folds, strict=True)
        ]
        rows = joined(parts, self._order)
        return {**rows, **{key: rows[key] + change for key, change in self._by_chance.items()}}

    def _rows(self, predictive: Predictive, chosen: Integers) -> dict[str, Floats]:
        if predictive.task == "classification":
            return class_rows(predictive, self._truth[chosen])
        return number_rows(predictive, self._truth[chosen], self._seed)


def _judge(task: str, before: dict[str, Floats], after: Mapping[str, dict[str, Floats]]) -> str:
    """The score to tell the best by."""
    tables = [before, *after.values()]
    if all("log_score" in rows and np.isfinite(rows["log_score"]).all() for rows in tables):
        return "log_score"
    return "brier" if task == "classification" else "crps"


def _best(
    judged_by: str, before: dict[str, Floats], after: Mapping[str, dict[str, Floats]], make: ScoreMaker
) -> str | None:
    sign = 1.0 if judged_by == "log_score" else -1.0
    gains = {name: sign * (rows[judged_by] - before[judged_by])[:, 0] for name, rows in after.items()}
    gains = {name: gain for name, gain in gains.items() if gain.any()}  # conformal repairs leave it as it is
    beyond = {
        name: gain.mean()
        for name, gain in gains.items()
        if bootstrap_interval(
            gain, n_bootstrap=make.n_bootstrap, seed=make.seed, level=1.0 - 0.05 / len(gains)
        )[0]
        > 1e-12
    }
    return max(beyond, key=lambda name: float(beyond[name])) if beyond else None


def _conclusion(best: str | None, judged_by: str, results: list[RepairResult], task: str) -> str:
    measure = MEASURES[task][judged_by].about
    label = measure["label"] if measure["label"].isupper() else measure["label"].lower()
    if best is None:
        return f"No repair improves the {label} by more than chance would."
    change = next(result for result in results if result.name == best).differences[judged_by]
    assert change.value is not None  # its rows are finite, or it would not be judged by
    by = number(abs(change.value), error=abs(change.value) / 10.0)
    unit = f" {measure['unit']}" if measure.get("unit") else ""
    return f"{best.capitalize()} improves the {label} by {by}{unit} on rows that it did not learn from."


def _records(of: Any, *names: str) -> dict[str, Any]:
    return {name: {key: score.to_dict() for key, score in getattr(of, name).items()} for name in names}
