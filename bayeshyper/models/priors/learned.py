"""Empirical Bayes: each layer's prior scale is learned, by maximising what the ELBO says of the evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

import torch
from torch import Tensor, nn

from bayeshyper.models.likelihoods import Latent
from bayeshyper.models.spec import WeightSpec

from .base import Placement
from .flat import FlatNormal
from .layers import LayerwisePrior, spread_out

__all__ = ["LearnedPrior"]


class LearnedPrior(LayerwisePrior):
    """Normal(0, (scale·τ)²) with a τ for each layer that is a parameter: empirical Bayes (MacKay 1992).

    The ELBO bounds the evidence log p(y | τ) from below, so maximising it over τ as well approaches
    type-II maximum likelihood; for a given posterior q the best τ² is the layer's mean E_q[u²]. The
    posterior's unit stays ``scale``, whatever τ becomes. The arguments are those of `Prior`.

    Example:
        >>> from bayeshyper.models import MLP, BayesianModel, Gaussian, Target
        >>> model = BayesianModel(Target(MLP(3, 1)), LearnedPrior(), Gaussian(), num_data=10)
        >>> model.prior.factors()
        {'layers.0.weight': 1.0, 'layers.2.weight': 1.0}
    """

    def __init__(self, **placement: Unpack[Placement]) -> None:
        super().__init__(**placement)
        self.log_factor = nn.Parameter(torch.zeros(0))

    def build(self, spec: WeightSpec, initial: Mapping[str, Tensor], latents: Mapping[str, Latent]) -> None:
        """Lay the prior out over a spec, every τ at one; see `Prior.build`."""
        super().build(spec, initial, latents)
        self.log_factor = nn.Parameter(torch.zeros(len(self.layers)))

    def forward(self) -> FlatNormal:
        """The prior at the present τ, with event shape ``(D,)``."""
        return FlatNormal(self.loc, self.scale * spread_out(self.log_factor, self.layer_of).exp())

    def factors(self) -> dict[str, float]:
        """The present τ of each layer, by the name of its tensor."""
        return dict(zip(self.layers, self.log_factor.exp().tolist(), strict=True))
