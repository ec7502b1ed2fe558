"""What happened during a fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any

from bayeshyper._vocabulary import check_types

__all__ = ["History"]

# What is known of a start, without a noise level and with one.
STARTS = ({"temperature", "rows"}, {"temperature", "rows", "shift", "spread"})
# The log of a factor that a noise level was moved by: beyond it, that is no number of float32.
FURTHEST = 80.0
# Sums of float32 over all rows, and seconds, are below it.
LARGEST = 1e100


@dataclass
class History:
    """A record of a fit, one entry per look at it.

    Attributes:
        steps: At which step each look was.
        elbo_per_datum: ELBO/N in nats at full KL weight, averaged over the steps since the last look
            (targets in standardised units, entropy as estimated: the audit has the bounds). With another
            objective than the ELBO it is that one's value.
        heldout_score: Mean log predictive density of the held-out rows, in the target's own units;
            empty where none were held out.
        best_step: The step whose state was kept.
        stopped_early: Whether the held-out score ended the fit.
        seconds: Wall-clock time.
        start: The temperature, how many rows were held out to choose it, and how far the log of the noise was
            moved (``shift``) and spread by them.
        objective: What was maximised, and is shown in ``elbo_per_datum``.
        entropy: How its entropy was estimated.
        recovered: How many matrices were positive definite but for rounding, and needed a jitter for their
            Cholesky roots (`cholesky_root`).
        log_likelihood: Mean log likelihood of a training row in nats, averaged over each tenth of the steps;
            of fewer than ten steps, of each (targets in standardised units).
        start_steps: How many steps came before them, in search of a start.

    Example:
        >>> history = History(steps=[100], elbo_per_datum=[-1.2])
        >>> History.from_dict(history.to_dict()) == history
        True
    """

    steps: list[int] = field(default_factory=list)
    elbo_per_datum: list[float] = field(default_factory=list)
    heldout_score: list[float] = field(default_factory=list)
    best_step: int = 0
    stopped_early: bool = False
    seconds: float = 0.0
    start: dict[str, float] = field(default_factory=lambda: {"temperature": 1.0, "rows": 0})
    objective: str = "ELBO"
    entropy: str = "linearized"
    recovered: int = 0
    log_likelihood: list[float] = field(default_factory=list)
    start_steps: int = 0

    def then(self, other: History) -> History:
        """This record and, after it, that of the same weights trained on.

        Example:
            >>> History(steps=[5, 10], best_step=10).then(History(steps=[5], best_step=5)).steps
            [5, 10, 15]
        """
        before = self.steps[-1] if self.steps else 0
        return replace(
            self,
            steps=[*self.steps, *(before + step for step in other.steps)],
            elbo_per_datum=[*self.elbo_per_datum, *other.elbo_per_datum],
            heldout_score=[*self.heldout_score, *other.heldout_score],
            best_step=before + other.best_step,
            stopped_early=other.stopped_early,
            seconds=self.seconds + other.seconds,
            recovered=self.recovered + other.recovered,
            log_likelihood=other.log_likelihood,
        )

    def state_dict(self) -> dict[str, Any]:
        """The record so far."""
        return self.to_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put the record of an earlier moment in its place; it raises as `from_dict` does."""
        vars(self).update(vars(self.from_dict(dict(state))))

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> History:
        """The inverse of `to_dict`.

        Raises:
            TypeError: A field that it does not have.
            ValueError: A field of another type, or with values that no fit leaves behind.
        """
        history = cls(**record)
        check_types(history)
        history._check_values()
        return history

    def _check_values(self) -> None:
        looks, start = [0, *self.steps], self.start
        possible = {
            "steps": all(before < after for before, after in pairwise(looks)),
            "elbo_per_datum": len(self.elbo_per_datum) == len(self.steps) and _within(self.elbo_per_datum),
            "heldout_score": len(self.heldout_score) in (0, len(self.steps)) and _within(self.heldout_score),
            "best_step": self.best_step in looks,
            "seconds": self.seconds >= 0.0 and _within([self.seconds]),
            "start": set(start) in STARTS
            and _within(start.values())
            and start["temperature"] > 0.0
            and start["rows"] >= 0
            and float(start["rows"]).is_integer()
            and start.get("spread", 1.0) > 0.0
            and abs(start.get("shift", 0.0)) <= FURTHEST,
            "recovered": self.recovered >= 0,
            "log_likelihood": _within(self.log_likelihood),
            "start_steps": self.start_steps >= 0,
        }
        for name, holds in possible.items():
            if not holds:
                raise ValueError(
                    f"Got {name} = {str(getattr(self, name))[:40]} in a history, which no fit leaves behind."
                )

    def __len__(self) -> int:
        return len(self.steps)


def _within(numbers: Iterable[float]) -> bool:
    return all(abs(number) <= LARGEST for number in numbers)
