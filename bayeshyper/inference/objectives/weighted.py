"""Objectives that weigh whole draws of the weights: Rényi's, and the importance-weighted bound."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bayeshyper.inference.guide import ImplicitGuide
from bayeshyper.models import BayesianModel

from .objective import Objective, check_terms
from .scores import DrawScores, by_member, run

__all__ = ["ImportanceWeighted", "Renyi", "WeightedTerms"]


@dataclass(frozen=True)
class WeightedTerms:
    """What the weights of R draws of each member are made of, in float64; each ``(M, R)``.

    Args:
        log_likelihood: log p(y | θ), the batch scaled to N rows.
        log_prior: log p(θ).
        log_density: log q(θ), as the entropy's estimator has it.
        alpha: α.
        kl_weight: β.
    """

    log_likelihood: Tensor
    log_prior: Tensor
    log_density: Tensor
    alpha: float
    kl_weight: float

    def bound(self, kl_weight: float) -> Tensor:
        """The bound at any β, a scalar: the members' mean."""
        log_weights = self.log_likelihood / kl_weight + self.log_prior - self.log_density
        if self.alpha == 1.0:
            return kl_weight * log_weights.mean()
        power = 1.0 - self.alpha
        mean = torch.logsumexp(power * log_weights, dim=1) - math.log(log_weights.shape[1])
        return kl_weight / power * mean.mean()

    @property
    def loss(self) -> Tensor:
        """Minus the bound at the model's β."""
        return -self.bound(self.kl_weight)

    def value(self) -> float:
        """The bound at β = 1, as a number."""
        return self.bound(1.0).item()

    def check(self, step: int) -> None:
        """Raise `TrainingDiverged`, naming the first term that is not finite."""
        terms = {
            "log likelihood": self.log_likelihood,
            "log prior": self.log_prior,
            "entropy": self.log_density,
        }
        check_terms(terms, step)


@dataclass(frozen=True)
class Renyi(Objective):
    r"""The variational Rényi bound (Li & Turner 2016, arXiv 1602.02311).

        β/(1 − α) · log (1/R) Σ_r w_r^(1−α),   w_r = p(y | θ_r)^(1/β) p(θ_r)/q(θ_r)

    At β = 1 it is a lower bound on the log evidence for α from 0 to 1: α = 1 is the ELBO, and it rises as α
    falls to the importance-weighted bound at 0, and with R. At another temperature it is β times the bound
    for the likelihood to the power 1/β, the target that the ELBO has at that temperature, too. A small β
    leaves the weight to one draw: without annealing (``kl.start = 1``) it trains faster.

    A weight multiplies over rows, so that all rows must see the same draw: weights are sampled, and local
    reparameterisation is left out. A mini-batch stands for all N rows in each weight, which is biased: the
    value is a bound only where one batch holds them all. The density q(θ_r) is the entropy estimator's; with
    the linearised one the bound holds as far as that density does, with the hierarchical and the
    semi-implicit ones always.

    Args:
        alpha: α, from 0 to 1.
    """

    alpha: float = 0.5

    label: ClassVar[str] = "Rényi bound"
    estimates: ClassVar[str] = "the log evidence, by R draws weighed to the power 1 − α"
    direction: ClassVar[str] = "lower bound on the log evidence, where a batch holds all rows"
    cost: ClassVar[str] = "one pass over rows and draws, without local reparameterisation"
    pointwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ValueError(
                f"Got alpha = {self.alpha} for the objective 'renyi', expected a number from 0 to 1."
            )

    def terms(self, model: BayesianModel, guide: ImplicitGuide, x: Tensor, y: Tensor) -> WeightedTerms:
        """The terms of one batch."""
        ours, theirs = run(model, guide, x, y, kind=DrawScores, pointwise=True)
        rows, prior, density = (
            by_member(model, guide, scores).double().sum(-1)
            for scores in (theirs["obs"], theirs["weights"], ours["weights"])
        )
        scaled = rows * (model.num_data / len(x))
        return WeightedTerms(scaled, prior, density, self.alpha, model.kl_weight)


class ImportanceWeighted(Renyi):
    """The importance-weighted bound, Rényi's at α = 0 (Burda et al. 2016, arXiv 1509.00519).

        log (1/R) Σ_r p(y | θ_r) p(θ_r)/q(θ_r)

    The tightest of that family. With one draw it is the ELBO; with many, the weight of all but the best draw
    vanishes, and with it the signal for q.
    """

    label: ClassVar[str] = "Importance-weighted bound"
    estimates: ClassVar[str] = "the log evidence, by R draws weighed"

    def __init__(self) -> None:
        super().__init__(alpha=0.0)
