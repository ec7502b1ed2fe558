"""The protocol of a likelihood: its outputs, its own unknowns, and the targets that it allows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

from torch import Tensor
from torch.distributions import Distribution

from bayeshyper.errors import DataError

__all__ = ["COUNTS", "REALS", "SHARES", "Latent", "Likelihood", "Support", "TargetFacts", "Task"]

Task = Literal["regression", "classification"]


@dataclass(frozen=True)
class Latent:
    """An unknown of a likelihood, with a Normal prior for each of its entries, in standardised units.

    Args:
        loc: The prior's mean.
        scale: Its standard deviation.
        shape: The unknown's shape; ``()`` is a scalar.
    """

    loc: float = 0.0
    scale: float = 1.0
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class Support:
    """The targets that a likelihood allows.

    Args:
        words: What they are called in a message, such as ``"whole numbers of 0 or more"``.
        lower: Their lower end, itself allowed only where they are whole numbers.
        upper: Their upper end, likewise.
        discrete: Whether they are whole numbers.

    Example:
        >>> COUNTS.contains(Tensor([0.0, 2.5, -1.0, 3.0]))
        tensor([ True, False, False,  True])
        >>> SHARES.contains(Tensor([0.0, 0.5]))
        tensor([False,  True])
    """

    words: str
    lower: float = -math.inf
    upper: float = math.inf
    discrete: bool = False

    def contains(self, y: Tensor) -> Tensor:
        """Which entries of a tensor are allowed, in its shape."""
        if self.discrete:
            return (y >= self.lower) & (y <= self.upper) & (y == y.floor()) & y.isfinite()
        return (y > self.lower) & (y < self.upper)


REALS = Support("finite numbers")
COUNTS = Support("whole numbers of 0 or more", lower=0, discrete=True)
SHARES = Support("numbers strictly between 0 and 1", lower=0, upper=1)


@dataclass(frozen=True)
class TargetFacts:
    """What a likelihood may take from the training targets before it is made.

    Args:
        mean: Their mean, in their own units; that of the first column where there are several.
        n_columns: How many numbers a row's target is; 1 where it is a class.
        n_classes: How many classes there are; 0 for regression.
    """

    mean: float = 0.0
    n_columns: int = 1
    n_classes: int = 0


class Likelihood:
    """The protocol of a likelihood; subclass it and give ``task``, ``latents`` and ``distribution``.

    Attributes:
        task: ``"regression"`` (numbers) or ``"classification"`` (class indices).
        latents: Unknowns inferred with the weights: name → `Latent`.
        n_outputs: How many outputs per row the network must give.
        event_shape: The shape of one row's target: ``()``, or ``(K,)`` where it is K numbers.
        support: The targets that it allows. A regression's are standardised where all numbers are allowed,
            and are otherwise left in their own units.
        scale_latent: The latent that is the log of the noise scale, which held-out rows can set; None where
            there is none.
    """

    task: ClassVar[Task]
    latents: Mapping[str, Latent] = MappingProxyType({})
    n_outputs: int = 1
    event_shape: tuple[int, ...] = ()
    support: Support = REALS
    scale_latent: ClassVar[str | None] = None

    @classmethod
    def for_target(cls, target: TargetFacts, **options: Any) -> Self:
        """The likelihood for given training targets; ``options`` are the arguments that a recipe sets.

        Subclasses take from the facts what their constructor needs of them, such as the number of classes.

        Raises:
            DataError: These targets are not for it.
        """
        return cls(**options)

    def distribution(self, outputs: Tensor, latents: Mapping[str, Tensor]) -> Distribution:
        """The target's distribution.

        Args:
            outputs: ``(…, N, n_outputs)`` from the network, one leading index per weight draw.
            latents: Name → ``(…, 1, *shape)``, which broadcasts against the rows; ``(…, 1)`` for a scalar.

        Returns:
            A distribution with batch shape ``(…, N)`` and event shape ``event_shape``. Predictions take
            its ``mean``, ``variance``, ``sample`` and ``log_prob``; quantiles and calibration its ``cdf``.
        """
        raise NotImplementedError(f"{type(self).__name__} must define distribution(outputs, latents).")

    def marginals(self, distribution: Distribution) -> Distribution:
        """Each number's own distribution, batch shape ``(…, N, *event_shape)``, for K-variate targets."""
        if self.event_shape:
            raise NotImplementedError(f"{type(self).__name__} must define marginals(distribution).")
        return distribution

    @property
    def standardized(self) -> bool:
        """Whether the model sees targets in standardised units, or (False) as they are."""
        return self.task == "regression" and self.support == REALS

    @property
    def n_classes(self) -> int:
        """C, for classification: one per output, and two for a single one."""
        return max(2, self.n_outputs)

    def check_target(self, y: Tensor) -> None:
        """Refuse targets ``(N, *event_shape)`` outside the support.

        Raises:
            DataError: The first such value and its row, and what was expected.

        Example:
            >>> try:
            ...     Likelihood().check_target(Tensor([0.5, math.inf]))
            ... except DataError as error:
            ...     print(str(error)[:69])
            Got the target inf in row 2 (counting from 1), expected finite number
        """
        outside = (~self.support.contains(y)).nonzero()
        if len(outside):
            row, *column = (int(place) for place in outside[0])
            where = f"row {row + 1}" + (f", column {column[0] + 1}" if column else "")
            raise DataError(
                f"Got the target {y[tuple(outside[0])].item():.10g} in {where} (counting from 1), expected "
                f"{self.support.words} for the likelihood {type(self).__name__}; correct it, or choose "
                "another likelihood."
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
