"""The ELBO of one batch, taken apart into its three terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from bayeshyper.inference.guide import ImplicitGuide
from bayeshyper.models import BayesianModel

from .objective import Objective, check_terms
from .scores import run

__all__ = ["Elbo", "ElboTerms", "elbo_terms"]


@dataclass(frozen=True)
class ElboTerms:
    """The terms of one batch's ELBO, each a scalar in nats for the whole training set.

    Args:
        log_likelihood: E_q[log p(y | θ)], the batch scaled to N rows, or what takes its place.
        log_prior: β E_q[log p(θ)].
        entropy: β H[q].
        kl_weight: β.
    """

    log_likelihood: Tensor
    log_prior: Tensor
    entropy: Tensor
    kl_weight: float

    @property
    def loss(self) -> Tensor:
        """−(log likelihood + β (log prior + entropy)): what ``Trace_ELBO`` gives for the same draw."""
        return -(self.log_likelihood + self.log_prior + self.entropy)

    def value(self) -> float:
        """The ELBO at β = 1, as a number."""
        regularizer = (self.log_prior.item() + self.entropy.item()) / self.kl_weight
        return self.log_likelihood.item() + regularizer

    def check(self, step: int) -> None:
        """Raise `TrainingDiverged`, naming the first term that is not finite."""
        terms = {
            "log likelihood": self.log_likelihood,
            "log prior": self.log_prior,
            "entropy": self.entropy,
        }
        check_terms(terms, step)


def elbo_terms(model: BayesianModel, guide: ImplicitGuide, x: Tensor, y: Tensor) -> ElboTerms:
    """Run guide and model through Pyro and score their sites.

    The sum is what ``pyro.infer.Trace_ELBO().differentiable_loss(model, guide, x, y)`` gives (a test holds
    them together); apart, the terms can be named when one of them breaks.
    """
    guide_scores, model_scores = run(model, guide, x, y)
    return ElboTerms(
        log_likelihood=model_scores["obs"],
        log_prior=model_scores["weights"],
        entropy=-guide_scores["weights"],
        kl_weight=model.kl_weight,
    )


@dataclass(frozen=True)
class Elbo(Objective):
    """E_q[log p(y | θ)] + β (E_q[log p(θ)] + H[q]): the evidence lower bound, and its tempered kin."""

    label: ClassVar[str] = "ELBO"
    estimates: ClassVar[str] = "the evidence lower bound"
    direction: ClassVar[str] = "lower bound on the log evidence"
    cost: ClassVar[str] = "one pass over rows and draws"

    def terms(self, model: BayesianModel, guide: ImplicitGuide, x: Tensor, y: Tensor) -> ElboTerms:
        """The terms of one batch."""
        return elbo_terms(model, guide, x, y)
