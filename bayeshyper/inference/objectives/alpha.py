"""Black-box α: a row's likelihoods are averaged before their logarithm is taken."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from bayeshyper.inference.guide import ImplicitGuide
from bayeshyper.models import BayesianModel

from .elbo import ElboTerms
from .objective import Objective
from .scores import DrawScores, by_member, run

__all__ = ["BlackBoxAlpha"]


@dataclass(frozen=True)
class BlackBoxAlpha(Objective):
    r"""The energy of black-box α-divergences (Hernández-Lobato et al. 2016, arXiv 1511.03243).

        Σ_n 1/α · log (1/R) Σ_r p(y_n | θ_r)^α  +  β (E_q[log p(θ)] + H[q])

    in the form of Li & Gal (2017, arXiv 1703.02914), for many rows. With α → 0 it is the ELBO; α = 1 asks a
    row only to be likely under *some* draw, and lets the posterior spread. No bound on the evidence: what it
    maximises is nearer to the training rows' predictive density.

    R draws average within each member. A row's value depends on its own likelihoods alone, so that local
    reparameterisation, which changes the joint law over rows and not that of any one row, stays exact, and a
    mini-batch is unbiased.

    Args:
        alpha: α, above 0 and 1 at most.
    """

    alpha: float = 0.5

    label: ClassVar[str] = "BB-α energy"
    estimates: ClassVar[str] = "each row's likelihood averaged over draws to the power α, minus the KL"
    direction: ClassVar[str] = "no bound on the evidence: above the ELBO"
    cost: ClassVar[str] = "one pass over rows and draws"

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 1:
            raise ValueError(
                f"Got alpha = {self.alpha} for the objective 'bb-alpha', expected a number above 0, and 1 at "
                "most; 'elbo' is its limit at 0."
            )

    def terms(self, model: BayesianModel, guide: ImplicitGuide, x: Tensor, y: Tensor) -> ElboTerms:
        """The terms of one batch."""
        ours, theirs = run(model, guide, x, y, kind=DrawScores)
        rows = self.alpha * by_member(model, guide, theirs["obs"])
        energy = (torch.logsumexp(rows, dim=1) - math.log(rows.shape[1])).mean(0).sum() / self.alpha
        return ElboTerms(
            log_likelihood=energy * (model.num_data / len(x)),
            log_prior=model.kl_weight * theirs["weights"].mean(),
            entropy=-model.kl_weight * ours["weights"].mean(),
            kl_weight=model.kl_weight,
        )
