"""The evaluation of class probabilities."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats, Integers
from bayeshyper.diagnostics._words import number, percent
from bayeshyper.diagnostics.calibration.corp import CORPCurve, corp_curve
from bayeshyper.diagnostics.calibration.errors import calibration_errors
from bayeshyper.diagnostics.calibration.frequencies import class_frequencies
from bayeshyper.diagnostics.calibration.groups import miscalibration_by_group
from bayeshyper.diagnostics.calibration.reliability import (
    bin_edges,
    calibration_gaps,
    confidence_test,
    default_bins,
    reliability_curve,
    top_label,
)
from bayeshyper.diagnostics.evaluation.advice import with_places
from bayeshyper.diagnostics.evaluation.results import Evaluation
from bayeshyper.diagnostics.evaluation.verdict import LEVEL, judge_classification
from bayeshyper.diagnostics.predictives import Predictive
from bayeshyper.diagnostics.predictives.rowwise import log_scores
from bayeshyper.diagnostics.scores.classification import brier_per_row
from bayeshyper.diagnostics.scores.maker import ScoreMaker
from bayeshyper.errors import DataError


def evaluate_classification(
    predictive: Predictive, y: ArrayLike, make: ScoreMaker, by: pd.DataFrame | None = None
) -> Evaluation:
    """Scores, reliability, groups and verdict."""
    n = predictive.n_rows
    probs = _checks.probabilities(predictive.probs)
    known = np.arange(probs.shape[1]) if predictive.classes is None else predictive.classes
    labels = list(np.asarray(known).tolist())
    if probs.shape != (n, len(labels)):
        raise DataError(f"Probabilities must have shape ({n}, {len(labels)}): got {probs.shape}.")
    index = _checks.class_numbers(y, known, len(labels), n_rows=n)
    rows = {"log_score": log_scores(predictive, y), "brier": brier_per_row(probs, index)}
    confidence, correct = top_label(probs, index)
    curve = reliability_curve(confidence, correct)
    edges = bin_edges(confidence, default_bins(n))
    test = confidence_test(curve, seed=make.seed)
    names = tuple(str(label) for label in labels)
    level = LEVEL if by is None else LEVEL / 2.0  # half of it is the groups'
    groups = None
    if by is not None:
        groups = miscalibration_by_group(by, probs=probs, labels=index, classes=names, level=level)
    errors = calibration_errors(probs, index, n_simulations=min(make.n_bootstrap, 50), seed=make.seed)
    scores = (
        make.mean(
            rows["log_score"],
            name="log_score",
            label="Log score",
            unit="nats per row",
            explanation="How much probability it gave to what happened; guessing evenly among "
            f"{len(labels)} classes scores {number(-float(np.log(len(labels))), error=0.1)}.",
        ),
        make.mean(
            rows["brier"],
            name="brier",
            label="Brier score",
            better="lower",
            unit="",
            explanation="Squared distance between the stated probabilities and what happened; 0 is perfect"
            + (", a coin toss scores 0.25." if len(labels) == 2 else ", 2 is certain and wrong."),
        ),
        make.share(
            correct,
            name="accuracy",
            label="Accuracy",
            explanation="How often its likeliest class is the one that happened.",
        ),
        make.mean(
            confidence,
            name="mean_confidence",
            label="Mean confidence",
            better="nominal",
            nominal=float(correct.mean()),
            unit="share",
            explanation="How sure it is of its likeliest class, on average: as high as the accuracy if it is "
            "calibrated.",
        ),
        make.function(
            calibration_gaps(confidence, correct, edges),
            lambda means: np.abs(means).sum(axis=1),
            reflect=True,
            name="ece",
            label="ECE",
            better="lower",
            unit="share",
            explanation="Expected calibration error: how far, on average, the stated confidence is from how "
            f"often it is right; chance alone gives about {percent(curve.ece_if_calibrated, 1000)} here.",
        ),
    )
    frequencies = class_frequencies(probs, index)
    verdict = judge_classification(curve, test, frequencies, names, level=level)
    return Evaluation(
        task="classification",
        n_rows=n,
        scores=scores,
        verdict=verdict if groups is None else with_places(verdict, groups, "classification"),
        rows={**rows, "accuracy": correct.astype(np.float64)},
        classes=names,
        reliability=curve,
        frequencies=frequencies,
        calibration_errors=errors,
        corp=_corp(probs, index, make) if n > 1 else None,
        groups=groups,
        confidence_counts=np.histogram(confidence, bins=20, range=(0.0, 1.0))[0].astype(np.int64),
        tests={**asdict(test), "ece_if_calibrated": curve.ece_if_calibrated},
    )


def _corp(probs: Floats, index: Integers, make: ScoreMaker) -> CORPCurve:
    """The reliability of the second of two classes, or of the likeliest of more."""
    stated, happened = (probs[:, 1], index == 1) if probs.shape[1] == 2 else top_label(probs, index)
    return corp_curve(np.minimum(stated, 1.0), happened, n_simulations=make.n_bootstrap, seed=make.seed)
