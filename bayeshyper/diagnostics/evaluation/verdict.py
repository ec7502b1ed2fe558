"""The verdict: is it calibrated, where is it not, and what to do; no claim beyond what the rows support.

A forecast that is calibrated is called faulty in at most 5 % of tables: the tests share that level between
them. What cannot be told apart from chance is said to be so, with the interval for the true value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from bayeshyper.diagnostics._checks import Floats
from bayeshyper.diagnostics._words import NO_BREAK, percent, plural
from bayeshyper.diagnostics.calibration.coverage import Coverage
from bayeshyper.diagnostics.calibration.frequencies import ClassFrequencies
from bayeshyper.diagnostics.calibration.reliability import ConfidenceTest, ReliabilityCurve
from bayeshyper.diagnostics.calibration.rows import FEW_ROWS
from bayeshyper.diagnostics.calibration.uniformity import Uniformity
from bayeshyper.diagnostics.evaluation.faults import (
    FAULTS,
    FEW_DRAWS,
    OF_THE_NOISE,
    main_fault,
    of_counts,
    of_few_draws,
)
from bayeshyper.diagnostics.scores.bootstrap import binomial_interval

Status: TypeAlias = Literal[
    "calibrated",
    "nearly calibrated",
    "over-confident",
    "under-confident",
    "biased",
    "miscalibrated",
    "wrong in places",
    "undecided",
]

LEVEL = 0.05
"""The share of calibrated forecasts that may be called faulty."""

MIN_ROWS = 10
"""Below this nothing is called a fault."""

SMALL = {"regression": 0.02, "classification": 0.01}
"""Gaps below this are real but small: "nearly calibrated"."""


@dataclass(frozen=True)
class Verdict:
    """What the evidence says, in plain words.

    Args:
        status: The verdict in a word or two.
        headline: In one sentence.
        findings: What was seen, with the numbers.
        actions: What to do about it.

    Example:
        >>> Verdict("calibrated", "Calibrated.", (), ()).flagged
        False
    """

    status: Status
    headline: str
    findings: tuple[str, ...]
    actions: tuple[str, ...]

    @property
    def flagged(self) -> bool:
        """Whether a fault was found."""
        return self.status not in ("calibrated", "nearly calibrated", "undecided")

    def to_dict(self) -> dict[str, Any]:
        """Returns the verdict as JSON knows it."""
        return {**asdict(self), "findings": list(self.findings), "actions": list(self.actions)}


def judge_regression(
    pit: Floats,
    coverages: Sequence[Coverage],
    test: Uniformity,
    *,
    counts_held: float | None = None,
    n_draws: int | None = None,
) -> Verdict:
    """Judges a density forecast by its PIT values ``(N,)``, its coverage and the test for uniformity.

    ``counts_held`` is the share of rows that the 90 % intervals of counts hold, ends included, and
    ``n_draws`` how many draws of each row there are, where the forecast is draws; else None. What was seen,
    and what to do about a fault, is another thing then.
    """
    n = len(pit)
    held = _held(next(c for c in coverages if c.level == 0.9), n, counts_held, n_draws)
    faults = test.faults if n >= MIN_ROWS else ()
    if not faults:
        return _no_fault(n, held, "Use the intervals as they are.")
    if test.distance < SMALL["regression"]:
        size = percent(test.distance, 1000)
        return _nearly(
            f"no stated quantile level is off by more than {size}", held, "Use the intervals as they are."
        )

    main = main_fault(pit, test, faults)
    # Bias and dispersion are told together; the other faults explain those two, or follow from them.
    named = [main]
    if main in ("bias", "dispersion"):
        named += [name for name in ("bias", "dispersion") if name in faults and name != main]
    found = [FAULTS[name](pit, test) for name in named]
    if counts_held is not None:
        found = [
            of_counts(fault) if name in OF_THE_NOISE else fault
            for name, fault in zip(named, found, strict=True)
        ]
    elif n_draws is not None and n_draws < FEW_DRAWS and test.dispersion < 0:
        found = [
            of_few_draws(fault, n_draws) if name == "dispersion" else fault
            for name, fault in zip(named, found, strict=True)
        ]
    statuses: dict[str, Status] = {
        "bias": "biased",
        "dispersion": "over-confident" if test.dispersion > 0 else "under-confident",
    }
    status = statuses.get(main, "miscalibrated")
    return Verdict(
        status,
        f"{status.capitalize()}: {', and '.join(fault.what for fault in found)}.",
        (held, *(fault.seen for fault in found if fault.seen)),
        tuple(fault.do for fault in found),
    )


def judge_classification(
    curve: ReliabilityCurve,
    test: ConfidenceTest,
    frequencies: ClassFrequencies,
    classes: Sequence[str],
    *,
    level: float = LEVEL,
) -> Verdict:
    """Judges class probabilities by the reliability curve, its test, and how often each class happened.

    ``level`` is the share of calibrated forecasts that may be called faulty.
    """
    n = int(curve.counts.sum())
    right = round(float(curve.counts @ curve.accuracy))
    sure = float(curve.counts @ curve.confidence / n)
    low, high = binomial_interval(right, n)
    held = (
        f"On average it is {percent(sure, n)} sure, and it is right in {percent(right / n, n)} of "
        f"{plural(n, 'row')}; the true share lies between {percent(low, n)} and {percent(high, n)} "
        f"(95{NO_BREAK}% confidence)."
    )
    findings = [held]
    present = np.flatnonzero(frequencies.observed)
    one_class = len(present) == 1
    if one_class:
        findings.append(
            f"Every row is of class {classes[present[0]]}: nothing can be said about rows of other classes."
        )
    share = level / 3.0
    judged = np.isfinite(frequencies.p_values)
    off = np.flatnonzero(
        judged & (np.nan_to_num(frequencies.p_values, nan=1.0) < share / max(1, judged.sum()))
    )
    wide, uneven = test.gap_p_value < share, test.ece_p_value < share
    class_gaps = np.abs(frequencies.observed - frequencies.stated)
    if n < MIN_ROWS or not (wide or uneven or len(off)):
        quiet = _no_fault(n, "", "Use the probabilities as they are.")
        if one_class and n >= FEW_ROWS:
            quiet = _one_class(n, classes[present[0]])
        return Verdict(quiet.status, quiet.headline, tuple(findings), quiet.actions)
    if max(curve.ece - curve.ece_if_calibrated, abs(test.gap), class_gaps.max()) < SMALL["classification"]:
        return _nearly(
            f"the ECE is {percent(curve.ece, 1000)}", " ".join(findings), "Use the probabilities as they are."
        )

    # Of two classes, whose gaps are one, the rarer is told of, or the one that happened more.
    ranked = sorted(
        off.tolist(),
        key=lambda k: (*np.round([-class_gaps[k], frequencies.stated[k]], 9), -frequencies.observed[k]),
    )
    recalibrate = "recalibrate on rows that were kept out of training (temperature scaling)"
    # To be too sure of every class moves the confidence more than the shares of the classes. Where the shares
    # are off by as much, some class is favoured, and that is the fault.
    favoured = class_gaps.sum() / 2.0 >= abs(test.gap) - 1e-9
    if ranked and (favoured or not (wide or uneven)):
        status: Status = "biased"
        worst = ranked[0]
        headline = (
            f"Biased: {classes[worst]} happened in {percent(frequencies.observed[worst], n)} of the rows, "
            f"and was given {percent(frequencies.stated[worst], n)}."
        )
        actions = [
            "Check whether the classes are as frequent here as they were in the training rows. If they are, "
            "recalibrate each class on rows that were kept out of training (isotonic calibration): a "
            "temperature makes all classes surer or less sure together, and cannot favour one."
        ]
    elif wide and test.gap < 0:
        status = "over-confident"
        headline = "Over-confident: it is right less often than it says."
        actions = [
            f"Do not take the stated probabilities at face value: {recalibrate}, or try more restarts "
            "(n_members)."
        ]
    elif wide:
        status = "under-confident"
        headline = "Under-confident: it is right more often than it says."
        actions = [f"Safe but wasteful: see whether training was still improving, or {recalibrate}."]
    else:
        status = "miscalibrated"
        headline = "Miscalibrated: right on average, but not at every level of confidence."
        actions = [f"Before using single probabilities, {recalibrate}."]
    outside = (curve.accuracy < curve.lower) | (curve.accuracy > curve.upper)
    for k in sorted(np.flatnonzero(outside), key=lambda b: -abs(curve.accuracy[b] - curve.confidence[b]))[:3]:
        findings.append(
            f"Where it says {_between(curve.low[k], curve.high[k])}, it is right in "
            f"{percent(curve.accuracy[k])} of {plural(int(curve.counts[k]), 'row')}."
        )
    for c in ranked[: 1 if len(classes) == 2 else 3]:
        findings.append(
            f"{classes[c]} is given {percent(frequencies.stated[c], n)} on average, but happened in "
            f"{percent(frequencies.observed[c], n)} of the rows."
        )
    return Verdict(status, headline, tuple(findings), tuple(actions))


def _held(ninety: Coverage, n: int, counts_held: float | None, n_draws: int | None) -> str:
    """What the 90 % intervals hold. Of counts the ends are points that hold more than their share."""
    level, seen = percent(0.9), percent(ninety.observed, n)
    if counts_held is not None:
        what = (
            f"The {level} intervals hold {percent(counts_held, n)} of {plural(n, 'row')}, ends included: of "
            f"counts they can seldom hold just {level}. With only the share of the ends that makes it "
            f"{level}, they hold {seen}"
        )
    elif n_draws is not None:
        what = f"What happened ranks among the middle {level} of its draws in {seen} of {plural(n, 'row')}"
    else:
        what = f"The {level} intervals hold {seen} of {plural(n, 'row')}"
    return (
        f"{what}; the true share lies between {percent(ninety.lower, n)} and {percent(ninety.upper, n)} "
        f"(95{NO_BREAK}% confidence)."
    )


def _no_fault(n: int, held: str, use: str) -> Verdict:
    findings = (held,) if held else ()
    if n < MIN_ROWS:
        only = f"{plural(n, 'row')} {'says' if n == 1 else 'say'}"
        return Verdict(
            "undecided",
            f"Undecided: {only} next to nothing about calibration.",
            findings,
            (f"Judge it on more rows: {FEW_ROWS} show a gross fault, a few hundred a moderate one.",),
        )
    if n < FEW_ROWS:
        return Verdict(
            "undecided",
            f"Undecided: no fault is visible, but {plural(n, 'row')} would show only a gross one.",
            findings,
            ("Judge it on more rows: a few hundred show a moderate fault.",),
        )
    return Verdict("calibrated", f"Calibrated, as far as {plural(n, 'row')} can tell.", findings, (use,))


def _one_class(n: int, name: str) -> Verdict:
    return Verdict(
        "undecided",
        f"Undecided: no fault is visible, but {plural(n, 'row')} of class {name} cannot tell how sure to be "
        "of another.",
        (),
        ("Judge it on rows of every class.",),
    )


def _nearly(how: str, held: str, use: str) -> Verdict:
    headline = f"Nearly calibrated: a fault is measurable with this many rows, but it is small ({how})."
    return Verdict("nearly calibrated", headline, (held,), (use,))


def _between(low: float, high: float) -> str:
    first, last = percent(low), percent(high)
    return first if first == last else f"{first} to {last}"
