"""The settings of a fit: an inference recipe is exactly these, table by table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .entropies import ENTROPIES, options_of
from .objectives import Objective, make_objective

__all__ = [
    "CalibrationSettings",
    "KLSettings",
    "OptimizerSettings",
    "SVISettings",
    "StoppingSettings",
    "WarmStartSettings",
]


@dataclass(frozen=True)
class OptimizerSettings:
    """Adam with warm-up, cosine decay and gradient clipping.

    Args:
        learning_rate: Its highest value.
        steps: How many steps, or ``"auto"``: grows with the rows (`SVISettings.steps_for`).
        warmup: Steps over which the rate rises from zero; at most a tenth of all.
        final: The rate at the end, as a share of the highest.
        clip: Largest gradient norm of a member, of the loss per datum; 0 switches clipping off.
        head_rate: The head's learning rate, as a share of the others'.
    """

    learning_rate: float = 2e-2
    steps: int | Literal["auto"] = "auto"
    warmup: int = 100
    final: float = 0.01
    clip: float = 10.0
    head_rate: float = 0.1


@dataclass(frozen=True)
class WarmStartSettings:
    """What comes before all else: the mean weights alone, then a Gaussian around them.

    Args:
        steps: Adam's steps on the mean weights, or ``"auto"``: half of ``optimizer.steps``.
        learning_rate: Its highest value.
        natural_steps: Natural-gradient steps on a Gaussian of full covariance (`NaturalGaussian`), or
            ``"auto"``: grows with the rows.
        natural_rate: Their rate at first.
        natural_limit: Targets of more weights take none: their memory grows with its square.
    """

    steps: int | Literal["auto"] = "auto"
    learning_rate: float = 1e-2
    natural_steps: int | Literal["auto"] = 0
    natural_rate: float = 0.3
    natural_limit: int = 1500


@dataclass(frozen=True)
class CalibrationSettings:
    """Rows that choose the temperature and the noise level before they, too, are fitted.

    Args:
        holdout: Their share of the table; 0 leaves the noise as fitted. They need natural steps.
        least: At least so many of them, but no more than a quarter of the table; and none where a quarter is
            less than a third of ``least``, which could not tell one level from another.
        most: At most so many.
    """

    holdout: float = 0.0
    least: int = 30
    most: int = 2000

    def rows_for(self, rows: int) -> int:
        """How many rows to hold out from a table of N.

        Example:
            >>> [CalibrationSettings(holdout=0.1).rows_for(rows) for rows in (20, 200, 1000, 50_000)]
            [0, 30, 100, 2000]
        """
        if self.holdout == 0.0 or rows // 4 < self.least // 3:
            return 0
        return min(max(round(self.holdout * rows), self.least), rows // 4, self.most)


@dataclass(frozen=True)
class KLSettings:
    """How much the prior and the entropy weigh against the data.

    Args:
        temperature: The KL's weight once annealed; 1 is the posterior, below 1 is colder. ``"auto"`` lets
            held-out rows choose from 0.1, 0.3 and 1 (``calibration.holdout``); it is 1 where there are none.
        start: The weight at the first step, as a share of the temperature.
        anneal: The share of the steps over which the weight grows from there.
    """

    temperature: float | Literal["auto"] = 1.0
    start: float = 0.02
    anneal: float = 0.6


@dataclass(frozen=True)
class StoppingSettings:
    """When to look, what to hold out, and when to stop early.

    Args:
        evaluate_every: Steps between two looks at the ELBO and the held-out score.
        holdout: Share of the rows held out (at most 5 000); only in tables of ``holdout_from`` rows or more.
        holdout_from: Smaller tables keep all their rows for the fit, and run all steps.
        patience: Looks without a better held-out score, after the annealing, before the fit stops.
    """

    evaluate_every: int = 100
    holdout: float = 0.1
    holdout_from: int = 2000
    patience: int = 20


@dataclass(frozen=True)
class SVISettings:
    """All of an inference recipe.

    Args:
        objective: What is maximised: ``"elbo"``, or another of `OBJECTIVES`. Those that weigh whole draws
            (``"renyi"``, ``"importance-weighted"``) have no use for ``local_reparameterization``.
        alpha: α of ``"bb-alpha"`` and ``"renyi"``.
        entropy: How the entropy of the posterior is estimated: ``"linearized"``, or another of `ENTROPIES`.
        entropy_options: What that estimator is built with, by the names of its own arguments.
        particles: S, weight draws per step and member.
        members: Independent restarts, mixed into one posterior with equal weights.
        batch_size: B, rows per step.
        otherwise: The inference recipe where this one's start is not for the model: more weights than
            ``warm_start.natural_limit``, another head than the dense one, some weights that are trained but
            not Bayesian, a prior that is not Normal with given scales, a network that ``vmap`` cannot run, or
            too few rows to hold any out. None keeps to this one.
        local_reparameterization: Give every row noise of its own where that is exact: sample the outputs of
            Linears instead of their weights, and flip the signs of convolutions' noise (Flipout).

    Example:
        >>> SVISettings(optimizer=OptimizerSettings(steps=10)).steps_for(1000)
        10
    """

    objective: str = "elbo"
    alpha: float = 0.5
    entropy: str = "linearized"
    entropy_options: Mapping[str, Any] = field(default_factory=dict)
    particles: int = 4
    members: int = 1
    batch_size: int = 256
    local_reparameterization: bool = True
    otherwise: str | None = None
    warm_start: WarmStartSettings = field(default_factory=WarmStartSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    calibration: CalibrationSettings = field(default_factory=CalibrationSettings)
    kl: KLSettings = field(default_factory=KLSettings)
    stopping: StoppingSettings = field(default_factory=StoppingSettings)

    def __post_init__(self) -> None:
        positive = {
            "particles": self.particles,
            "members": self.members,
            "batch_size": self.batch_size,
            "optimizer.learning_rate": self.optimizer.learning_rate,
            "optimizer.head_rate": self.optimizer.head_rate,
            "warm_start.learning_rate": self.warm_start.learning_rate,
            "warm_start.natural_rate": self.warm_start.natural_rate,
            "kl.start": self.kl.start,
            "calibration.least": self.calibration.least,
            "calibration.most": self.calibration.most,
            "stopping.evaluate_every": self.stopping.evaluate_every,
            "stopping.patience": self.stopping.patience,
        }
        if self.optimizer.steps != "auto":
            positive["optimizer.steps"] = self.optimizer.steps
        if self.kl.temperature != "auto":
            positive["kl.temperature"] = self.kl.temperature
        for name, value in positive.items():
            if not 0 < value < math.inf:
                raise ValueError(f"Got {name} = {value}, expected a positive number.")
        counts: dict[str, int | str] = {
            "warm_start.steps": self.warm_start.steps,
            "warm_start.natural_steps": self.warm_start.natural_steps,
            "warm_start.natural_limit": self.warm_start.natural_limit,
        }
        for name, count in counts.items():
            if count != "auto" and int(count) < 0:
                raise ValueError(f"Got {name} = {count}, expected 0 or more.")
        shares = {
            "kl.anneal": self.kl.anneal,
            "stopping.holdout": self.stopping.holdout,
            "calibration.holdout": self.calibration.holdout,
        }
        for name, value in shares.items():
            if not 0 <= value < 1:
                raise ValueError(f"Got {name} = {value}, expected a share from 0 up to, but not, 1.")
        if self.entropy not in ENTROPIES:
            raise ValueError(f"Got entropy {self.entropy!r}, expected one of {', '.join(ENTROPIES)}.")
        options = options_of(ENTROPIES[self.entropy])
        for name in self.entropy_options:
            if name not in options:
                raise ValueError(
                    f"Got entropy_options.{name}, expected {', '.join(options) or 'none'} for the entropy "
                    f"{self.entropy!r}."
                )
        if self.objective != "elbo" and self.particles < 2:
            raise ValueError(
                f"Got particles = {self.particles} for the objective {self.objective!r}, which averages over "
                "a member's draws, and is the ELBO with one of them; expected 2 or more, such as 8."
            )
        if self.make_objective().pointwise and not ENTROPIES[self.entropy].pointwise:
            able = [name for name, kind in ENTROPIES.items() if kind.pointwise]
            raise ValueError(
                f"Got entropy {self.entropy!r} with the objective {self.objective!r}, which weighs draws by "
                f"their densities; expected one of {', '.join(able)}."
            )

    def make_objective(self) -> Objective:
        """What is maximised."""
        return make_objective(self.objective, self.alpha)

    def steps_for(self, rows: int) -> int:
        """The number of steps for a table of N rows."""
        if self.optimizer.steps != "auto":
            return self.optimizer.steps
        return round(min(max(200.0, 200.0 + (rows - 300) * 4.5), 2000.0))

    def warm_steps_for(self, rows: int) -> int:
        """The number of steps on the mean weights alone."""
        steps = self.warm_start.steps
        return round(0.5 * self.steps_for(rows)) if steps == "auto" else steps

    def natural_steps_for(self, rows: int, weights: int) -> int:
        """The number of natural-gradient steps for a table of N rows and a target of D weights."""
        if weights > self.warm_start.natural_limit:
            return 0
        steps = self.warm_start.natural_steps
        few = min(max(10_000 / rows, 40.0), 100.0)  # a step sees no more than all of a small table
        return round(min(max(64.0 * (rows / 1000) ** 0.8, few), 400.0)) if steps == "auto" else steps
