"""The ELBO of one batch, taken apart into its three terms."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Any

from pyro import poutine
from pyro.distributions.util import scale_and_mask
from torch import Tensor

from bayeshyper.errors import TrainingDiverged
from bayeshyper.models import BayesianModel

from .guide import ImplicitGuide

__all__ = ["ElboTerms", "elbo_terms"]

# Pyro keeps one global stack of effect handlers; two threads inside it at once would see each other's.
_pyro_stack = threading.RLock()


@dataclass(frozen=True)
class ElboTerms:
    """The terms of one batch's ELBO, each a scalar in nats for the whole training set.

    Args:
        log_likelihood: E_q[log p(y | θ)], the batch scaled to N rows.
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

    def elbo(self) -> float:
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
        for name, term in terms.items():
            if not math.isfinite(term.item()):
                raise TrainingDiverged(name, step)


def elbo_terms(model: BayesianModel, guide: ImplicitGuide, x: Tensor, y: Tensor) -> ElboTerms:
    """Run guide and model through Pyro and read the ELBO's terms off their traces.

    The sum is what ``pyro.infer.Trace_ELBO().differentiable_loss(model, guide, x, y)`` gives (a test holds
    them together); apart, the terms can be named when one of them breaks.
    """
    with _pyro_stack:
        guide_trace = poutine.trace(guide.draw).get_trace()
        model_trace = poutine.trace(poutine.replay(model, trace=guide_trace)).get_trace(x, y)
    return ElboTerms(
        log_likelihood=_log_prob_sum(model_trace.nodes["obs"]),
        log_prior=_log_prob_sum(model_trace.nodes["weights"]),
        entropy=-_log_prob_sum(guide_trace.nodes["weights"]),
        kl_weight=model.kl_weight,
    )


def _log_prob_sum(site: Any) -> Tensor:
    """What ``Trace.compute_log_prob`` stores for a site, without its own warning where it is not finite."""
    log_prob = site["fn"].log_prob(site["value"])
    total: Tensor = scale_and_mask(log_prob, site["scale"], site["mask"]).sum()
    return total
