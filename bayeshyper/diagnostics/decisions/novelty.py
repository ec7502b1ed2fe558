"""Finding unfamiliar rows: does a score of strangeness tell a second table from a familiar one?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats
from sklearn.metrics import average_precision_score, roc_curve

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats
from bayeshyper.diagnostics._words import percent
from bayeshyper.diagnostics.decisions.uncertainty import knows_its_parts, uncertainty_split
from bayeshyper.diagnostics.predictives import Predictive
from bayeshyper.diagnostics.scores.bootstrap import binomial_interval
from bayeshyper.diagnostics.scores.score import Score

MAX_POINTS = 200
"""The ROC curve is kept at about this many points at most."""

CAUGHT = 0.95
"""The share of unfamiliar rows that FPR95 asks to find."""


@dataclass(frozen=True, eq=False)
class Novelty:
    """How well a score tells unfamiliar rows from familiar ones; the unfamiliar ones are the positives.

    Args:
        n_familiar: Rows like those it learned from.
        n_unfamiliar: Rows of the other table.
        auroc: How often an unfamiliar row scores above a familiar one; chance is 0.5.
        fpr95: The share of familiar rows called unfamiliar where 95 % of the unfamiliar ones are found.
        aupr: The average precision of finding unfamiliar rows; chance is their share of all rows.
        false_positive_rate: Of the ROC curve ``(K,)``, rising from 0 to 1; thinned to about 200 points.
        true_positive_rate: Likewise.
    """

    n_familiar: int
    n_unfamiliar: int
    auroc: Score
    fpr95: Score
    aupr: Score
    false_positive_rate: Floats
    true_positive_rate: Floats

    def to_dict(self) -> dict[str, Any]:
        """Returns the scores and the curve as JSON knows them."""
        return {
            "n_familiar": self.n_familiar,
            "n_unfamiliar": self.n_unfamiliar,
            **{name: getattr(self, name).to_dict() for name in ("auroc", "fpr95", "aupr")},
            "false_positive_rate": self.false_positive_rate.tolist(),
            "true_positive_rate": self.true_positive_rate.tolist(),
        }


def novelty(
    familiar_scores: ArrayLike, unfamiliar_scores: ArrayLike, *, seed: int = 0, n_bootstrap: int = 1000
) -> Novelty:
    """Judges a score of strangeness, such as the epistemic uncertainty, by a second table.

    The AUROC's interval is DeLong's on the logit scale; where the tables are apart without exception it is
    the exact binomial one of as many rows as the smaller table has (Birnbaum and Klose's bound on the
    variance). FPR95's is the bootstrap's over both tables, and never narrower than the exact binomial one.

    Args:
        familiar_scores: ``(M,)``, of rows like those it learned from; higher is stranger.
        unfamiliar_scores: ``(N,)``, of the other table.
        seed: Of the bootstrap.
        n_bootstrap: How many replicates.

    Raises:
        DataError: Where a table is empty, or has NaN or infinite scores.

    References:
        DeLong, DeLong and Clarke-Pearson (1988); Birnbaum and Klose (1957); Hendrycks and Gimpel (2017).

    Example:
        >>> found = novelty([0.1, 0.2, 0.3, 0.4], [0.35, 0.5, 0.6, 0.7])
        >>> found.auroc.value, found.fpr95.value
        (0.9375, 0.25)
    """
    familiar = _checks.column("familiar_scores", familiar_scores)
    unfamiliar = _checks.column("unfamiliar_scores", unfamiliar_scores)
    is_unfamiliar = np.repeat([0, 1], [len(familiar), len(unfamiliar)])
    both = np.concatenate([familiar, unfamiliar])
    false, true, _ = roc_curve(is_unfamiliar, both)
    prevalence = len(unfamiliar) / len(both)
    kept = _thinned(false, true)
    return Novelty(
        n_familiar=len(familiar),
        n_unfamiliar=len(unfamiliar),
        auroc=_auroc(familiar, unfamiliar),
        fpr95=_fpr95(familiar, unfamiliar, _checks.generator(seed), n_bootstrap),
        aupr=Score(
            name="aupr",
            label="AUPR",
            value=min(float(average_precision_score(is_unfamiliar, both)), 1.0),  # which rounding may pass
            unit="share",
            explanation="Of the rows called unfamiliar, how many are, averaged over the share that is found; "
            f"chance alone gives {percent(prevalence, len(both))} here.",
            reason="It depends on how many rows each table has: compare it only on the same two.",
        ),
        false_positive_rate=false[kept],
        true_positive_rate=true[kept],
    )


def strangeness(predictive: Predictive) -> Floats:
    """Returns how strange a prediction finds its rows, ``(N,)``, as `novelty` takes it: higher is stranger.

    Classes: the entropy of their probabilities. Numbers: the epistemic variance, or, where the prediction
    does not know it, the width of the 90 % interval.

    Example:
        >>> from bayeshyper.diagnostics import ClassPredictive
        >>> strangeness(ClassPredictive([[0.5, 0.5], [1.0, 0.0]])).round(3).tolist()
        [0.693, 0.0]
    """
    if predictive.task == "classification":
        return np.asarray(special.entr(_checks.probabilities(predictive.probs)).sum(axis=1), dtype=np.float64)
    if knows_its_parts(predictive):
        return uncertainty_split(predictive).epistemic
    return np.diff(predictive.interval(0.9), axis=1)[:, 0]


def _auroc(familiar: Floats, unfamiliar: Floats) -> Score:
    """A pair of equal scores counts half; midranks make that N log N."""
    m, n = len(familiar), len(unfamiliar)
    ranks = stats.rankdata(np.concatenate([familiar, unfamiliar]))
    # The share of the other table's rows on the right side of each row (DeLong's structural components).
    of_familiar = 1.0 - (ranks[:m] - stats.rankdata(familiar)) / n
    of_unfamiliar = (ranks[m:] - stats.rankdata(unfamiliar)) / m
    value = float(of_unfamiliar.mean())
    about: dict[str, Any] = {
        "name": "auroc",
        "label": "AUROC",
        "value": value,
        "unit": "share",
        "explanation": "How often an unfamiliar row scores as stranger than a familiar one; "
        f"{percent(0.5)} is chance.",
    }
    if value in (0.0, 1.0):
        fewer = min(m, n)
        lower, upper = binomial_interval(round(value * fewer), fewer)
        return Score(**about, lower=lower, upper=upper, method="exact binomial")
    if m < 2 or n < 2:
        return Score(**about, reason="A table of one row says nothing about the spread of the AUROC.")
    error = np.sqrt(of_familiar.var(ddof=1) / m + of_unfamiliar.var(ddof=1) / n)
    reach = stats.norm.isf(0.025) * error / (value * (1.0 - value))
    lower, upper = special.expit(special.logit(value) + np.array([-reach, reach]))
    return Score(**about, lower=float(lower), upper=float(upper), method="DeLong")


def _fpr95(familiar: Floats, unfamiliar: Floats, rng: np.random.Generator, n_bootstrap: int) -> Score:
    """The threshold is an order statistic of the unfamiliar scores, the rate a share of the familiar ones.

    So a bootstrap replicate needs no resampling: the k-th smallest of N draws from the ranks 1 to N is
    ⌈N·Beta(k, N - k + 1)⌉ in distribution, and the familiar rows above it are binomial.
    """
    m, n = len(familiar), len(unfamiliar)
    least = n - int(np.ceil(CAUGHT * n - 1e-9)) + 1  # the rank, from below, of the threshold
    ordered, strange = np.sort(unfamiliar), np.sort(familiar)
    hits = m - int(np.searchsorted(strange, ordered[least - 1], side="left"))
    rank = np.ceil(n * rng.beta(least, n - least + 1, size=n_bootstrap)).astype(np.int64)
    share = 1.0 - np.searchsorted(strange, ordered[np.clip(rank, 1, n) - 1], side="left") / m
    low, high = np.quantile(rng.binomial(m, share) / m, [0.025, 0.975])
    exact = binomial_interval(hits, m)
    return Score(
        name="fpr95",
        label="FPR95",
        value=hits / m,
        lower=min(float(low), exact[0]),
        upper=max(float(high), exact[1]),
        better="lower",
        unit="share",
        explanation=f"How many familiar rows are called unfamiliar where {percent(CAUGHT)} of the unfamiliar "
        "ones are found.",
    )


def _thinned(false: Floats, true: Floats) -> Floats:
    """Which points to keep: evenly along the curve, both ends among them."""
    length = np.concatenate([[0.0], np.cumsum(np.diff(false) + np.diff(true))])
    wanted = np.linspace(0.0, length[-1], MAX_POINTS)
    kept: Floats = np.unique(np.searchsorted(length, wanted - 1e-12).clip(0, len(length) - 1))
    return kept
