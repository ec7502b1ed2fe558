"""What a repair is judged by: scores of single rows, and the functions of their means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from bayeshyper.diagnostics._checks import Floats, Integers
from bayeshyper.diagnostics.calibration.quantiles import below_quantile, mean_quantile_gap
from bayeshyper.diagnostics.calibration.reliability import (
    bin_edges,
    calibration_gaps,
    default_bins,
    top_label,
)
from bayeshyper.diagnostics.predictives import Predictive, pit_values
from bayeshyper.diagnostics.predictives.rowwise import crps_values
from bayeshyper.diagnostics.repair.sets import credible_sets
from bayeshyper.diagnostics.scores.classification import brier_per_row
from bayeshyper.diagnostics.scores.maker import ScoreMaker
from bayeshyper.diagnostics.scores.score import Score

LEVEL = 0.9
"""The level of the intervals and sets whose coverage is measured."""

Interval: TypeAlias = Literal["bootstrap", "reflected", "exact"]


@dataclass(frozen=True)
class Measure:
    """A score as a function of the means of its rows, ``(N,)`` or ``(N, K)``.

    Args:
        about: Fields of its `Score`.
        statistic: Maps means ``(B, K)`` to the score ``(B,)``.
        interval: Of the score: exact for a share, reflected where noise pushes the score up.
    """

    about: dict[str, Any]
    statistic: Callable[[Floats], Floats]
    interval: Interval = "bootstrap"

    def score(self, rows: Floats, make: ScoreMaker) -> Score:
        """The score of rows ``(N, K)``."""
        bad = int((~np.isfinite(rows)).any(axis=1).sum())
        if bad:
            return Score(**self.about, value=None, reason=f"It is infinite for {bad} of {len(rows)} rows.")
        if self.interval == "exact":
            return make.share(rows[:, 0], **{k: v for k, v in self.about.items() if k != "unit"})
        return make.function(rows, self.statistic, reflect=self.interval == "reflected", **self.about)

    def difference(self, after: Floats, before: Floats, make: ScoreMaker) -> Score:
        """The score of the first less that of the second, the same rows resampled in both."""
        about = {**self.about, "label": f"{self.about['label']}, after less before", "nominal": None}
        if about["better"] == "nominal":
            about["better"] = "higher"
        both, k = np.concatenate([after, before], axis=1), after.shape[1]
        change = Measure(about, lambda means: self.statistic(means[:, :k]) - self.statistic(means[:, k:]))
        return change.score(both, make)


def _measure(
    name: str,
    label: str,
    explanation: str,
    statistic: Callable[[Floats], Floats] = lambda means: means[:, 0],
    interval: Interval = "bootstrap",
    **about: Any,
) -> dict[str, Measure]:
    about = {"name": name, "label": label, "explanation": explanation, **about}
    return {name: Measure(about, statistic, interval)}


_LOG_SCORE = _measure(
    "log_score",
    "Log score",
    "How much probability it gave to what happened.",
    unit="nats per row",
    better="higher",
)

NUMBERS = {
    **_LOG_SCORE,
    **_measure(
        "crps",
        "CRPS",
        "The distance between the predicted distribution and what happened.",
        unit="units of the target",
        better="lower",
    ),
    **_measure(
        "quantile_calibration_error",
        "Calibration error",
        "How far, on average, the stated quantiles are from the share of rows below them.",
        mean_quantile_gap,
        "reflected",
        unit="share",
        better="lower",
    ),
    **_measure(
        "coverage_90",
        "Coverage of 90 % intervals",
        "How many rows lie inside their 90 % interval.",
        interval="exact",
        unit="share",
        better="nominal",
        nominal=LEVEL,
    ),
    **_measure(
        "width_90",
        "Width of 90 % intervals",
        "Of two predictions that hold their level, the narrower one knows more.",
        unit="units of the target",
        better="lower",
    ),
}

CLASSES = {
    **_LOG_SCORE,
    **_measure(
        "brier",
        "Brier score",
        "Squared distance between the stated probabilities and what happened.",
        better="lower",
    ),
    **_measure(
        "accuracy",
        "Accuracy",
        "How often its likeliest class is the one that happened.",
        interval="exact",
        unit="share",
        better="higher",
    ),
    **_measure(
        "ece",
        "ECE",
        "How far, on average, the stated confidence is from how often it is right.",
        lambda means: np.asarray(np.abs(means).sum(axis=1)),
        "reflected",
        unit="share",
        better="lower",
    ),
    **_measure(
        "coverage_90",
        "Coverage of 90 % sets",
        "How often the label that happened is in its row's 90 % set.",
        interval="exact",
        unit="share",
        better="nominal",
        nominal=LEVEL,
    ),
    **_measure(
        "size_90",
        "Labels in 90 % sets",
        "Of two predictions that hold their level, the one with smaller sets knows more.",
        unit="labels per row",
        better="lower",
    ),
}

MEASURES = {"regression": NUMBERS, "classification": CLASSES}
"""By task and name, in the order in which they are read."""

DRAWN = ("crps", "quantile_calibration_error")
"""The measures that may depend on draws: those of y, and those that make a PIT uniform."""


def number_rows(predictive: Predictive, y: Floats, seed: int) -> dict[str, Floats]:
    """What the measures of predicted numbers are made of: rows ``(N, K)`` by name."""
    rows: dict[str, Floats] = {}
    if getattr(predictive, "has_density", True):
        rows["log_score"] = np.asarray(predictive.log_prob(y))[:, None]
    low, high = np.asarray(predictive.interval(LEVEL)).T
    rows["crps"] = crps_values(predictive, y, seed=seed)[:, None]
    rows["quantile_calibration_error"] = below_quantile(pit_values(predictive, y, seed=seed)).astype(
        np.float64
    )
    rows["coverage_90"] = ((low <= y) & (y <= high)).astype(np.float64)[:, None]
    rows["width_90"] = (high - low)[:, None]
    return rows


def class_rows(predictive: Predictive, index: Integers) -> dict[str, Floats]:
    """What the measures of predicted classes are made of, but for the ECE: rows ``(N, K)`` by name."""
    probs = predictive.probs
    confidence, correct = top_label(probs, index)
    own: Any = getattr(predictive, "sets", None)
    sets = credible_sets(probs, LEVEL) if own is None else own(LEVEL)
    with np.errstate(divide="ignore"):
        log_score = np.log(np.take_along_axis(probs, index[:, None], axis=1))
    return {
        "log_score": log_score,
        "brier": brier_per_row(probs, index)[:, None],
        "accuracy": correct.astype(np.float64)[:, None],
        "confidence": confidence[:, None],
        "coverage_90": np.take_along_axis(sets, index[:, None], axis=1).astype(np.float64),
        "size_90": sets.sum(axis=1, dtype=np.float64)[:, None],
    }


def joined(parts: Sequence[dict[str, Floats]], order: Integers) -> dict[str, Floats]:
    """Rows of several folds put together, and back in their order; confidences become the gaps of the ECE."""
    rows = {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}
    confidence = rows.pop("confidence", None)
    if confidence is not None:
        stated, edges = confidence[:, 0], bin_edges(confidence[:, 0], default_bins(len(confidence)))
        rows["ece"] = calibration_gaps(stated, rows["accuracy"][:, 0], edges)
    return rows
