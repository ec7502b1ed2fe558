"""Selective prediction: how much better it gets when the least certain rows are left to somebody else.

Rows are ranked by confidence. The *risk* at a coverage is the mean loss of that share of the rows, the most
confident first. Rows of equal confidence stand in no order: everything here is its expected value over their
random orders, for which each of them takes the mean loss of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats
from bayeshyper.diagnostics.predictives import Predictive
from bayeshyper.diagnostics.scores.maker import ScoreMaker
from bayeshyper.diagnostics.scores.score import Score

MAX_POINTS = 200
"""A curve is kept at this many coverages at most."""


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """The risk–coverage curve of one ranking, and the areas under it.

    Args:
        n_rows: N.
        coverage: Shares of the rows ``(K,)``, rising to 1; at most 200.
        risk: The mean loss of the most confident of them, ``(K,)``.
        oracle: The same where the rows are ranked by their loss: nothing can be below, ``(K,)``.
        random: The risk at full coverage, which is that of a random ranking at any coverage.
        aurc: The area under the curve.
        e_aurc: What of it a perfect ranking would not have: the "excess" area.
        augrc: The area under the generalised risk (the loss of the rows kept, over all rows).
    """

    n_rows: int
    coverage: Floats
    risk: Floats
    oracle: Floats
    random: float
    aurc: Score
    e_aurc: Score
    augrc: Score

    def to_dict(self) -> dict[str, Any]:
        """Returns the curve as lists, and the scores as JSON knows them."""
        curves = {name: getattr(self, name).tolist() for name in ("coverage", "risk", "oracle")}
        scores = {name: getattr(self, name).to_dict() for name in ("aurc", "e_aurc", "augrc")}
        return {"n_rows": self.n_rows, **curves, "random": self.random, **scores}


def risk_coverage(
    confidence: ArrayLike, loss: ArrayLike, *, seed: int = 0, n_bootstrap: int = 1000
) -> RiskCoverage:
    """Ranks rows by confidence and returns the risk at every coverage, with the areas under the curve.

    AURC = (1/N) Σ_k risk(k/N). AUGRC joins the generalised risks at 0, 1/N, …, 1 by straight lines; for a
    loss of 0 or 1 with mean r it is (1 - AUROC)·r·(1 - r) + r²/2, AUROC being that of telling right from
    wrong rows by confidence. The intervals are bootstrap ones of the areas' linearisations (the infinitesimal
    jackknife), whose cost does not grow with the number of replicates.

    Args:
        confidence: ``(N,)``; higher is surer. Only the order counts.
        loss: ``(N,)``, any loss: 0 or 1 for classes, absolute or squared errors for numbers.
        seed: Of the bootstrap.
        n_bootstrap: How many replicates.

    Raises:
        DataError: Where the two are not finite numbers, one for each row.

    References:
        Geifman and El-Yaniv (2017); Geifman et al. (2019) for the excess; Traub et al. (2024) for AUGRC.

    Example:
        >>> found = risk_coverage([0.9, 0.8, 0.7, 0.6], [0, 0, 1, 1])
        >>> found.risk.round(3).tolist(), round(found.aurc.value, 3), found.augrc.value
        ([0.0, 0.0, 0.333, 0.5], 0.208, 0.125)
    """
    sure = _checks.column("confidence", confidence)
    lost = _checks.column("loss", loss, n_rows=len(sure))
    ranked, best = _Ranking(sure, lost), _Ranking(-lost, lost)
    kept = np.unique(np.linspace(0, len(sure) - 1, MAX_POINTS).round().astype(np.int64))
    make = ScoreMaker(seed, n_bootstrap)
    about: dict[str, Any] = {"better": "lower", "unit": "units of the loss"}
    floor = 0.0 if lost.min() >= 0.0 else -np.inf
    aurc = make.mean(
        ranked.aurc_rows,
        name="aurc",
        label="AURC",
        explanation="The mean loss when the least certain rows are left out, averaged over how many are; "
        "a ranking that knows nothing gives the loss of all rows.",
        **about,
    )
    e_aurc = make.mean(
        ranked.aurc_rows - best.aurc_rows,
        name="e_aurc",
        label="Excess AURC",
        explanation="How far the AURC is from that of a perfect ranking; 0 is perfect.",
        **about,
    )
    augrc = make.mean(
        ranked.augrc_rows,
        name="augrc",
        label="AUGRC",
        explanation="The loss left undetected, averaged over how many rows are left out; a ranking that "
        "knows nothing gives half the loss of all rows.",
        **about,
    )
    return RiskCoverage(
        n_rows=len(sure),
        coverage=(kept + 1.0) / len(sure),
        risk=ranked.risk[kept],
        oracle=best.risk[kept],
        random=float(lost.mean()),
        aurc=_not_below(aurc, floor),
        e_aurc=_not_below(e_aurc, 0.0),
        augrc=_not_below(augrc, floor),
    )


def selective_risk(
    predictive: Predictive, y: ArrayLike, *, seed: int = 0, n_bootstrap: int = 1000
) -> RiskCoverage:
    """Returns `risk_coverage` of a prediction, in the usual ranking and loss.

    Classes: confidence is the probability of the likeliest class, the loss is 1 where it is wrong. Numbers:
    the less the predicted standard deviation (or, where there is none, the width of the 90 % interval) the
    more confident, and the loss is the absolute error of the mean.

    Raises:
        DataError: Where y or the prediction cannot be scored.

    Example:
        >>> from bayeshyper.diagnostics import NormalPredictive
        >>> selective_risk(NormalPredictive([0.0, 0.0], [1.0, 2.0]), [1.0, 3.0]).risk.tolist()
        [1.0, 2.0]
    """
    if predictive.task == "classification":
        probs = _checks.probabilities(predictive.probs)
        happened = _checks.class_numbers(y, predictive.classes, probs.shape[1], n_rows=len(probs))
        return risk_coverage(
            probs.max(axis=1), probs.argmax(axis=1) != happened, seed=seed, n_bootstrap=n_bootstrap
        )
    seen = _checks.column("y", y, n_rows=predictive.n_rows)
    error = np.abs(_checks.column("mean", predictive.mean, n_rows=len(seen)) - seen)
    spread = getattr(predictive, "std", None)
    if spread is None:
        spread = np.diff(predictive.interval(0.9), axis=1)[:, 0]
    return risk_coverage(-np.asarray(spread), error, seed=seed, n_bootstrap=n_bootstrap)


class _Ranking:
    """Rows in the order of their confidence, as ranks 1 to N, equal ones sharing their mean.

    Of an area T as a function of the rows' weights, ``…_rows`` are its value plus each row's influence on it,
    ``(N,)`` in the order given: their mean is T, and their spread over √N is T's standard error.
    """

    def __init__(self, confidence: Floats, loss: Floats) -> None:
        order = np.argsort(-confidence, kind="stable")
        self._loss, ordered = loss[order], confidence[order]
        self._starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        self._sizes = np.diff(self._starts, append=len(loss))
        self._rank = np.arange(1.0, len(loss) + 1.0)
        self._original = np.argsort(order, kind="stable")
        self._total = np.cumsum(self._shared(self._loss))
        self.risk: Floats = self._total / self._rank

    @property
    def aurc_rows(self) -> Floats:
        """d/dw_i of Σ_k w_k A_k / B_k, where A and B add up the losses and the weights of the first k."""
        weight = np.cumsum((1.0 / self._rank)[::-1])[::-1]
        lost = np.cumsum((self.risk / self._rank)[::-1])[::-1]
        rows = self._shared(self.risk - lost) + self._loss * self._shared(weight)
        return self._as_given(rows)

    @property
    def augrc_rows(self) -> Floats:
        """d/dw_i of Σ_i w_i l_i (½ w_i + the weight of the less confident), less the area once."""
        n = len(self._loss)
        behind = 1.0 - (self._rank - 0.5) / n
        ahead = (self._total - 0.5 * self._shared(self._loss)) / n
        rows = self._loss * self._shared(behind) + self._shared(ahead)
        return self._as_given(rows - 0.5 * rows.mean())

    def _shared(self, values: Floats) -> Floats:
        """The mean over the rows of equal confidence."""
        return np.repeat(np.add.reduceat(values, self._starts) / self._sizes, self._sizes)

    def _as_given(self, rows: Floats) -> Floats:
        given: Floats = rows[self._original]
        return given


def _not_below(score: Score, floor: float) -> Score:
    """No end of an interval below what the score can be."""
    if score.value is None or score.lower is None:
        return score
    return replace(score, value=max(score.value, floor), lower=max(score.lower, floor))
