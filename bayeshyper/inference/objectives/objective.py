"""What an objective is: something that is maximised, and what it says of one batch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Protocol

from torch import Tensor

from bayeshyper.errors import TrainingDiverged
from bayeshyper.inference.guide import ImplicitGuide
from bayeshyper.models import BayesianModel

__all__ = ["Objective", "Terms", "check_terms"]


class Terms(Protocol):
    """An objective's value for one batch, taken apart into terms."""

    @property
    def log_likelihood(self) -> Tensor:
        """log p(y | θ) or what takes its place, the batch scaled to N rows: a scalar, or of each draw."""
        ...

    @property
    def loss(self) -> Tensor:
        """What is minimised: minus the objective at the model's KL weight β, in nats for the training set."""
        ...

    def value(self) -> float:
        """The objective at β = 1, in nats for the training set."""
        ...

    def check(self, step: int) -> None:
        """Raise `TrainingDiverged`, naming the first term that is not finite."""
        ...


class Objective:
    """What a fit maximises, chosen by name in a recipe (`OBJECTIVES`); subclass it and give ``terms``.

    Attributes:
        label: What its value is called in reports.
        estimates: What its value is an estimate of, in a few words.
        direction: On which side of the log evidence that is.
        cost: Of one step, against the ELBO's.
        pointwise: Whether it weighs whole draws of weights by their densities: then the weights are sampled,
            local reparameterisation or not, and the entropy's estimator must know densities.
    """

    label: ClassVar[str]
    estimates: ClassVar[str]
    direction: ClassVar[str]
    cost: ClassVar[str]
    pointwise: ClassVar[bool] = False

    def terms(self, model: BayesianModel, guide: ImplicitGuide, x: Tensor, y: Tensor) -> Terms:
        """Run guide and model on a batch ``x (B, …), y (B,)`` and score them."""
        raise NotImplementedError(f"{type(self).__name__} must define terms(model, guide, x, y).")


def check_terms(terms: Mapping[str, Tensor], step: int) -> None:
    """Raise `TrainingDiverged`, naming the first term that is not finite."""
    for name, term in terms.items():
        if not math.isfinite(term.sum().item()):
            raise TrainingDiverged(name, step)
