"""Leave-one-out and posterior predictive checks by ArviZ itself, of what `to_arviz` gathered.

Thin: what ArviZ returns is what comes back, and the same data open in its own functions and plots. What is
added is a sentence where the data cannot be asked that. **Leave-one-out is for the rows that were fitted**:
it takes each row's part out of the posterior again. On held-out rows, which have no part in it, it means
nothing; score those directly (`log_prob`). ``examples/arviz_checks.py`` shows them on a fitted model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayeshyper.diagnostics.arviz import majors
from bayeshyper.errors import DataError

__all__ = ["PredictiveCheck", "compare", "loo", "loo_pit", "ppc"]

# Fewer weight draws leave no tail to smooth.
MIN_DRAWS = 25

Statistic = Callable[[NDArray[Any]], Any]


def loo(data: Any, *, log_p: ArrayLike | None = None, log_q: ArrayLike | None = None) -> Any:
    """PSIS leave-one-out of the fitted rows, with each row's k̂ in ``pareto_k`` (Vehtari et al. 2017).

    The draws are taken for the exact posterior's; from an approximation they are corrected where log p(θ, y)
    and log q(θ) are given for each (Magnusson et al. 2019), which ArviZ can from 1.0 on.

    Args:
        data: What ``model.to_arviz(X, y)`` gave, for the rows of the fit.
        log_p: ``(S,)``, chains one after the other.
        log_q: ``(S,)``.

    Returns:
        ArviZ's ``ELPDData``.

    Raises:
        DataError: Fewer than 25 draws, a log likelihood that is NaN, or a correction that this ArviZ has not.
    """
    _log_likelihood(data)
    if log_p is None and log_q is None:
        return majors.library.loo(data, pointwise=True)
    if log_p is None or log_q is None:
        raise DataError("The correction for an approximation needs both log_p and log_q: got one of them.")
    corrected = majors.loo_approximate(data, np.asarray(log_p, float), np.asarray(log_q, float))
    if corrected is None:
        raise DataError(
            f"ArviZ {majors.library.__version__} cannot correct for an approximate posterior: install ArviZ "
            "1.0 or later (Python 3.12), or leave log_p and log_q out."
        )
    return corrected


def compare(models: Mapping[str, Any]) -> Any:
    """ArviZ's table of models by leave-one-out, the best first, with differences and stacking weights.

    Args:
        models: Name to what ``to_arviz`` gave; all on the same rows, which all were fitted to.

    Raises:
        DataError: Fewer than two models or rows, or models whose observations differ.
    """
    if len(models) < 2:
        raise DataError(f"Got {len(models)} models to compare, expected two or more.")
    (first, reference), *others = models.items()
    observed = _observed(reference)
    for name, data in others:
        if not np.array_equal(_observed(data), observed):
            raise DataError(
                f"The models {first!r} and {name!r} are of different rows: compare models on the same "
                "observations, in the same order."
            )
    for data in models.values():
        rows = _log_likelihood(data).shape[2]
        if rows < 2:
            raise DataError(
                f"Got {rows} row, but a difference between models needs two or more for its error."
            )
    return majors.library.compare(dict(models))


def loo_pit(data: Any) -> NDArray[np.float64]:
    """P(a new target of the row ≤ the one observed | all other rows), ``(N,)``: uniform where calibrated.

    For numbers; for counts the values are those of ArviZ's own randomisation.

    Raises:
        DataError: Targets of several columns, or classes, whose order would be arbitrary; and as for `loo`.
    """
    _log_likelihood(data)
    observed = _observed(data)
    if observed.ndim != 1:
        raise DataError(
            f"The targets have {observed.shape[1]} columns, and a PIT is of one number per row: fit or look "
            "at one column."
        )
    if data.attrs.get("task") == "classification":
        raise DataError("A PIT needs targets in an order: got classes. See `reliability_curve`.")
    return majors.loo_pit(data, "y")


@dataclass(frozen=True)
class PredictiveCheck:
    """One statistic of the observed targets beside that of the replicated ones.

    Attributes:
        observed: T(y).
        replicated: Mean of T over the replications.
        p_value: P(T(y_rep) > T(y)) + ½ P(=). Near 0 or 1 the model does not make data like these; it is
            not uniform, but nearer to ½, as the data were used twice (Meng 1994).
        n_replications: How many.
    """

    observed: float
    replicated: float
    p_value: float
    n_replications: int

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        return asdict(self)


def ppc(data: Any, statistics: Mapping[str, Statistic] | None = None) -> dict[str, PredictiveCheck]:
    """Posterior predictive checks (Gelman et al. 1996); ``arviz.plot_ppc`` or ``plot_ppc_dist`` draw them.

    Args:
        data: What ``to_arviz`` gave.
        statistics: Name to a function of the targets ``(N,)`` or ``(N, K)``, one number each. By default the
            mean, standard deviation, smallest and largest number; for classes each one's share.

    Raises:
        DataError: One replication, or a statistic that is not a finite number.
    """
    observed = _observed(data)
    drawn = _group(data, "posterior_predictive")
    drawn = drawn.reshape(-1, *drawn.shape[2:])
    if len(drawn) < 2:
        raise DataError("Got one replication of the targets, and a p-value needs more: draw more weights.")
    if statistics is None:
        statistics = _usual(data, observed, drawn)
    checks = {}
    for name, statistic in statistics.items():
        truth = float(statistic(observed))
        values = np.array([float(statistic(replication)) for replication in drawn])
        if not (np.isfinite(truth) and np.isfinite(values).all()):
            raise DataError(f"The statistic {name!r} is NaN or infinite on these targets; give another.")
        above = float((values > truth).mean() + 0.5 * (values == truth).mean())
        checks[name] = PredictiveCheck(truth, float(values.mean()), above, len(values))
    return checks


def _usual(data: Any, observed: NDArray[Any], drawn: NDArray[Any]) -> dict[str, Statistic]:
    if data.attrs.get("task") == "classification":
        classes = np.union1d(observed, drawn).astype(int).tolist()
        return {f"share of class {index}": _ShareOf(index) for index in classes}
    usual: dict[str, Statistic] = {"mean": np.mean, "std": np.std, "min": np.min, "max": np.max}
    return usual


@dataclass(frozen=True)
class _ShareOf:
    index: int

    def __call__(self, targets: NDArray[Any]) -> Any:
        return np.mean(targets == self.index)


def _observed(data: Any) -> NDArray[Any]:
    return _group(data, "observed_data")


def _group(data: Any, name: str) -> NDArray[Any]:
    """The targets' values in a group."""
    try:
        return np.asarray(data[name]["y"])
    except (KeyError, TypeError, IndexError):
        raise DataError(
            f"Expected what model.to_arviz(X, y) gave: got {type(data).__name__} without y in a group {name}."
        ) from None


def _log_likelihood(data: Any) -> NDArray[Any]:
    """The log likelihood ``(chains, draws, N)``, fit to be smoothed."""
    values = _group(data, "log_likelihood")
    draws = values.shape[0] * values.shape[1]
    if draws < MIN_DRAWS:
        raise DataError(
            f"Got {draws} weight draws, expected at least {MIN_DRAWS}; fit with a larger n_draws."
        )
    bad = ~np.isfinite(values).all(axis=(0, 1))
    if bad.any():
        raise DataError(
            f"The log likelihood of {int(bad.sum())} rows is NaN or infinite in some draw, the first in row "
            f"{int(np.argmax(bad))}: leave those rows out, or look at what made them."
        )
    return values
