"""The settings of a fit: an inference recipe is exactly these, table by table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .entropy import ENTROPIES

__all__ = ["KLSettings", "OptimizerSettings", "SVISettings", "StoppingSettings"]


@dataclass(frozen=True)
class OptimizerSettings:
    """Adam with warm-up, cosine decay and gradient clipping.

    Args:
        learning_rate: Its highest value.
        steps: How many steps, or ``"auto"``: grows with the rows (`SVISettings.steps_for`).
        warmup: Steps over which the rate rises from zero; at most a tenth of all.
        final: The rate at the end, as a share of the highest.
        clip: Largest gradient norm of a member, of the loss per datum; 0 switches clipping off.
        warm_start: Steps on the mean weights alone before all else, as a share of ``steps``.
        head_rate: The head's learning rate, as a share of the others'.
    """

    learning_rate: float = 2e-2
    steps: int | Literal["auto"] = "auto"
    warmup: int = 100
    final: float = 0.01
    clip: float = 10.0
    warm_start: float = 0.5
    head_rate: float = 0.1


@dataclass(frozen=True)
class KLSettings:
    """How much the prior and the entropy weigh against the data.

    Args:
        temperature: The KL's weight once annealed; 1 is the posterior, below 1 is colder.
        start: The weight at the first step, as a share of the temperature.
        anneal: The share of the steps over which the weight grows from there.
    """

    temperature: float = 1.0
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
        objective: What is maximised; ``"elbo"``.
        entropy: How the entropy of the posterior is estimated; ``"linearized"``.
        particles: S, weight draws per step and member.
        members: Independent restarts, mixed into one posterior with equal weights.
        batch_size: B, rows per step.
        local_reparameterization: Sample the outputs of Linears instead of their weights, where exact.

    Example:
        >>> SVISettings(optimizer=OptimizerSettings(steps=10)).steps_for(1000)
        10
    """

    objective: str = "elbo"
    entropy: str = "linearized"
    particles: int = 4
    members: int = 1
    batch_size: int = 256
    local_reparameterization: bool = True
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    kl: KLSettings = field(default_factory=KLSettings)
    stopping: StoppingSettings = field(default_factory=StoppingSettings)

    def __post_init__(self) -> None:
        positive = {
            "particles": self.particles,
            "members": self.members,
            "batch_size": self.batch_size,
            "optimizer.learning_rate": self.optimizer.learning_rate,
            "optimizer.head_rate": self.optimizer.head_rate,
            "kl.temperature": self.kl.temperature,
            "kl.start": self.kl.start,
            "stopping.evaluate_every": self.stopping.evaluate_every,
            "stopping.patience": self.stopping.patience,
        }
        if self.optimizer.steps != "auto":
            positive["optimizer.steps"] = self.optimizer.steps
        for name, value in positive.items():
            if not value > 0:
                raise ValueError(f"Got {name} = {value}, expected a positive number.")
        if not 0 <= self.optimizer.warm_start < float("inf"):
            raise ValueError(f"Got optimizer.warm_start = {self.optimizer.warm_start}, expected 0 or more.")
        shares = {"kl.anneal": self.kl.anneal, "stopping.holdout": self.stopping.holdout}
        for name, value in shares.items():
            if not 0 <= value < 1:
                raise ValueError(f"Got {name} = {value}, expected a share from 0 up to, but not, 1.")
        if self.entropy not in ENTROPIES:
            raise ValueError(f"Got entropy {self.entropy!r}, expected one of {', '.join(ENTROPIES)}.")
        if self.objective != "elbo":
            raise ValueError(f"Got objective {self.objective!r}, expected 'elbo'.")

    def steps_for(self, rows: int) -> int:
        """The number of steps for a table of N rows."""
        if self.optimizer.steps != "auto":
            return self.optimizer.steps
        return round(min(max(200.0, 200.0 + (rows - 300) * 4.5), 2000.0))

    def warm_steps_for(self, rows: int) -> int:
        """The number of steps on the mean weights alone."""
        return round(self.optimizer.warm_start * self.steps_for(rows))
