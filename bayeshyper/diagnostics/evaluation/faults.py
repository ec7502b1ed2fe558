"""The faults that a density forecast can have: what is wrong, how it shows, what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from bayeshyper.diagnostics._checks import Floats
from bayeshyper.diagnostics._words import NO_BREAK, percent
from bayeshyper.diagnostics.calibration.uniformity import Uniformity


@dataclass(frozen=True)
class Fault:
    """One fault of a density forecast: what is wrong, how it shows, what to do."""

    what: str
    seen: str
    do: str


def main_fault(pit: Floats, test: Uniformity, faults: Sequence[str]) -> str:
    """Names the fault that explains the others.

    Intervals that are too wide on the whole may still miss the far tails: "safe" would be wrong then.
    """
    outside = int(np.count_nonzero(np.abs(2.0 * pit - 1.0) > 0.99))
    far_tails = stats.binom.sf(outside - 1, len(pit), 0.01) < 0.01
    if faults[0] == "dispersion" and test.dispersion < 0 and far_tails:
        return "far tails"
    return faults[0]


def _bias(pit: Floats, test: Uniformity) -> Fault:
    low = test.bias > 0
    share = percent(float(np.mean(pit > 0.5 if low else pit < 0.5)), len(pit))
    return Fault(
        f"the predictions are too {'low' if low else 'high'}",
        f"{share} of the rows lie {'above' if low else 'below'} their predicted median, where half should.",
        "Check whether these rows differ from the training rows (another time, place or instrument), and "
        "whether a feature that explains the difference is missing.",
    )


def _dispersion(pit: Floats, test: Uniformity) -> Fault:
    if test.dispersion < 0:
        return Fault(
            "the intervals are wider than they need to be",
            "",
            "Safe but wasteful: the model knows more than it says. See in the training curve whether it was "
            "still improving, and train longer if so; else recalibrate on rows kept out of training.",
        )
    needed = float(np.quantile(np.abs(2.0 * pit - 1.0), 0.9))
    stopgap = (
        f"As a stopgap, going by these rows, read the {percent(needed)} interval for {percent(0.9)}."
        if needed < 0.99
        else f"Not even the {percent(0.99)} intervals hold {percent(0.9)} of these rows."
    )
    return Fault(
        "the intervals are too narrow",
        _tail_shares(pit),
        f"Do not use the intervals as they are. {stopgap} Then look for rows unlike the training data, and "
        "try a likelihood whose noise depends on the row (heteroscedastic) or has heavier tails "
        "(Student-t), or more restarts (n_members).",
    )


def _skewness(pit: Floats, test: Uniformity) -> Fault:
    return Fault(
        f"the {'upper' if test.skewness > 0 else 'lower'} tail is longer than predicted",
        _tail_shares(pit),
        "Try fitting the logarithm of the target, or a likelihood whose noise depends on the row.",
    )


def _tails(pit: Floats, test: Uniformity) -> Fault:
    return Fault(
        f"both tails are {'heavier' if test.tails > 0 else 'lighter'} than predicted",
        _tail_shares(pit),
        "Try a likelihood with heavier tails (Student-t), or one whose noise depends on the row."
        if test.tails > 0
        else "Try a likelihood with lighter tails (Gaussian).",
    )


def _far_tails(pit: Floats, test: Uniformity) -> Fault:
    outside = percent(float(np.mean(np.abs(2.0 * pit - 1.0) > 0.99)), len(pit))
    return Fault(
        "the middle of the distribution is wider than it needs to be, but its far tails are too thin",
        f"{outside} of the rows lie outside their {percent(0.99)} interval.",
        "Do not rely on extreme quantiles. Try a likelihood with heavier tails (Student-t).",
    )


def _distance(pit: Floats, test: Uniformity) -> Fault:
    return Fault(
        "the predicted distribution has the wrong shape",
        "The largest gap between stated and observed quantile levels is "
        f"{100.0 * test.distance:.1f} percentage points.",
        "The PIT histogram shows where the rows lie that should lie elsewhere.",
    )


FAULTS: dict[str, Callable[[Floats, Uniformity], Fault]] = {
    "bias": _bias,
    "dispersion": _dispersion,
    "skewness": _skewness,
    "tails": _tails,
    "far tails": _far_tails,
    "distance": _distance,
}


FEW_DRAWS = 199
"""The smallest and the largest of so many draws are the ends of the 99 % interval: fewer do not reach it."""

# Faults that another likelihood may mend.
OF_THE_NOISE = ("dispersion", "skewness", "tails", "far tails")


def of_counts(fault: Fault) -> Fault:
    """The same fault of a forecast of counts, whose likelihoods are others."""
    return replace(
        fault,
        do="Do not rely on the intervals. If this is the Poisson likelihood, whose noise follows from its "
        "mean, try the negative binomial, which learns how much more the counts vary; see also whether a "
        "feature that explains the difference is missing.",
    )


def of_few_draws(fault: Fault, n_draws: int) -> Fault:
    """The same fault, of intervals too wide, where the draws do not reach the far tails."""
    return replace(
        fault,
        do=f"{n_draws} draws of each row are too few to judge the far tails: do not take extreme quantiles "
        f"for safe before {FEW_DRAWS} or more were judged. If they hold, the model knows more than it says: "
        "recalibrate on rows kept out of training.",
    )


def _tail_shares(pit: Floats) -> str:
    above, below = float(np.mean(pit > 0.95)), float(np.mean(pit < 0.05))
    return (
        f"{percent(above, len(pit))} of the rows lie above their 95{NO_BREAK}% quantile and "
        f"{percent(below, len(pit))} below their 5{NO_BREAK}% quantile, where {percent(0.05)} each should."
    )
