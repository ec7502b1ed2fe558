"""Why it is unsure: noise in the data (aleatoric), or too little of it (epistemic)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics._checks import Floats
from bayeshyper.diagnostics.predictives import Predictive
from bayeshyper.diagnostics.scores.maker import ScoreMaker
from bayeshyper.diagnostics.scores.score import Score
from bayeshyper.errors import DataError

_PARTS = {
    "regression": ("aleatoric", "epistemic"),
    "classification": ("entropy", "aleatoric_entropy", "mutual_information"),
}


@dataclass(frozen=True, eq=False)
class UncertaintySplit:
    """Each row's uncertainty and its two parts, ``(N,)`` each, which add up.

    Numbers: variances, by the law of total variance. Classes: the entropy of the mean probabilities is the
    mean entropy of the draws' probabilities plus their mutual information with the weights, in nats. The
    mutual information of few draws is too small: it can be no more than the logarithm of their number.

    Args:
        unit: "variance" or "nats".
        total: ``(N,)``.
        aleatoric: What more rows to learn from would leave, ``(N,)``.
        epistemic: What they would take away, ``(N,)``.

    References:
        Depeweg et al. (2018), Decomposition of uncertainty in Bayesian deep learning.
    """

    unit: str
    total: Floats
    aleatoric: Floats
    epistemic: Floats

    @classmethod
    def from_probabilities(cls, probs: ArrayLike) -> UncertaintySplit:
        """Splits the entropy of the mean of S predictions of classes.

        Args:
            probs: Those of each draw of the weights, or of each member of an ensemble: ``(S, N, C)``, S ≥ 2.

        Raises:
            DataError: On other shapes, and on probabilities that do not sum to one.

        Example:
            >>> split = UncertaintySplit.from_probabilities([[[1.0, 0.0]], [[0.0, 1.0]]])
            >>> split.epistemic.round(3).tolist(), split.aleatoric.tolist()
            ([0.693], [0.0])
        """
        read = np.asarray(probs, dtype=np.float64)
        if read.ndim != 3 or len(read) < 2:
            raise DataError(
                f"Probabilities of draws must have shape (S, N, C) with at least two draws: got {read.shape}."
            )
        stated = _checks.probabilities(read.reshape(-1, read.shape[2])).reshape(read.shape)
        total = special.entr(stated.mean(axis=0)).sum(axis=1)
        aleatoric = special.entr(stated).sum(axis=2).mean(axis=0)
        return cls("nats", total, aleatoric, np.maximum(total - aleatoric, 0.0))

    @classmethod
    def from_moments(cls, means: ArrayLike, stds: ArrayLike) -> UncertaintySplit:
        """Splits the variance of a mixture of S predictions of numbers.

        Args:
            means: Those of each draw of the weights, or of each member of an ensemble: ``(S, N)``, S ≥ 2.
            stds: Their standard deviations, ``(S, N)``.

        Raises:
            DataError: On other shapes, NaN, infinity and negative standard deviations.

        Example:
            >>> split = UncertaintySplit.from_moments([[0.0], [2.0]], [[1.0], [3.0]])
            >>> split.total.tolist(), split.aleatoric.tolist(), split.epistemic.tolist()
            ([6.0], [5.0], [1.0])
        """
        centres = _checks.draws(means, n_rows=np.shape(means)[-1] if np.ndim(means) else 0)
        spreads = _checks.draws(stds, n_rows=centres.shape[1])
        if spreads.shape != centres.shape or spreads.min() < 0.0:
            raise DataError(
                f"Standard deviations must not be negative and of shape {centres.shape}, as the means: got "
                f"shape {spreads.shape} and {spreads.min():.6g} at least."
            )
        aleatoric, epistemic = (spreads**2).mean(axis=0), centres.var(axis=0)
        return cls("variance", aleatoric + epistemic, aleatoric, epistemic)

    def epistemic_share(self, *, seed: int = 0, n_bootstrap: int = 1000) -> Score:
        """Returns how much of the uncertainty of all rows together more data could take away."""
        measure = "variance" if self.unit == "variance" else "entropy"
        about: dict[str, Any] = {
            "name": "epistemic_share",
            "label": "Epistemic share",
            "better": "lower",
            "unit": "share",
            "explanation": f"How much of the predicted {measure} comes from not knowing the weights, and "
            "would shrink with more data.",
        }
        if not self.total.sum() > 0.0:
            return Score(**about, value=None, reason="Every prediction is certain: nothing can be split.")
        parts = np.stack([self.epistemic, self.total], axis=1)
        return ScoreMaker(seed, n_bootstrap).function(parts, _ratio, **about)

    def to_dict(self) -> dict[str, Any]:
        """Returns the means over the rows, and the epistemic share, as JSON knows them."""
        means = {name: float(getattr(self, name).mean()) for name in ("total", "aleatoric", "epistemic")}
        return {
            "unit": self.unit,
            "n_rows": len(self.total),
            **means,
            "epistemic_share": self.epistemic_share().to_dict(),
        }


def uncertainty_split(predictive: Predictive) -> UncertaintySplit:
    """Splits a prediction's uncertainty, row by row.

    Args:
        predictive: A `bayeshyper.PredictiveDistribution`, or one that likewise knows its draws' parts:
            ``aleatoric`` and ``epistemic`` standard deviations, or ``entropy``, ``aleatoric_entropy`` and
            ``mutual_information``.

    Raises:
        DataError: Where the prediction does not know its parts.

    Example:
        >>> from types import SimpleNamespace
        >>> known = SimpleNamespace(task="regression", aleatoric=np.array([3.0]), epistemic=np.array([4.0]))
        >>> uncertainty_split(known).total.tolist()
        [25.0]
    """
    if not knows_its_parts(predictive):
        raise DataError(
            f"A {type(predictive).__name__} holds one distribution per row, in which noise and lack of "
            "knowledge cannot be told apart: split the draws' own predictions instead "
            "(UncertaintySplit.from_probabilities or from_moments)."
        )
    parts = [np.asarray(getattr(predictive, name), dtype=np.float64) for name in _PARTS[predictive.task]]
    if predictive.task == "classification":
        return UncertaintySplit("nats", *parts)
    aleatoric, epistemic = parts[0] ** 2, parts[1] ** 2
    return UncertaintySplit("variance", aleatoric + epistemic, aleatoric, epistemic)


def knows_its_parts(predictive: Predictive) -> bool:
    """Returns whether a prediction can be split: whether it knows what its weight draws say one by one.

    Example:
        >>> from bayeshyper.diagnostics import NormalPredictive
        >>> knows_its_parts(NormalPredictive([0.0], [1.0]))
        False
    """
    return all(hasattr(predictive, name) for name in _PARTS[predictive.task])


def _ratio(means: Floats) -> Floats:
    return np.asarray(means[:, 0] / means[:, 1])
