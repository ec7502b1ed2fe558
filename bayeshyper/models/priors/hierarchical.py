"""A hierarchical prior: each layer's scale is an unknown, inferred together with the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

from bayeshyper.models.likelihoods import Latent

from .base import Placement, check_positive
from .flat import Shape
from .layers import LayerwisePrior, layers_of, spread_out

__all__ = ["FlatHierarchical", "HierarchicalPrior"]


class HierarchicalPrior(LayerwisePrior):
    """Normal(0, (scale·τ)²) with log τ ~ N(0, spread²) for each layer (Neal 1996, section 3.3).

    log τ of the layer ``layers.0.weight`` is the latent ``prior.log_scale.layers.0.weight``: it stands in the
    weight vector behind the likelihood's own, so that it has a posterior like any weight, in ensembles, files
    and ArviZ.

    Args:
        spread: Prior standard deviation of log τ.
        **placement: As for `Prior`.

    Example:
        >>> from bayeshyper.models import MLP, BayesianModel, Gaussian, Target
        >>> model = BayesianModel(Target(MLP(3, 1)), HierarchicalPrior(), Gaussian(), num_data=10)
        >>> model.spec.names[-2:]
        ('prior.log_scale.layers.0.weight', 'prior.log_scale.layers.2.weight')
    """

    def __init__(self, *, spread: float = 1.0, **placement: Unpack[Placement]) -> None:
        super().__init__(**placement)
        check_positive("spread", spread)
        self.spread = spread

    def latents(self, initial: Mapping[str, Tensor]) -> Mapping[str, Latent]:
        """log τ of each layer."""
        return {f"prior.log_scale.{name}": Latent(0.0, self.spread) for name in layers_of(initial)}

    def forward(self) -> FlatHierarchical:
        """The joint prior of weights and scales, with event shape ``(D,)``."""
        return FlatHierarchical(self.loc, self.scale, self.layer_of, len(self.layers), self.log_normalizer)

    def extra_repr(self) -> str:
        """The choices that were made."""
        return f"spread={self.spread:g}, {super().extra_repr()}"


class FlatHierarchical(TorchDistribution):
    """Weights θ_i ~ N(loc_i, (s_i τ_l)²) of L layers l, and at the vector's end t_l = log τ_l, Normal too.

        log p(θ, t) = Σ_i −½ log 2π s_i² − t_l(i) − ½ ((θ_i − loc_i)/s_i)² exp(−2 t_l(i))

    over all D entries, with t = 0 for those of no layer, among them t itself. Where the value carries its law
    given z, weights and scales are independent Normals, with means m and variances v. Then E[exp(−2 t)] =
    exp(−2 m_t + 2 v_t), and the expectation over the output noise is closed:

        Σ_i −½ log 2π s_i² − m_t − ½ ((m_i − loc_i)² + v_i)/s_i² · exp(−2 m_t + 2 v_t)

    Args:
        loc: ``(D,)``.
        scale: ``(D,)``.
        layer_of: Each entry's layer, ``(D,)``; L for none.
        layers: L.
        log_normalizer: Σ log(√(2π) s_i).
        batch_shape: Of weight vectors.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012 - torch's own protocol
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc: Tensor,
        scale: Tensor,
        layer_of: Tensor,
        layers: int,
        log_normalizer: Tensor,
        batch_shape: Shape = (),
    ) -> None:
        self.loc, self.scale, self.layer_of = loc, scale, layer_of
        self.layers, self.log_normalizer = layers, log_normalizer
        super().__init__(torch.Size(batch_shape), loc.shape, validate_args=False)

    def expand(self, batch_shape: Shape, _instance: FlatHierarchical | None = None) -> FlatHierarchical:
        """The same prior for a batch of weight vectors."""
        return FlatHierarchical(
            self.loc, self.scale, self.layer_of, self.layers, self.log_normalizer, batch_shape
        )

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draw ``(*sample_shape, *batch_shape, D)``: the scales, then weights of those scales."""
        shape = self._extended_shape(torch.Size(sample_shape))
        offsets = self.scale * torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + offsets * self._log_scales(self.loc + offsets).exp()

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density ``(*batch_shape,)``, or its expectation over ε (see the class)."""
        law = getattr(value, "conditional", None)
        if law is None:
            log_scales = self._log_scales(value)
            squares = ((value - self.loc) / self.scale).square()
            precision = torch.exp(-2 * log_scales)
        else:
            log_scales = self._log_scales(law.mean)
            squares = ((law.mean - self.loc) / self.scale).square() + (law.scale / self.scale).square()
            precision = torch.exp(-2 * log_scales + 2 * self._log_scales(law.scale.square()))
        total = (-0.5 * squares * precision - log_scales).sum(-1).reshape(value.shape[:-1])
        result: Tensor = total - self.log_normalizer.to(value.dtype)
        return result

    def _log_scales(self, vectors: Tensor) -> Tensor:
        """t of each entry's layer, ``(…, D)``, from the vectors' end."""
        return spread_out(vectors[..., vectors.shape[-1] - self.layers :], self.layer_of)
