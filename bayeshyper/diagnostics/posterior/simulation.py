"""Simulation-based calibration: data from the model itself, and where the truth ranks among the draws."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from bayeshyper.diagnostics import _checks
from bayeshyper.diagnostics.calibration.ecdf import PITDifference, pit_difference
from bayeshyper.errors import DataError
from bayeshyper.inference import ImplicitGuide, SVISettings, fit
from bayeshyper.models import BayesianModel
from bayeshyper.progress import ProgressBar
from bayeshyper.threads import seeded

__all__ = ["SimulationCalibration", "calibrate_fits", "simulation_based_calibration"]

Theta = TypeVar("Theta")
Data = TypeVar("Data")

# Fewer than so many repetitions can hardly tell a wrong posterior from a right one.
MIN_REPETITIONS = 20
PER_BIN = 10


@dataclass(frozen=True)
class SimulationCalibration:
    """Ranks of the true quantities among posterior draws: uniform where the inference is right.

    Attributes:
        names: Of the Q quantities.
        ranks: ``(repetitions, Q)``, between 0 and the number of draws, ties broken at random.
        n_draws: S.
        p_values: Of each quantity's chi-square test of uniform ranks, ``(Q,)``.
        differences: For each quantity the distribution function of its ranks less the uniform one, with its
            simultaneous 95 % band: from above zero to below, the posterior is too narrow.
    """

    names: tuple[str, ...]
    ranks: NDArray[np.int64]
    n_draws: int
    p_values: tuple[float, ...]
    differences: tuple[PITDifference, ...]

    @property
    def flagged(self) -> tuple[str, ...]:
        """The quantities whose ranks are not uniform, at 5 % for all of them together (Bonferroni)."""
        level = 0.05 / len(self.names)
        return tuple(name for name, p in zip(self.names, self.p_values, strict=True) if p < level)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        return {
            "names": list(self.names),
            "ranks": self.ranks.tolist(),
            "n_draws": self.n_draws,
            "p_values": list(self.p_values),
            "differences": [difference.to_dict() for difference in self.differences],
            "flagged": list(self.flagged),
        }


def simulation_based_calibration(
    simulate: Callable[[int], tuple[Theta, Data]],
    posterior: Callable[[Data, int], Theta],
    quantities: Callable[[Theta, Data], Any],
    *,
    names: Sequence[str],
    repetitions: int = 100,
    seed: int = 0,
    show: bool | None = None,
) -> SimulationCalibration:
    """Fit data sets drawn from the model itself, and rank the truth of each among its posterior's draws.

    Over draws of truth and data from the joint law, the rank is uniform if the draws are the exact
    posterior's (Talts et al. 2018). The quantities are function values, not weights, which can change
    places. A quantity of parameters alone stays uniform for a posterior that ignores its data; the log
    likelihood of the data, which depends on both, does not (Modrák et al. 2023): make it one of them.

    Args:
        simulate: Seed to a truth from the prior, as a batch of one, and data from it.
        posterior: Data and seed to a batch of S draws, independent ones.
        quantities: A batch of parameters and the data to ``(batch, Q)`` numbers.
        names: Of the Q quantities.
        repetitions: How many data sets, at least 20.
        seed: The repetition r gets a seed made of it and r.
        show: A progress bar: True, False, or None after two seconds on a terminal.

    Raises:
        DataError: Fewer than 20 repetitions, one draw, numbers of another shape, or NaN.

    Example:
        >>> def simulate(seed):
        ...     truth, noise = np.random.default_rng(seed).normal(size=(2, 1))
        ...     return truth, truth + noise
        >>> def posterior(y, seed):  # of a mean with prior N(0, 1), seen once with noise N(0, 1)
        ...     return y / 2 + np.sqrt(0.5) * np.random.default_rng(seed).normal(size=63)
        >>> found = simulation_based_calibration(
        ...     simulate, posterior, lambda mean, y: mean[:, None], names=["mean"], repetitions=200
        ... )
        >>> found.flagged
        ()
    """
    if repetitions < MIN_REPETITIONS:
        raise DataError(f"Got {repetitions} repetitions, expected at least {MIN_REPETITIONS}.")
    seeds = _checks.generator(seed).integers(2**31 - 1, size=(repetitions, 2)).tolist()
    ties = np.random.default_rng([seed, 1])
    ranks, counts = np.zeros((repetitions, len(names)), dtype=np.int64), set()
    with ProgressBar(show, "Simulation-based calibration", objective="") as bar:
        for repetition, (of_data, of_fit) in enumerate(seeds):
            theta, data = simulate(of_data)
            truth = _numbers(quantities(theta, data), len(names))[0]
            drawn = _numbers(quantities(posterior(data, of_fit), data), len(names))
            below, equal = (drawn < truth).sum(0), (drawn == truth).sum(0)
            ranks[repetition] = below + ties.integers(equal + 1)
            counts.add(len(drawn))
            bar(repetition + 1, repetitions, None, None)
    if len(counts) > 1 or counts == {1}:
        raise DataError(
            f"Each posterior must have the same number of draws, two or more: got {sorted(counts)}."
        )
    draws = counts.pop()
    # A rank with a uniform number added is uniform in [0, 1] exactly where the rank is on 0 … S.
    pits = (ranks + ties.random(ranks.shape)) / (draws + 1)
    bins = min(10, repetitions // PER_BIN)
    p_values = [float(stats.chisquare(np.histogram(pit, bins, (0.0, 1.0))[0]).pvalue) for pit in pits.T]
    differences = tuple(pit_difference(pit) for pit in pits.T)
    return SimulationCalibration(tuple(names), ranks, draws, tuple(p_values), differences)


def calibrate_fits(
    model: BayesianModel,
    guide: Callable[[BayesianModel, int], ImplicitGuide],
    settings: SVISettings,
    x: Tensor,
    points: Tensor,
    *,
    draws: int = 63,
    repetitions: int = 100,
    seed: int = 0,
    show: bool | None = None,
) -> SimulationCalibration:
    """`simulation_based_calibration` of a model and a recipe for fitting it; one fit for each repetition.

    The quantities are the network's outputs at each of ``points`` and the log likelihood of the data.

    Args:
        model: The model; each repetition fits a copy.
        guide: Model and seed to an untrained guide.
        settings: How it is fitted.
        x: Training rows ``(N, …)``; their targets are simulated.
        points: Rows at which the functions are compared, ``(P, …)``.
        draws: S; one below a multiple of the bins, which are 10 at most, spreads ranks over them evenly.
        repetitions: How many data sets.
        seed: Of everything.
        show: As for `simulation_based_calibration`.
    """

    @torch.no_grad()
    def simulate(seed: int) -> tuple[Tensor, Tensor]:
        with seeded(seed):
            theta = model.prior().sample(torch.Size((1,)))
            return theta, model.predictive(theta, x).sample()[0]

    def posterior(y: Tensor, seed: int) -> Tensor:
        fresh = copy.deepcopy(model)
        fitted = guide(fresh, seed)
        fit(fresh, fitted, x, y, settings, seed=seed)
        return fitted.hypernetwork.sample(draws, generator=torch.Generator().manual_seed(seed))

    @torch.no_grad()
    def quantities(theta: Tensor, y: Tensor) -> Tensor:
        outputs = model.outputs(theta, points).flatten(1)
        return torch.cat([outputs, model.log_likelihood(theta, x, y).sum(1, keepdim=True)], dim=1)

    width = model.likelihood.n_outputs
    functions = [f"f[{point}]" for point in range(len(points))]
    if width > 1:
        functions = [f"f[{point}, {output}]" for point in range(len(points)) for output in range(width)]
    return simulation_based_calibration(
        simulate,
        posterior,
        quantities,
        names=[*functions, "log likelihood"],
        repetitions=repetitions,
        seed=seed,
        show=show,
    )


def _numbers(values: Any, width: int) -> NDArray[np.float64]:
    read = np.asarray(values, dtype=np.float64)
    if read.ndim != 2 or read.shape[1] != width:
        raise DataError(f"Quantities must have shape (batch, {width}), one for each name: got {read.shape}.")
    if np.isnan(read).any():
        raise DataError("Quantities hold NaN, which has no rank: look at the fit, or at the quantity.")
    return read
